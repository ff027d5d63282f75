"""Data sets of any size to captions, on all machines of a Ray cluster or all cores of this one.

Ray Data reads, shares out the work, starts again what a machine that was lost had to do, and
writes; each of its workers has a captioner of its own. Knows tables of pictures and where they
lie; does not know how captions are found. Needs the extra `cluster`.
"""

from __future__ import annotations

import glob
import os
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import ray
from pyarrow import fs
from pyarrow.dataset import dataset, field
from ray.data import ActorPoolStrategy, SaveMode

from app.bulk.files import Failed, find_pictures
from app.errors import PictureError
from app.pictures.decode import SUFFIXES, decode_picture
from app.settings import read_settings

if TYPE_CHECKING:
    from collections.abc import Iterable

    from PIL import Image

    from model.captioning.captioner import Caption, Captioner
    from model.config import DecodingConfig

__all__ = ["SCHEMA", "Summary", "caption_dataset"]

_CAPTION = (
    ("caption", pa.string()),
    ("logprob", pa.float64()),
    ("mean_logprob", pa.float64()),
    ("finished", pa.bool_()),
    ("confidence", pa.float64()),
    ("agreement", pa.float64()),
)

# The best caption has columns of its own; `captions` has all, best first; where `error` says
# what is wrong with a picture, it has none.
SCHEMA = pa.schema(
    [
        ("path", pa.string()),
        *_CAPTION,
        ("captions", pa.list_(pa.struct(_CAPTION))),
        ("error", pa.string()),
    ]
)

# Two captioners of one thread each write more captions than one of two threads.
_CPUS = 1

# Reading and writing waits for disks: were it to wait for cores too, captioners that have them all
# would wait for it without end.
_BESIDE = {"num_cpus": 0}

# A part of the output has as many rows, where there are as many.
_ROWS = 10_000

_NAMES = ("path", "id")
_PICTURES = ("bytes", "image")


@dataclass(frozen=True)
class Summary:
    """How many rows were written, and how many of them have an error in place of captions."""

    rows: int
    errors: int


def caption_dataset(
    source: str,
    decoding: DecodingConfig,
    *,
    output: Path | str,
    weights: Path,
    batch_size: int = 8,
    max_pixels: int,
    concurrency: int | None = None,
) -> Summary:
    """Caption every picture of a data set, and write one row for each, in any order.

    Starts Ray on this machine if RAY_ADDRESS names no cluster and none runs here. On a cluster,
    `weights`, and `source` and `output` if they are paths, must be what they are here on all its
    machines.

    Args:
        source: a picture, a folder of pictures or a pattern; a Parquet file, a folder of them or a
            pattern, with the columns `path` or `id`, and `image` or `bytes`; or any of these but
            a pattern as a URI (s3://, gs://).
        decoding: how captions are searched for.
        output: a folder that is not there yet; its parts are JSON lines if its name ends in
            .jsonl, else Parquet (see `SCHEMA`).
        weights: the captioner's bundle.
        batch_size: pictures at once.
        max_pixels: as in `decode_picture`.
        concurrency: how many captioners, each of which has a core, or a core and a GPU where the
            cluster has GPUs; None starts as many as there is room for.

    Raises:
        ValueError: there is nothing to caption in `source`, its table lacks a column, or `output`
            is there already.
        OSError: `source` or `output` cannot be reached.
    """
    paths, is_table = _find(source)
    target = str(output) if _is_uri(str(output)) else str(Path(output).absolute())
    _require_absent(target)
    ours = not ray.is_initialized()
    if ours:
        os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # Ray would report to its makers
        ray.init()
    try:
        pictures, columns = _read_table(paths) if is_table else (_read_files(paths), None)
        gpus = 1 if ray.cluster_resources().get("GPU") else 0
        captioned = pictures.map_batches(
            _Worker,
            fn_constructor_kwargs={
                "weights": weights.absolute(),
                "device": "cuda" if gpus else "cpu",
                "decoding": decoding,
                "max_pixels": max_pixels,
                "columns": columns or ("path", "bytes"),
            },
            batch_size=batch_size,
            batch_format="pyarrow",
            compute=ActorPoolStrategy(size=concurrency),
            num_cpus=_CPUS,
            num_gpus=gpus,
        )
        return _write(captioned, target)
    finally:
        if ours:
            ray.shutdown()


class _Worker:
    """What works in a process of Ray's: a captioner, and what it does with a part of the table."""

    def __init__(
        self,
        *,
        weights: Path,
        device: str,
        decoding: DecodingConfig,
        max_pixels: int,
        columns: tuple[str, str],
    ) -> None:
        self.captioner = _load(weights, device, threads=_CPUS)
        self.options = asdict(decoding)
        self.max_pixels = max_pixels
        self.columns = columns

    def __call__(self, table: pa.Table) -> pa.Table:
        names, files = (table[column].to_pylist() for column in self.columns)
        decoded = [self._decode(file) for file in files]
        pictures = [entry for entry in decoded if not isinstance(entry, str)]
        found = iter(self.captioner.caption(pictures, **self.options) if pictures else ())
        rows = [
            _row(str(name), error=entry) if isinstance(entry, str) else _row(str(name), next(found))
            for name, entry in zip(names, decoded, strict=True)
        ]
        return pa.Table.from_pylist(rows, SCHEMA)

    def _decode(self, file: Any) -> Image.Image | str:
        """Decode a cell, or say what is wrong with it."""
        # As Hugging Face's data sets have their pictures.
        data = file.get("bytes") if isinstance(file, dict) else file
        if not isinstance(data, bytes):
            return "there is no picture in this row"
        try:
            return decode_picture(data, self.max_pixels).image
        except PictureError as error:
            return error.message


def _load(weights: Path, device: str, *, threads: int) -> Captioner:
    from model.captioning.captioner import Captioner  # noqa: PLC0415 - only workers need it

    return Captioner.load(weights, device, runtime=read_settings().runtime, threads=threads)


def _row(
    path: str, captions: Iterable[Caption] = (), *, error: str | None = None
) -> dict[str, Any]:
    told = [
        {
            "caption": caption.text,
            "logprob": caption.logprob,
            "mean_logprob": caption.mean_logprob,
            "finished": caption.finished,
            "confidence": caption.confidence,
            "agreement": caption.agreement,
        }
        for caption in captions
    ]
    return {"path": path, **(told[0] if told else {}), "captions": told, "error": error}


def _is_uri(name: str) -> bool:
    return "://" in name


def _find(source: str) -> tuple[list[str], bool]:
    """List what is to be read, and say whether it is Parquet."""
    if _is_uri(source):
        return [source], source.endswith(".parquet") or _holds_parquet(source)
    if glob.has_magic(source) and source.endswith(".parquet"):
        paths = sorted(glob.glob(source, recursive=True))  # noqa: PTH207 - Path.glob takes no absolute pattern
        if not paths:
            raise ValueError(f"{source}: this pattern matches no file")
        return [os.path.abspath(path) for path in paths], True  # noqa: PTH100
    path = Path(source)
    if path.suffix == ".parquet" or (path.is_dir() and any(path.glob("*.parquet"))):
        return [str(path.absolute())], True
    pictures = []
    for found in find_pictures([source]):
        if isinstance(found, Failed):
            raise ValueError(f"{found.path}: {found.reason}")
        if not found.exists():
            raise ValueError(f"{found}: there is no such file")
        pictures.append(str(found.absolute()))
    return pictures, False


def _holds_parquet(uri: str) -> bool:
    filesystem, path = fs.FileSystem.from_uri(uri)
    inside = filesystem.get_file_info(fs.FileSelector(path, allow_not_found=True))
    return any(info.path.endswith(".parquet") for info in inside)


def _require_absent(target: str) -> None:
    filesystem, path = fs.FileSystem.from_uri(target)
    if filesystem.get_file_info(path).type != fs.FileType.NotFound:
        raise ValueError(f"{target} is there already: name a folder that is not")


def _read_files(paths: list[str]) -> Any:
    suffixes = sorted(SUFFIXES) if _is_uri(paths[0]) else None
    return ray.data.read_binary_files(
        paths, include_paths=True, file_extensions=suffixes, **_BESIDE
    )


def _read_table(paths: list[str]) -> tuple[Any, tuple[str, str]]:
    """Read a table, and say in which columns names and pictures are."""
    table = ray.data.read_parquet(paths, **_BESIDE)
    there = table.schema().names
    name = next((column for column in _NAMES if column in there), None)
    picture = next((column for column in _PICTURES if column in there), None)
    if name is None or picture is None:
        raise ValueError(
            f"{paths[0]}: needs the columns path or id, and image or bytes: "
            f"there is {', '.join(there)}"
        )
    return table.select_columns([name, picture]), (name, picture)


def _write(captioned: Any, target: str) -> Summary:
    options = {"mode": SaveMode.ERROR, "min_rows_per_file": _ROWS, "ray_remote_args": _BESIDE}
    if target.endswith(".jsonl"):
        captioned.write_json(target, double_precision=15, force_ascii=False, **options)
        file_format = "json"
    else:
        captioned.write_parquet(target, **options)
        file_format = "parquet"
    filesystem, path = fs.FileSystem.from_uri(target)
    written = dataset(path, SCHEMA, format=file_format, filesystem=filesystem)
    return Summary(
        rows=written.count_rows(), errors=written.count_rows(filter=field("error").is_valid())
    )
