"""The machine, versions and captioner that the numbers belong to, for the head of a report.

A container's CPU quota counts; of other load on the machine only the load average is known.
"""

import os
import platform
from datetime import UTC, datetime
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path

import torch
from torch import Tensor

from app.cores import usable_cores
from app.version import VERSION
from model.captioning.captioner import Captioner

__all__ = ["available_cores", "describe_captioner", "describe_machine", "trained_parameters"]

_CGROUP = Path("/sys/fs/cgroup")


def describe_machine() -> dict[str, str]:
    """Return the machine's properties and the versions in use."""
    visible = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return {
        "measured": f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC",
        "processor": f"{_processor()} ({torch.backends.cpu.get_cpu_capability()})",
        "cores": f"{available_cores():g} available ({visible} visible)",
        "memory": _memory(),
        "load average before": _load(),
        "system": f"{platform.system()} {platform.release()}",
        "versions": (f"unrolled {VERSION}, {_runtimes()}, Python {platform.python_version()}"),
        "threads of the model": str(usable_cores()),
    }


def describe_captioner(captioner: Captioner) -> dict[str, str]:
    """Return the properties of the measured captioner."""
    weights = trained_parameters(captioner)
    data_types = sorted({str(parameter.dtype).removeprefix("torch.") for parameter in weights})
    millions = sum(parameter.numel() for parameter in weights) / 1e6
    config = captioner.config
    return {
        "captioner": f"{config.name} {config.version}, {config.encoder.name}, "
        f"{config.decoder.kind} decoder of {config.decoder.hidden_size} units",
        "parameters": f"{millions:.2f} million, {' and '.join(data_types)}",
    }


def trained_parameters(captioner: Captioner) -> list[Tensor]:
    """Return the parameters of a captioner's network."""
    return list(captioner.network.parameters())


def available_cores() -> float:
    """Return how many cores this process may use; a container's quota may be a fraction."""
    if hasattr(os, "sched_getaffinity"):
        cores = float(len(os.sched_getaffinity(0)))
    else:
        cores = float(os.cpu_count() or 1)
    return min([cores, *_quotas()])


def _runtimes() -> str:
    """Return the installed runtimes with their versions; OpenVINO is optional."""
    names = [name for name in ("torch", "openvino") if find_spec(name)]
    return ", ".join(f"{name} {version(name)}" for name in names)


def _quotas() -> list[float]:
    """Return the CPU quotas of this process's control groups and their ancestors, in cores."""
    try:
        lines = Path("/proc/self/cgroup").read_text(encoding="utf-8").splitlines()
    except OSError:
        return []
    quotas: list[float] = []
    for line in lines:
        _, controllers, path = line.split(":", 2)
        names = controllers.split(",")
        if not controllers:  # version 2: one hierarchy for all controllers
            mounts = (_CGROUP, _CGROUP / "unified")
        elif "cpu" in names:  # version 1: a hierarchy for the CPU
            mounts = (_CGROUP / controllers, _CGROUP / "cpu")
        else:
            continue
        # Inside a container the path may be the host's; the container's quota is at the mount.
        parts = [part for part in path.split("/") if part not in ("", "..")]
        for mount in mounts:
            for depth in range(len(parts) + 1):
                quotas += _quota(mount.joinpath(*parts[:depth]))
    return quotas


def _quota(group: Path) -> list[float]:
    try:
        if (group / "cpu.max").exists():
            quota, period = (group / "cpu.max").read_text(encoding="ascii").split()
        else:
            quota = (group / "cpu.cfs_quota_us").read_text(encoding="ascii").strip()
            period = (group / "cpu.cfs_period_us").read_text(encoding="ascii").strip()
    except OSError:
        return []
    return [] if quota in ("max", "-1") else [int(quota) / int(period)]


def _memory() -> str:
    try:
        total = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (AttributeError, ValueError):  # Windows
        return "unknown"
    return f"{total / 2**30:.1f} GiB"


def _load() -> str:
    if not hasattr(os, "getloadavg"):  # Windows
        return "unknown"
    return " ".join(f"{value:.2f}" for value in os.getloadavg())


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        lines = []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()
