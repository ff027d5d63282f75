"""Where captions go: standard output, or a file that a later run can go on with.

Nothing that is there is written over, and nothing is added to what was made in another way: the
settings of a run lie beside its lines (`captions.jsonl.settings.json`), or in its Parquet. Knows
files, old and new; does not know how captions come about.
"""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from app.bulk.formats import Extras, Lines, OutputFormat, lines_of, make_writer, printable
from app.bulk.resume import WrittenCaptions, read_csv, read_json_lines

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from io import FileIO

    from app.bulk.files import Captioned, Failed

__all__ = ["Output", "OutputError", "choose_format", "open_output", "remaining"]

_MEND = "give another name, or move it away"


class OutputError(Exception):
    """An output cannot be written; the message says what would be right."""


@dataclass(frozen=True)
class Output:
    """Takes captions; `done` counts how often each path was there when it was opened."""

    write: Callable[[Captioned], None]
    done: Counter[str]
    close: Callable[[], None]


def choose_format(asked: OutputFormat | None, output: Path | None) -> OutputFormat:
    """Take the format that is asked for, else the one that the output's name says.

    Raises:
        ValueError: the output's name says none, or the format does not go there.
    """
    if output is None:
        if asked is OutputFormat.PARQUET:
            raise ValueError("--format parquet needs --output: it cannot be streamed")
        return asked or OutputFormat.TEXT
    kept = [one for one in OutputFormat if one is not OutputFormat.TEXT]
    named = {f".{one}": one for one in kept}
    chosen = asked or named.get(output.suffix.lower())
    if chosen not in kept:
        raise ValueError(f"--output is named {', '.join(named)}, or has one of these as --format")
    return chosen


def open_output(
    path: Path | None,
    output_format: OutputFormat,
    extras: Extras,
    settings: dict[str, Any],
    *,
    resume: bool,
) -> Output:
    """Open an output, which must be new unless `resume` is given; without a path, standard output.

    The settings are how captions are made: `num_captions`, and whatever else counts.

    Raises:
        OutputError: it is there already, was made in another way, or cannot be written.
        ModuleNotFoundError: Parquet needs pyarrow.
    """
    if path is None:
        return Output(make_writer(output_format, extras), Counter(), lambda: None)
    if path.exists() and not resume:
        raise OutputError(f"{path} is there already: --resume goes on with it; else {_MEND}")
    settings = json.loads(json.dumps({"format": output_format} | settings))
    open_ = _open_parts if output_format is OutputFormat.PARQUET else _open_lines
    try:
        output = open_(path, output_format, extras, settings)
    except OSError as error:
        raise OutputError(f"{path}: {error.strerror or error}") from error
    except ValueError as error:
        raise OutputError(f"cannot go on with {path}: {error}; {_MEND}") from error
    return Output(_told(path, output.write), output.done, _told(path, output.close))


def remaining(files: Iterable[Path | Failed], done: Counter[str]) -> list[Path | Failed]:
    """Leave out the files that are done; one that is named twice is to be done twice."""
    done = done.copy()
    rest: list[Path | Failed] = []
    for file in files:
        name = printable(file) if isinstance(file, Path) else ""
        if done[name] > 0:
            done[name] -= 1
        else:
            rest.append(file)
    return rest


def _open_lines(
    path: Path, output_format: OutputFormat, extras: Extras, settings: dict[str, Any]
) -> Output:
    lines = lines_of(output_format, extras)
    beside = path.with_name(f"{path.name}.settings.json")
    # Without a buffer, a line is there as soon as it is written, and mostly whole.
    file = path.open("ab", buffering=0)
    try:
        if file.tell() > 0:
            if not beside.exists():
                raise ValueError(f"{beside.name}, which says how it was made, is not beside it")
            _compare(json.loads(beside.read_text("utf-8")), settings)
            written = _read(path, output_format, lines, settings["num_captions"])
        else:
            beside.write_text(json.dumps(settings, indent=2) + "\n", "utf-8")
            written = WrittenCaptions(Counter(), 0)
        file.truncate(written.end)
        if written.end == 0:
            _write_all(file, lines.header)
    except BaseException:
        file.close()
        raise
    return Output(lambda one: _write_all(file, lines.encode(one)), written.paths, file.close)


def _open_parts(
    path: Path, output_format: OutputFormat, extras: Extras, settings: dict[str, Any]
) -> Output:
    from app.bulk.parquet import Parts  # noqa: PLC0415 - pyarrow is an extra

    del output_format
    if path.exists() and not path.is_dir():
        raise ValueError("it is a file, and not the folder of parts that is written here")
    earlier = Parts.settings(path)
    if earlier is not None:
        _compare(earlier, settings)
    parts = Parts(path, extras, settings)
    return Output(parts.write, parts.written(), parts.close)


def _read(
    path: Path, output_format: OutputFormat, lines: Lines, num_captions: int
) -> WrittenCaptions:
    with path.open("rb") as file:
        if output_format is OutputFormat.CSV:
            return read_csv(file, lines.header, num_captions)
        return read_json_lines(file)


def _compare(earlier: Any, settings: dict[str, Any]) -> None:
    """See to it that an output is made in one way throughout.

    Raises:
        ValueError: the settings differ; the message says how.
    """
    if not isinstance(earlier, dict):
        raise ValueError("its settings cannot be read")
    other = [
        f"{name} was {earlier.get(name)} and is {settings.get(name)}"
        for name in settings | earlier
        if earlier.get(name) != settings.get(name)
    ]
    if other:
        raise ValueError(f"it was made in another way ({', '.join(other)})")


def _write_all(file: FileIO, text: str) -> None:
    data = memoryview(text.encode())
    while data:
        data = data[file.write(data) :]


def _told(path: Path, work: Callable[..., None]) -> Callable[..., None]:
    """Let what goes wrong with the file, such as a full disk, be told with its name."""

    def told(*arguments: Any) -> None:
        try:
            work(*arguments)
        except OSError as error:
            raise OutputError(f"{path}: {error.strerror or error}") from error

    return told
