"""Find the pictures that arguments stand for, and count what is left out."""

from __future__ import annotations

import glob
import os
import re
from collections import Counter
from dataclasses import dataclass
from pathlib import Path, PurePath
from typing import TYPE_CHECKING

from app.bulk.results import FailedFile
from app.pictures.clips import clip_suffixes
from app.pictures.decode import SUFFIXES

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable

__all__ = [
    "STANDARD_INPUT",
    "FoundPictures",
    "check_arguments",
    "describe",
    "find_pictures",
    "is_hidden",
    "search_folder",
]

# The argument `-`. A file of this name is given as `./-`, and listed with its whole path.
STANDARD_INPUT = Path("-")

# The folders in which Synology's systems keep thumbnails.
_THUMBNAILS = "@eaDir"

_MAX_KINDS = 12

_ADDRESS = re.compile(r"[a-z][a-z0-9+.-]+://", re.IGNORECASE)


@dataclass(frozen=True)
class FoundPictures:
    """The files to caption, in order, and how many others were left out, by kind."""

    files: list[Path | FailedFile]
    left_out: Counter[str]

    @property
    def paths(self) -> list[Path]:
        """The path of each file, those that failed included."""
        return [file.path if isinstance(file, FailedFile) else file for file in self.files]


def check_arguments(arguments: Iterable[str]) -> None:
    """Check that each argument can name a file.

    Raises:
        ValueError: one of them is empty or a web address.
    """
    for argument in arguments:
        if not argument:
            raise ValueError("a PATH is empty: give a file or folder, or . for this folder")
        if _ADDRESS.match(argument):
            raise ValueError(
                f"{argument} is an address, not a file: download the picture and give its path "
                "(only --ray reads addresses, of s3:// and gs://)"
            )


def find_pictures(arguments: Iterable[str], *, films: bool = False) -> FoundPictures:
    """List the files that arguments stand for: files as given, folders and globs in sorted order.

    A folder stands for the files in it, at any depth, that have the suffix of a picture, or with
    `films` also that of a film, and are neither hidden nor a system's thumbnails. A folder without
    any, a subfolder that cannot be read and a glob that matches nothing are listed as `FailedFile`.
    `-` is `STANDARD_INPUT`.
    """
    suffixes = clip_suffixes() if films else SUFFIXES
    files: list[Path | FailedFile] = []
    left_out: Counter[str] = Counter()
    for argument in arguments:
        # `os.path` answers False where `Path` raises: in a closed folder, or for a name too long.
        if argument == str(STANDARD_INPUT):
            files.append(STANDARD_INPUT)
        elif os.path.isdir(argument):  # noqa: PTH112
            files += _search(Path(argument), left_out, suffixes)
        elif os.path.lexists(argument) or not glob.has_magic(argument):
            files.append(_as_path(argument))
        else:
            files += _match(argument, left_out)
    return FoundPictures(files, left_out)


def describe(left_out: Counter[str]) -> str:
    """List the kinds of files that were left out, most frequent first: `.heic (12), hidden (1)`."""
    kinds = left_out.most_common(_MAX_KINDS)
    if others := left_out.total() - sum(count for _, count in kinds):
        kinds.append(("others", others))
    return ", ".join(f"{kind} ({count:,})" for kind, count in kinds)


def _as_path(name: str) -> Path:
    path = Path(name)
    return path.absolute() if path == STANDARD_INPUT else path


def search_folder(
    folder: Path,
    left_out: Counter[str] | None = None,
    suffixes: Collection[str] = SUFFIXES,
) -> tuple[list[Path], list[FailedFile]]:
    """List the pictures in a folder, at any depth, and the subfolders that cannot be read.

    Pictures are what has one of the suffixes. What is left out is counted, by kind.
    """
    pictures: list[Path] = []
    unreadable: list[FailedFile] = []
    folders = [str(folder)]
    while folders:
        path = folders.pop()
        try:
            with os.scandir(path) as entries:
                for entry in entries:
                    if kind := _kind_left_out(entry, suffixes):
                        if left_out is not None:
                            left_out[kind] += 1
                    elif entry.is_dir(follow_symlinks=False):
                        folders.append(entry.path)
                    else:
                        pictures.append(Path(entry.path))
        except OSError as error:
            unreadable.append(FailedFile(Path(path), error.strerror or str(error)))
    return sorted(pictures), sorted(unreadable, key=lambda each: each.path)


def is_hidden(path: PurePath) -> bool:
    """Check whether a search of a folder would leave a file out for its name or a folder's.

    Args:
        path: relative to the folder.
    """
    return any(part.startswith(".") or part == _THUMBNAILS for part in path.parts)


def _search(
    folder: Path, left_out: Counter[str], suffixes: Collection[str]
) -> list[Path | FailedFile]:
    """List the pictures in a folder, or that there are none."""
    left_out_here: Counter[str] = Counter()
    pictures, unreadable = search_folder(folder, left_out_here, suffixes)
    left_out.update(left_out_here)
    if not pictures and not unreadable:
        but = f", only {describe(left_out_here)}" if left_out_here else ""
        return [FailedFile(folder, f"there are no pictures in this folder{but}")]
    return [*unreadable, *pictures]


def _kind_left_out(entry: os.DirEntry[str], suffixes: Collection[str]) -> str | None:
    """Return why an entry of a folder is left out; None if it is a picture or a folder."""
    if entry.name.startswith("."):
        return "hidden"
    if entry.name == _THUMBNAILS:
        return _THUMBNAILS
    if entry.is_dir(follow_symlinks=False):
        return None
    if entry.is_symlink() and os.path.isdir(entry.path):  # noqa: PTH112
        return "links to folders"
    suffix = Path(entry.name).suffix.lower()
    if suffix not in suffixes:
        return suffix or "no suffix"
    return None if entry.is_file(follow_symlinks=False) or _may_be_file(entry.path) else "no file"


def _may_be_file(path: str) -> bool:
    """Check that reading a path can do no harm: a pipe, for example, might never end.

    A link that leads nowhere may be read, and fails.
    """
    return os.path.isfile(path) or not os.path.exists(path)  # noqa: PTH110, PTH113


def _match(pattern: str, left_out: Counter[str]) -> list[Path | FailedFile]:
    """List the files that a pattern matches."""
    # The folders at its front that exist by these very names, such as `photos [2020]`, are no
    # patterns.
    folder = next(path for path in Path(pattern).parents if os.path.isdir(path))  # noqa: PTH112
    rest = Path(pattern).relative_to(folder)
    files: list[Path | FailedFile] = []
    for match in sorted(glob.glob(os.path.join(glob.escape(str(folder)), rest), recursive=True)):  # noqa: PTH118, PTH207 - Path.glob takes no absolute pattern
        path = _as_path(match)
        if _THUMBNAILS in path.parts and _THUMBNAILS not in pattern:
            left_out[_THUMBNAILS] += 1
        elif _may_be_file(match):
            files.append(path)
        elif "**" not in rest.parts:  # which matches what is in the folders too
            left_out["folders" if os.path.isdir(match) else "no file"] += 1  # noqa: PTH112
    return files or [FailedFile(Path(pattern), "no file matches this pattern")]
