"""Captions as Parquet: a folder of numbered parts, each of them whole.

A Parquet file ends with its table of contents: it cannot be appended to, and one that was cut short
cannot be read. So results are kept until they make a part, which is written under another name
and then renamed into place. A killed run loses less than one part, and goes on with the next;
pyarrow, pandas, Ray, Spark and DuckDB (`captions.parquet/*.parquet`) read a folder of parts as one
table. Knows tables; does not know how captions come about, nor who may go on with whose.
"""

from __future__ import annotations

import json
from collections import Counter
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.parquet as pq

from app.bulk.formats import as_rows

if TYPE_CHECKING:
    from pathlib import Path

    from app.bulk.files import Captioned
    from app.bulk.formats import Extras

__all__ = ["PICTURES_A_PART", "Parts"]

# Some seconds of a GPU, or half a minute of a few cores: as much as it takes to make again.
PICTURES_A_PART = 1000

# In every part's metadata: with which settings it was made.
_SETTINGS = b"unrolled"

# Readers of folders leave out what begins with an underscore.
_UNFINISHED = "_unfinished"


class Parts:
    """A folder of parts; rows are captions, with their tokens."""

    def __init__(self, folder: Path, extras: Extras, settings: dict[str, Any]) -> None:
        self._folder = folder
        self._grounding = extras.image_gain
        self._schema = _schema(extras).with_metadata({_SETTINGS: json.dumps(settings)})
        self._held: list[dict[str, object]] = []
        self._pictures = 0
        parts = _parts(folder)
        self._next = _number(parts[-1]) + 1 if parts else 0
        folder.mkdir(exist_ok=True)
        (folder / _UNFINISHED).unlink(missing_ok=True)

    @staticmethod
    def settings(folder: Path) -> Any:
        """Give the settings of the parts that are there, None if none is.

        Raises:
            ValueError: a part cannot be read, or is not of `unrolled caption`.
        """
        parts = _parts(folder)
        if not parts:
            return None
        return json.loads((pq.read_schema(parts[0]).metadata or {}).get(_SETTINGS, b"null")) or {}

    def written(self) -> Counter[str]:
        """Count how often each path is there."""
        paths: Counter[str] = Counter()
        for part in _parts(self._folder):
            rows = pq.ParquetFile(part).read(columns=["path", "rank"]).to_pylist()
            paths.update(row["path"] for row in rows if row["rank"] == 1)
        return paths

    def write(self, captioned: Captioned) -> None:
        """Add a file's captions, and write a part once there are enough."""
        rows = as_rows(captioned)
        for row, caption in zip(rows, captioned.captions, strict=True):
            row["tokens"] = [
                {"token": token.token, "logprob": token.logprob}
                | ({"image_gain": token.image_gain} if self._grounding else {})
                for token in caption.tokens
            ]
        self._held += rows  # at once: Ctrl-C leaves whole pictures
        self._pictures += 1
        if self._pictures >= PICTURES_A_PART:
            self._write_part()

    def close(self) -> None:
        """Write what is left; without any, a part of no rows, so that the folder is a table."""
        if self._held or self._next == 0:
            self._write_part()

    def _write_part(self) -> None:
        unfinished = self._folder / _UNFINISHED
        pq.write_table(pa.Table.from_pylist(self._held, schema=self._schema), unfinished)
        unfinished.replace(self._folder / f"part-{self._next:06}.parquet")
        self._next += 1
        self._held, self._pictures = [], 0


def _parts(folder: Path) -> list[Path]:
    return sorted(folder.glob("part-*.parquet"), key=_number)


def _number(part: Path) -> int:
    return int(part.stem.removeprefix("part-"))


def _schema(extras: Extras) -> pa.Schema:
    token = [("token", pa.string()), ("logprob", pa.float64())]
    if extras.image_gain:
        token.append(("image_gain", pa.float64()))
    optional = [name for name in extras.names if name != "image_gain"]
    return pa.schema([
        ("path", pa.string()),
        ("rank", pa.int32()),
        ("caption", pa.string()),
        ("logprob", pa.float64()),
        ("mean_logprob", pa.float64()),
        ("finished", pa.bool_()),
        *((name, pa.float64()) for name in optional),
        ("tokens", pa.list_(pa.struct(token))),
    ])  # fmt: skip
