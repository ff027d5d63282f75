"""Several processes that serve one port, each with its share of the cores."""

from __future__ import annotations

import multiprocessing
import os
import signal
import sys
import tempfile
from multiprocessing import connection
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable, Sequence
    from multiprocessing.context import SpawnProcess

    from app.settings import Settings

__all__ = ["share_of_cores", "supervise"]


def share_of_cores(cores: Sequence[int], index: int, workers: int) -> set[int]:
    """Return the cores of one worker: neighbours, as many as for every other, at least one."""
    size = max(1, len(cores) // workers)
    start = index * size % len(cores)
    return set(cores[start : start + size])


def supervise(
    settings: Settings, listener: socket.socket, serve: Callable[[Settings, socket.socket], None]
) -> int:
    """Run `settings.workers` processes until a signal arrives; return the exit status.

    A process that was killed is replaced. One that ends with an error, such as a model that cannot
    be loaded, would only do so again: it ends them all, with its status.

    Args:
        settings: for every process.
        listener: the socket that they share.
        serve: what each runs; importable by name.
    """
    context = multiprocessing.get_context("spawn")
    with tempfile.TemporaryDirectory(prefix="unrolled-metrics-") as metrics:
        # Where the processes put their metrics together, see `app.http.routes.metrics`.
        os.environ["PROMETHEUS_MULTIPROC_DIR"] = metrics
        running: dict[int, SpawnProcess] = {}
        stopping, status = False, 0

        def start(index: int) -> None:
            running[index] = context.Process(target=_work, args=(settings, listener, serve, index))
            running[index].start()

        def stop(*_: object) -> None:
            nonlocal stopping
            stopping = True
            for process in running.values():
                process.terminate()

        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, stop)
        for index in range(settings.workers):
            start(index)
        while running:
            connection.wait([process.sentinel for process in running.values()])
            for index, process in list(running.items()):
                if process.is_alive():
                    continue
                process.join()
                del running[index]
                _forget_gauges(process.pid)
                if stopping:
                    continue
                if process.exitcode:
                    print(f"a process ended with {process.exitcode}", file=sys.stderr)  # noqa: T201
                if (process.exitcode or 0) > 0:
                    status = process.exitcode or 1
                    stop()
                else:
                    start(index)
    return status


def _work(
    settings: Settings,
    listener: socket.socket,
    serve: Callable[[Settings, socket.socket], None],
    index: int,
) -> None:
    if hasattr(os, "sched_setaffinity"):  # on Linux; the models count the cores that are left
        cores = sorted(os.sched_getaffinity(0))
        os.sched_setaffinity(0, share_of_cores(cores, index, settings.workers))
    serve(settings, listener)


def _forget_gauges(pid: int | None) -> None:
    from prometheus_client.multiprocess import mark_process_dead  # noqa: PLC0415

    mark_process_dead(pid)  # type: ignore[no-untyped-call]
