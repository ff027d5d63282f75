"""Captions as Parquet: a folder of numbered, complete parts.

A Parquet file ends with its table of contents: it cannot be appended to, and a truncated one cannot
be read. So results are buffered until they fill a part, which is written under a temporary name
and then renamed. A killed run loses less than one part, and resumes with the next. pyarrow, pandas,
Ray, Spark and DuckDB (`captions.parquet/*.parquet`) read a folder of parts as one table.
"""

from __future__ import annotations

import json
from collections import Counter
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from app.bulk.formats import as_rows
from app.bulk.results import CaptionedFile, FileResult

if TYPE_CHECKING:
    from pathlib import Path

    from app.bulk.formats import OptionalFields

__all__ = ["PICTURES_PER_PART", "ParquetFolder"]

# What a killed run has to redo at most: seconds on a GPU, half a minute on a few CPU cores.
PICTURES_PER_PART = 1000

# The key in every part's metadata under which the settings of its run are kept.
_SETTINGS = b"unrolled"

# Readers of a folder skip names that begin with an underscore.
_UNFINISHED = "_unfinished"


class ParquetFolder:
    """A folder of Parquet parts; each row is a caption with its tokens, or a failed file."""

    def __init__(
        self, folder: Path, optional_fields: OptionalFields, settings: dict[str, Any]
    ) -> None:
        self._folder = folder
        self._image_gain = optional_fields.image_gain
        self._schema = _schema(optional_fields).with_metadata({_SETTINGS: json.dumps(settings)})
        self._buffer: list[dict[str, object]] = []
        self._pictures = 0
        parts = _parts(folder)
        self._next = _number(parts[-1]) + 1 if parts else 0
        folder.mkdir(exist_ok=True)
        (folder / _UNFINISHED).unlink(missing_ok=True)

    @staticmethod
    def read_settings(folder: Path) -> Any:
        """Return the settings that a folder's parts were made with; None without parts.

        Raises:
            ValueError: the first part cannot be read, or its settings cannot.
        """
        parts = _parts(folder)
        if not parts:
            return None
        return json.loads((pq.read_schema(parts[0]).metadata or {}).get(_SETTINGS, b"null")) or {}

    def drop_failed(self) -> None:
        """Rewrite the parts without the rows of failed files, which a resumed run tries again."""
        for part in _parts(self._folder):
            errors = pq.ParquetFile(part).read(columns=["error"])["error"]
            if errors.null_count < len(errors):
                self._replace(part, pq.ParquetFile(part).read().filter(pc.is_null(errors)))

    def count_paths(self) -> Counter[str]:
        """Count how often the parts contain captions of each path."""
        paths: Counter[str] = Counter()
        for part in _parts(self._folder):
            rows = pq.ParquetFile(part).read(columns=["path", "rank"]).to_pylist()
            paths.update(row["path"] for row in rows if row["rank"] == 1)
        return paths

    def write(self, result: FileResult) -> None:
        """Add a file's result, and write a part once enough are buffered."""
        rows = as_rows(result)
        if isinstance(result, CaptionedFile):
            for row, caption in zip(rows, result.captions, strict=True):
                row["tokens"] = [
                    {"token": token.token, "logprob": token.logprob}
                    | ({"image_gain": token.image_gain} if self._image_gain else {})
                    for token in caption.tokens
                ]
        self._buffer += rows  # in one step, so that Ctrl-C leaves no picture half added
        self._pictures += 1
        if self._pictures >= PICTURES_PER_PART:
            self._write_part()

    def close(self) -> None:
        """Write what is buffered; a folder without parts gets one even without rows."""
        if self._buffer or self._next == 0:
            self._write_part()

    def _write_part(self) -> None:
        table = pa.Table.from_pylist(self._buffer, schema=self._schema)
        self._replace(self._folder / f"part-{self._next:06}.parquet", table)
        self._next += 1
        self._buffer, self._pictures = [], 0

    def _replace(self, part: Path, table: pa.Table) -> None:
        unfinished = self._folder / _UNFINISHED
        pq.write_table(table, unfinished)
        unfinished.replace(part)


def _parts(folder: Path) -> list[Path]:
    return sorted(folder.glob("part-*.parquet"), key=_number)


def _number(part: Path) -> int:
    return int(part.stem.removeprefix("part-"))


def _schema(optional_fields: OptionalFields) -> pa.Schema:
    token = [("token", pa.string()), ("logprob", pa.float64())]
    if optional_fields.image_gain:
        token.append(("image_gain", pa.float64()))
    optional = [name for name in optional_fields.names if name not in {"image_gain", "alt_text"}]
    return pa.schema([
        ("path", pa.string()),
        ("rank", pa.int32()),
        ("caption", pa.string()),
        *((("alt_text", pa.string()),) if optional_fields.alt_text else ()),
        ("logprob", pa.float64()),
        ("mean_logprob", pa.float64()),
        ("finished", pa.bool_()),
        *((name, pa.float64()) for name in optional),
        ("tokens", pa.list_(pa.struct(token))),
        ("error", pa.string()),
    ])  # fmt: skip
