"""Several hosts on one machine: each has its own network, processes and shared memory.

A host is a set of Linux namespaces, with an address on a bridge that all of them share. Needs root.
"""

import os
import shutil
import signal
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from tests.app.local_ray import ROOT, VARIABLES

__all__ = ["Host", "running_hosts"]

_BRIDGE = "unrolled0"
_NETWORK = "10.213.77"  # .1, .2 and so on; this process has .254


@dataclass
class Host:
    """A host.

    Attributes:
        address: its IP address.
        cable: the end of its cable that is on the bridge.
        first: its first process, whose end ends all others.
        started: what `start` has started.
    """

    address: str
    cable: str
    first: int
    started: list[subprocess.Popen[str]] = field(default_factory=list)

    def start(self, *command: str, **options: Any) -> subprocess.Popen[str]:
        """Start a command on the host; `options` as for `Popen`."""
        enter = ["nsenter", "--target", str(self.first), "--mount", "--net", "--pid"]
        variables = {**os.environ, **VARIABLES, **options.pop("env", {})}
        process = subprocess.Popen(
            [*enter, *command], cwd=ROOT, env=variables, text=True, **options
        )
        self.started.append(process)
        return process

    def run(self, *command: str, timeout: float = 120) -> str:
        """Run a command on the host, and return what it prints.

        Raises:
            RuntimeError: it failed; the message has what it printed.
            TimeoutExpired: it takes longer than `timeout` seconds.
        """
        process = self.start(*command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        printed, _ = process.communicate(timeout=timeout)
        if process.returncode:
            raise RuntimeError(f"{' '.join(command)} failed on {self.address}:\n{printed}")
        return printed

    def lose(self) -> None:
        """Pull the cable, then kill every process: nobody is told."""
        _ip("link", "set", self.cable, "down")
        self.stop()

    def stop(self) -> None:
        """Kill every process."""
        with suppress(ProcessLookupError):
            os.kill(self.first, signal.SIGKILL)
        for process in self.started:
            process.wait()


@contextmanager
def running_hosts(count: int) -> Iterator[list[Host]]:
    """Start hosts, and remove them with all that runs on them; skip the test without the rights."""
    if os.geteuid() != 0 or not all(map(shutil.which, ("ip", "unshare", "nsenter", "mount"))):
        pytest.skip("hosts need root, iproute2 and util-linux")
    with ExitStack() as stack:
        _ip("link", "delete", _BRIDGE, check=False)  # of a run that was killed
        try:
            _ip("link", "add", _BRIDGE, "type", "bridge")
        except subprocess.CalledProcessError:
            pytest.skip("network namespaces are not allowed here")
        stack.callback(_ip, "link", "delete", _BRIDGE)
        _ip("address", "add", f"{_NETWORK}.254/24", "dev", _BRIDGE)
        _ip("link", "set", _BRIDGE, "up")
        yield [stack.enter_context(_running_host(number)) for number in range(1, count + 1)]


@contextmanager
def _running_host(number: int) -> Iterator[Host]:
    spaces = ["--mount", "--net", "--pid", "--fork", "--mount-proc"]
    with subprocess.Popen(
        ["unshare", *spaces, "sh", "-c", "echo; exec sleep infinity"],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    ) as process:
        assert process.stdout is not None
        if not process.stdout.readline():  # else it has its namespaces by now
            pytest.skip("namespaces are not allowed here")
        (first,) = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
        host = Host(f"{_NETWORK}.{number}", f"{_BRIDGE}-{number}", int(first))
        try:
            _connect(host)
            # What hosts do not share: Ray's sockets and shared memory.
            for folder in ("/tmp/ray", "/dev/shm"):
                host.run("mkdir", "-p", folder)
                host.run("mount", "-t", "tmpfs", "none", folder)
            yield host
        finally:
            host.stop()
            # Or it stays until the kernel tidies up.
            _ip("link", "delete", host.cable, check=False)


def _connect(host: Host) -> None:
    """Lay a cable from the bridge to a host."""
    _ip("link", "delete", host.cable, check=False)
    ends = ["type", "veth", "peer", "eth0", "netns", str(host.first)]
    _ip("link", "add", host.cable, "master", _BRIDGE, *ends)
    _ip("link", "set", host.cable, "up")
    host.run("ip", "link", "set", "lo", "up")
    host.run("ip", "address", "add", f"{host.address}/24", "dev", "eth0")
    host.run("ip", "link", "set", "eth0", "up")


def _ip(*arguments: str, check: bool = True) -> None:
    subprocess.run(["ip", *arguments], check=check, capture_output=True)
