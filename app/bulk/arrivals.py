"""Notice the pictures that arrive in folders, each once it is whole.

Nothing tells when a program has written a file to its end. A picture counts as whole when it has
not changed for a while; if it changes later, it has arrived anew.
"""

from __future__ import annotations

import os
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from app.bulk.find import is_hidden, search_folder
from app.bulk.names import shown_path
from app.pictures.decode import SUFFIXES

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from threading import Event

__all__ = ["Arrivals", "watch_folders"]

_Signature = tuple[int, int, int]  # i-node, bytes, and when it was changed

# What is older when a watch begins is whole. Clocks of file servers differ a little.
_OLD_SECONDS = 60

_TICK_MS = 250


@dataclass
class Arrivals:
    """Pictures that have arrived, and those that are still being written.

    Attributes:
        settle: for how many seconds a picture that is whole has not changed.
        clock: returns seconds.
    """

    settle: float
    clock: Callable[[], float] = time.monotonic
    _waiting: dict[Path, tuple[_Signature, float]] = field(default_factory=dict)
    _known: dict[Path, _Signature] = field(default_factory=dict)

    def see(self, picture: Path, *, since: float | None = None) -> None:
        """Expect a picture, unless it is unchanged since it last was whole."""
        signature = _signature(picture)
        if signature is None:
            self._known.pop(picture, None)
        elif self._known.get(picture) != signature:
            known = self._waiting.get(picture)
            if known is None or known[0] != signature:
                self._waiting[picture] = (signature, self.clock() if since is None else since)

    def whole(self) -> list[Path]:
        """Return the pictures that have become whole, each once, in the order they arrived in."""
        whole, now = [], self.clock()
        for picture, (before, since) in list(self._waiting.items()):
            signature = _signature(picture)
            if signature is None:
                del self._waiting[picture]
            elif signature != before:
                self._waiting[picture] = (signature, now)
            elif now - since >= self.settle:
                del self._waiting[picture]
                self._known[picture] = signature
                whole.append(picture)
        return whole


def watch_folders(folders: Sequence[Path], *, settle: float, stop: Event) -> Iterator[list[Path]]:
    """Yield pictures that are whole: first those in the folders, then what arrives, at any depth.

    Ends when `stop` is set. What a search of a folder leaves out is left out.

    Raises:
        OSError: a folder cannot be watched, or was removed or replaced.
    """
    arrivals = Arrivals(settle)
    watched = {folder: _identity(folder) for folder in folders}
    for changes in _changes(folders, stop):
        _check_there(watched)
        if changes is None:
            _see_all(arrivals, folders)
        for path in changes or ():
            _see(arrivals, folders, Path(path))
        if whole := arrivals.whole():
            yield whole


def _changes(folders: Sequence[Path], stop: Event) -> Iterator[set[str] | None]:
    """Yield the paths that changed, several times a second; None where any may have."""
    from watchfiles import watch  # noqa: PLC0415 - only this command needs it

    while not stop.is_set():
        began = False
        try:
            for changes in watch(
                *folders,
                watch_filter=None,
                debounce=_TICK_MS,
                rust_timeout=_TICK_MS,
                yield_on_timeout=True,
                stop_event=stop,
                raise_interrupt=False,
            ):
                if not began:  # once the watch is on, so that nothing falls between
                    yield None
                began = True
                yield {path for _, path in changes}
        except RuntimeError as error:
            # It has no way to name a path that is not UTF-8: search for what has arrived.
            if "decode path" not in str(error):
                raise OSError(f"the folder can no longer be watched: {error}") from error


def _check_there(watched: Mapping[Path, tuple[int, int] | None]) -> None:
    """Check that the folders are those that are watched: of others, no news would come.

    Raises:
        OSError: one is gone, or another is in its place.
    """
    for folder, before in watched.items():
        if _identity(folder) != before:
            raise OSError(
                f"{shown_path(folder)} can no longer be watched: it was removed or replaced"
            )


def _identity(folder: Path) -> tuple[int, int] | None:
    try:
        status = folder.stat()
    except OSError:
        return None
    return status.st_dev, status.st_ino


def _see_all(arrivals: Arrivals, folders: Sequence[Path]) -> None:
    now = time.time()
    for folder in folders:
        for picture in search_folder(folder)[0]:
            try:
                changed = picture.stat().st_ctime
            except OSError:
                continue
            old = now - changed > _OLD_SECONDS
            arrivals.see(picture, since=float("-inf") if old else None)


def _see(arrivals: Arrivals, folders: Sequence[Path], changed: Path) -> None:
    """Look at what has changed: a picture, or a folder that has come with pictures in it."""
    for folder in folders:
        try:
            relative = changed.absolute().relative_to(folder.absolute())
        except ValueError:
            continue
        if is_hidden(relative):
            continue
        here = folder / relative
        if here.is_dir() and not (here.is_symlink() and here != folder):
            for picture in search_folder(here)[0]:
                arrivals.see(picture)
        elif here.suffix.lower() in SUFFIXES and (here.is_file() or not os.path.lexists(here)):
            arrivals.see(here)
        return


def _signature(picture: Path) -> _Signature | None:
    try:
        status = picture.stat()
    except OSError:
        return None
    return status.st_ino, status.st_size, status.st_mtime_ns
