"""Count the cores that this process may use: what its container allows, not what the host has.

PyTorch starts a thread for every core that it sees; in a container limited to two of 64 cores,
they would all wait for each other.
"""

from loky import cpu_count

__all__ = ["usable_cores"]


def usable_cores() -> int:
    """Count the physical cores, limited by CPU affinity and the container's quota."""
    return int(cpu_count(only_physical_cores=True))
