"""Read captions back from files of every format."""

import csv
import json
from pathlib import Path

import pytest


def rows(path: Path) -> list[dict]:
    """Return the path, rank, text and logprob of every caption in a file, failed files left out."""
    match path.suffix:
        case ".jsonl":
            return [
                {"path": line["path"], "rank": rank, "caption": one["text"]} | logprob(one)
                for line in map(json.loads, path.read_text().splitlines())
                for rank, one in enumerate(line["captions"], start=1)
            ]
        case ".csv":
            with path.open(newline="") as file:
                found = list(csv.DictReader(file))
        case _:
            import pyarrow.parquet as pq

            found = pq.read_table(path).to_pylist()
    return [
        {"path": one["path"], "rank": int(one["rank"]), "caption": one["caption"]} | logprob(one)
        for one in found
        if not one["error"]
    ]


def logprob(one: dict) -> dict:
    return {"logprob": pytest.approx(float(one["logprob"]), abs=1e-4)}
