"""Write a picture's caption into a file beside it, where other tools look for one.

The picture itself is never touched, and a caption that a sidecar has already stays, unless it is to
be replaced. A sidecar is written whole or not at all.
"""

from __future__ import annotations

import os
import shutil
from collections import defaultdict
from contextlib import suppress
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING

from app.bulk.names import shown_path
from app.bulk.xmp import Description, describe, is_described
from model.captioning.wording import alt_text
from model.files import atomic_write

if TYPE_CHECKING:
    from collections.abc import Iterable

    from app.bulk.results import CaptionedFile

__all__ = ["SidecarError", "SidecarKind", "Sidecars", "sidecar_path"]

# Lightroom keeps the masks of a picture in its sidecar: some are megabytes.
_MAX_BYTES = 16 << 20


class SidecarKind(StrEnum):
    """The sidecars that `--sidecar` accepts."""

    TXT = "txt"
    XMP = "xmp"
    XMP_STEM = "xmp-stem"


class SidecarError(Exception):
    """A sidecar that cannot be written, and is as it was; the message says which, and why."""


def sidecar_path(picture: Path, kind: SidecarKind) -> Path:
    """Return where a picture's sidecar is: `a.txt`, `a.jpg.xmp` or `a.xmp` for `a.jpg`."""
    match kind:
        case SidecarKind.TXT:
            return picture.with_name(f"{picture.stem}.txt")
        case SidecarKind.XMP:
            return picture.with_name(f"{picture.name}.xmp")
        case SidecarKind.XMP_STEM:
            return picture.with_name(f"{picture.stem}.xmp")


class Sidecars:
    """The sidecars of some pictures.

    Args:
        kinds: which each picture gets.
        overwrite: whether to replace captions that sidecars have already.

    `skipped` counts the pictures whose sidecars had captions already, `weak` those whose caption
    was left empty, and `written` the files that were written.
    """

    def __init__(self, kinds: Iterable[SidecarKind], *, overwrite: bool = False) -> None:
        self.kinds = tuple(dict.fromkeys(kinds))
        self.skipped = self.weak = self.written = 0
        self._overwrite = overwrite
        self._pictures: defaultdict[str, set[str]] = defaultdict(set)
        self._finished: set[str] = set()

    def summary(self) -> str:
        """Report how many sidecars were written, and how many pictures have none and why."""
        parts = [f"{self.written:,} sidecars written"]
        if self.skipped:
            parts.append(f"{self.skipped:,} pictures had theirs (--overwrite replaces them)")
        if self.weak:
            parts.append(f"{self.weak:,} captions were too weak for one")
        return "; ".join(parts)

    def add(self, pictures: Iterable[Path]) -> None:
        """Register pictures, so that none takes the sidecar of another."""
        for picture in pictures:
            for kind in self.kinds:
                self._pictures[_absolute(sidecar_path(picture, kind))].add(_absolute(picture))

    def missing(self, picture: Path) -> bool:
        """Check whether a sidecar of a picture is to be written; if none is, count it as skipped.

        A sidecar that cannot be read is, so that `write` says why.
        """
        if _absolute(picture) in self._finished:
            return False
        try:
            missing = any(self._is_missing(picture, kind) for kind in self.kinds)
        except SidecarError:
            return True
        self.skipped += not missing
        return missing

    def write(self, result: CaptionedFile) -> None:
        """Write a picture's best caption into its sidecars; none if the caption was left empty.

        Raises:
            SidecarError: another picture has the same sidecar, it holds what is no XMP, or it
                cannot be read or written.
        """
        best, picture = result.captions[0], _absolute(result.path)
        if picture in self._finished:
            return
        shown = best.text if best.alt_text is None else best.alt_text
        if not shown:
            self.weak += 1
            return
        alternative = alt_text(best.text) if best.alt_text is None else best.alt_text
        description = Description(best.text, alternative, tuple(tag.word for tag in result.tags))
        for kind in self.kinds:
            if self._is_missing(result.path, kind):
                self._write(sidecar_path(result.path, kind), kind, shown, description)
        self._finished.add(picture)

    def _is_missing(self, picture: Path, kind: SidecarKind) -> bool:
        path = sidecar_path(picture, kind)
        self._check_name(picture, path)
        if self._overwrite or not os.path.lexists(path):
            return True
        if kind is SidecarKind.TXT:
            return False
        try:
            return not is_described(_read(path))
        except (OSError, ValueError) as error:
            raise _sidecar_error(path, error) from error

    def _check_name(self, picture: Path, path: Path) -> None:
        """Check that a sidecar is of one picture, and is no picture.

        Raises:
            SidecarError: it is not.
        """
        others = self._pictures[_absolute(path)] - {_absolute(picture)}
        if others:
            other = shown_path(Path(min(others)))
            raise SidecarError(
                f"its sidecar {path.name} would also be that of {other}: rename one of them, or "
                "use --sidecar xmp, which keeps the suffix"
            )
        with suppress(OSError):  # one of them is not there
            if path.samefile(picture):
                raise SidecarError("its sidecar would be the picture itself")
        if path.is_symlink():
            from app.pictures.decode import SUFFIXES  # noqa: PLC0415 - imports Pillow

            target = Path(os.path.realpath(path))  # unlike `resolve`, also of links in a circle
            if target.suffix.lower() in SUFFIXES:
                raise SidecarError(f"its sidecar {path.name} is a link to a picture, {target.name}")

    def _write(self, path: Path, kind: SidecarKind, shown: str, description: Description) -> None:
        try:
            before = _read(path) if os.path.lexists(path) else None
            if kind is SidecarKind.TXT:
                data = f"{shown}\n".encode()
            else:
                data = describe(before, description, overwrite=self._overwrite)
            path = path.resolve()  # a link stays a link
            with atomic_write(path) as temporary:
                temporary.write_bytes(data)
                if before is not None:
                    shutil.copymode(path, temporary)
            self.written += 1
        except (OSError, ValueError) as error:
            raise _sidecar_error(path, error) from error


def _read(path: Path) -> bytes:
    if not path.is_file():  # a pipe might never end
        raise ValueError("it is no file")
    with path.open("rb") as file:
        data = file.read(_MAX_BYTES + 1)
    if len(data) > _MAX_BYTES:
        raise ValueError(f"it has more than {_MAX_BYTES:,} bytes")
    return data


def _absolute(path: Path) -> str:
    return os.path.abspath(path)  # noqa: PTH100 - also drops `..`


def _sidecar_error(path: Path, error: OSError | ValueError) -> SidecarError:
    reason = (error.strerror if isinstance(error, OSError) else None) or str(error)
    return SidecarError(f"its sidecar {shown_path(path)} is left as it is: {reason}")
