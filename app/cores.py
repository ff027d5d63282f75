"""How many cores this process may use: what its container allows, not what the host has.

PyTorch makes a thread for every core that it sees; in a container that may use two of sixty-four,
they all wait for each other. Knows nothing of what the cores are for.
"""

from loky import cpu_count

__all__ = ["usable_cores"]


def usable_cores() -> int:
    """Count them: physical ones, and no more than affinity and the container's quota allow."""
    return int(cpu_count(only_physical_cores=True))
