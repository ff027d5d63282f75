"""Write captions to standard output, or to a file that a later run can resume.

An existing file is never overwritten, and a run only resumes a file that was made with the same
settings. These are kept next to a file of lines (`captions.jsonl.settings.json`), or in the
metadata of Parquet. While a run writes, it holds a lock (`.captions.jsonl.lock`).
"""

from __future__ import annotations

import errno
import json
import os
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from app.bulk.formats import LineFormat, OptionalFields, OutputFormat, line_format, make_printer
from app.bulk.imagefolder import FILE_NAME, file_name, metadata_format
from app.bulk.names import escape_controls, exact_text, shown_path
from app.bulk.results import FileResult
from app.bulk.resume import CompleteResults, drop_failed, read_csv, read_json_lines

if TYPE_CHECKING:
    from collections.abc import Callable
    from io import FileIO

__all__ = ["NO_OUTPUT", "Output", "OutputError", "open_output"]

_REMEDY = "choose another name, or move it away"

# The setting that names the folder a run was started in.
_FOLDER = "folder"


class OutputError(Exception):
    """An output that cannot be written; the message says why, and what to do."""


@dataclass(frozen=True)
class Output:
    """An open output.

    Attributes:
        write: adds a result.
        done: how often the output already had captions of each picture, by name.
        close: ends it.
        name: returns what the output calls a picture; raises ValueError if it cannot name it.
        has_rows: whether it keeps anything.
    """

    write: Callable[[FileResult], None]
    done: Counter[str]
    close: Callable[[], None]
    name: Callable[[Path], str] = exact_text
    has_rows: bool = True


NO_OUTPUT = Output(lambda result: None, Counter(), lambda: None, has_rows=False)


def open_output(
    path: Path | None,
    output_format: OutputFormat,
    optional_fields: OptionalFields,
    settings: dict[str, Any],
    *,
    resume: bool,
    relative: bool = True,
) -> Output:
    """Open an output: a new file, an existing one to resume, or without a path standard output.

    The settings are everything that decides what captions come out; `num_captions` is required.
    `relative` says whether a picture's path is: then the same path may be another picture in
    another folder, and an output is only resumed in the folder that it was made in.

    Raises:
        OutputError: the file exists and `resume` is not set, has other settings, is being written
            by another run, or cannot be written.
        ModuleNotFoundError: the format is Parquet and pyarrow is not installed.
    """
    if path is None:
        return Output(make_printer(output_format, optional_fields), Counter(), lambda: None)
    unlock = _lock(path)
    try:
        if path.exists() and not resume:
            raise OutputError(
                f"{shown_path(path)} already exists: resume it with --resume, or {_REMEDY}"
            )
        output = _open(path, output_format, optional_fields, settings, relative=relative)
    except BaseException:
        unlock()
        raise

    def close() -> None:
        try:
            output.close()
        finally:
            unlock()

    return replace(
        output,
        write=_raise_output_error(path, output.write),
        close=_raise_output_error(path, close),
    )


def _lock(path: Path) -> Callable[[], None]:
    """Keep other runs from writing this output, and return a function that lets them again."""
    from filelock import FileLock, Timeout  # noqa: PLC0415 - only outputs need it

    file = path.with_name(f".{path.name}.lock")
    try:
        if not path.parent.is_dir():
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT))
        lock = FileLock(file, blocking=False)
        lock.acquire()
    except Timeout as error:
        raise OutputError(
            f"{shown_path(path)} is being written by another run: wait until it ends, or choose "
            "another name"
        ) from error
    except OSError as error:
        raise _output_error(path, error) from error

    def unlock() -> None:
        # Removed while it is held: who opened it meanwhile finds it gone, and makes a new one.
        with suppress(OSError):
            file.unlink()
        lock.release()

    return unlock


def _open(
    path: Path,
    output_format: OutputFormat,
    optional_fields: OptionalFields,
    settings: dict[str, Any],
    *,
    relative: bool,
) -> Output:
    settings = json.loads(json.dumps({"format": output_format} | settings))
    # A `metadata.jsonl` names pictures relative to itself.
    relative = relative and output_format is not OutputFormat.IMAGEFOLDER
    folder = exact_text(Path.cwd())

    def check(earlier: Any) -> None:
        _require_same_settings(earlier, settings)
        if relative and earlier.get(_FOLDER, folder) != folder:
            raise ValueError(
                f"its paths are relative to {escape_controls(str(earlier[_FOLDER]))}: run it there"
            )

    open_ = _open_parquet if output_format is OutputFormat.PARQUET else _open_lines
    try:
        return open_(path, output_format, optional_fields, settings | {_FOLDER: folder}, check)
    except OSError as error:
        raise _output_error(path, error) from error
    except ValueError as error:
        raise OutputError(f"cannot resume {shown_path(path)}: {error}; {_REMEDY}") from error


def _open_lines(
    path: Path,
    output_format: OutputFormat,
    optional_fields: OptionalFields,
    settings: dict[str, Any],
    check: Callable[[Any], None],
) -> Output:
    is_metadata = output_format is OutputFormat.IMAGEFOLDER
    lines = (
        metadata_format(path.parent) if is_metadata else line_format(output_format, optional_fields)
    )
    settings_file = path.with_name(f"{path.name}.settings.json")
    # Unbuffered, so that a killed run leaves every line that it wrote, and few torn ones.
    file = path.open("ab", buffering=0)
    try:
        if file.tell() > 0:
            if not settings_file.exists():
                raise ValueError(
                    f"{settings_file.name}, with the settings it was made with, is missing"
                )
            check(_read_settings(settings_file))
            written = _read(path, output_format, lines, settings["num_captions"])
        else:
            settings_file.write_text(json.dumps(settings, indent=2) + "\n", "utf-8")
            written = CompleteResults(Counter(), 0)
        file.truncate(written.size)
        if written.failed:
            file.close()
            drop_failed(path, written)
            file = path.open("ab", buffering=0)
        if written.size == 0:
            _write_all(file, lines.header)
    except BaseException:
        file.close()
        raise
    return Output(
        lambda result: _write_all(file, lines.encode(result)),
        written.paths,
        file.close,
        name=partial(file_name, folder=path.parent) if is_metadata else exact_text,
    )


def _open_parquet(
    path: Path,
    output_format: OutputFormat,
    optional_fields: OptionalFields,
    settings: dict[str, Any],
    check: Callable[[Any], None],
) -> Output:
    from app.bulk.parquet import ParquetFolder  # noqa: PLC0415 - pyarrow is an extra

    del output_format
    if path.exists() and not path.is_dir():
        raise ValueError("it is a file, but Parquet is written as a folder of parts")
    earlier = ParquetFolder.read_settings(path)
    if earlier is not None:
        check(earlier)
    parts = ParquetFolder(path, optional_fields, settings)
    parts.drop_failed()
    return Output(parts.write, parts.count_paths(), parts.close)


def _read(
    path: Path, output_format: OutputFormat, lines: LineFormat, num_captions: int
) -> CompleteResults:
    with path.open("rb") as file:
        if output_format is OutputFormat.CSV:
            return read_csv(file, lines.header, num_captions)
        if output_format is OutputFormat.IMAGEFOLDER:
            return read_json_lines(file, FILE_NAME)
        return read_json_lines(file)


def _read_settings(file: Path) -> Any:
    try:
        return json.loads(file.read_text("utf-8"))
    except ValueError as error:
        raise ValueError(
            f"{file.name}, with the settings it was made with, is damaged ({error})"
        ) from error


def _require_same_settings(earlier: Any, settings: dict[str, Any]) -> None:
    """Check that the rest of an output is made like its beginning.

    Raises:
        ValueError: the settings differ; the message says how.
    """
    if not isinstance(earlier, dict):
        raise ValueError("its settings cannot be read")
    changes = [
        f"{name} was {earlier.get(name)} and is {settings.get(name)}"
        for name in settings | earlier
        if name != _FOLDER and earlier.get(name) != settings.get(name)
    ]
    if changes:
        raise ValueError(f"it was made with other settings ({', '.join(changes)})")


def _write_all(file: FileIO, text: str) -> None:
    data = memoryview(text.encode())
    while data:
        data = data[file.write(data) :]


def _raise_output_error(path: Path, work: Callable[..., None]) -> Callable[..., None]:
    """Wrap a function to raise `OutputError` with the file's name, for instance on a full disk."""

    def wrapped(*arguments: Any) -> None:
        try:
            work(*arguments)
        except OSError as error:
            raise _output_error(path, error) from error

    return wrapped


def _output_error(path: Path, error: OSError) -> OutputError:
    return OutputError(f"{shown_path(path)}: {error.strerror or error}")
