"""Caption data sets of any size on a Ray cluster, or on all cores of this machine.

Ray Data reads, distributes the work, redoes what a lost machine had to do, and writes; each of its
workers has its own captioner. Needs the extra `cluster`.
"""

from __future__ import annotations

import glob
import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import ray
from pyarrow import fs
from pyarrow.dataset import dataset, field
from ray.data import ActorPoolStrategy, SaveMode

from app.bulk.files import usual_batch_size
from app.bulk.find import find_pictures
from app.bulk.results import FailedFile
from app.errors import PictureError
from app.pictures.decode import SUFFIXES, decode_picture
from app.settings import read_settings

if TYPE_CHECKING:
    from collections.abc import Iterable

    from PIL import Image

    from model.captioning.caption import Caption
    from model.captioning.captioner import Captioner
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

# The best caption has its own columns; `captions` has all, best first. A picture that cannot be
# captioned has an `error` and no captions.
SCHEMA = pa.schema(
    [
        ("path", pa.string()),
        *_CAPTION,
        ("captions", pa.list_(pa.struct(_CAPTION))),
        ("error", pa.string()),
    ]
)

# Two captioners with one thread each are faster than one with two.
_CPUS = 1

# Reading and writing must not reserve cores: captioners hold all of them, and would wait for their
# input for ever.
_NO_CPUS = {"num_cpus": 0}

# The least number of rows in a part of the output, except the last.
_MIN_ROWS_PER_FILE = 10_000

_NAME_COLUMNS = ("path", "id")
_PICTURE_COLUMNS = ("bytes", "image")


@dataclass(frozen=True)
class Summary:
    """How many rows were written, and how many of them have an error instead of captions."""

    rows: int
    errors: int


def caption_dataset(
    source: str,
    decoding: DecodingConfig,
    *,
    output: Path | str,
    weights: Path,
    batch_size: int | None = None,
    max_pixels: int,
    concurrency: int | None = None,
) -> Summary:
    """Caption every picture of a data set, and write one row for each, in any order.

    Starts Ray on this machine unless RAY_ADDRESS names a cluster or one already runs here. On a
    cluster, `weights`, and `source` and `output` if they are paths, must be the same on every
    machine.

    Args:
        source: a picture, a folder of pictures or a pattern; or a Parquet file, a folder of them or
            a pattern, with the columns `path` or `id`, and `image` or `bytes`. All except
            patterns may also be URIs (s3://, gs://).
        decoding: how captions are searched for.
        output: a new folder; its parts are JSON lines if its name ends in
            .jsonl, else Parquet (see `SCHEMA`).
        weights: the captioner's bundle.
        batch_size: how many pictures a captioner takes at once; None: see `usual_batch_size`.
        max_pixels: as in `decode_picture`.
        concurrency: how many captioners, each with one core, and one GPU if the cluster has any;
            None starts as many as fit.

    Raises:
        ValueError: `source` has no pictures, its table lacks a column, or `output` already exists.
        OSError: `source` cannot be read, or `output` cannot be written.
    """
    paths, is_table = _find_source(source)
    target = str(output) if _is_uri(str(output)) else str(Path(output).absolute())
    _require_absent(target)
    started_here = not ray.is_initialized()
    if started_here:
        os.environ.setdefault(
            "RAY_USAGE_STATS_ENABLED", "0"
        )  # or Ray sends usage data to its makers
        ray.init()
    try:
        pictures, columns = _read_table(paths) if is_table else (_read_files(paths), None)
        gpus = 1 if ray.cluster_resources().get("GPU") else 0
        device = "cuda" if gpus else "cpu"
        captioned = pictures.map_batches(
            _CaptionWorker,
            fn_constructor_kwargs={
                "weights": weights.absolute(),
                "device": device,
                "decoding": decoding,
                "max_pixels": max_pixels,
                "columns": columns or ("path", "bytes"),
            },
            batch_size=batch_size or usual_batch_size(device),
            batch_format="pyarrow",
            compute=ActorPoolStrategy(size=concurrency),
            num_cpus=_CPUS,
            num_gpus=gpus,
        )
        return _write(captioned, target)
    finally:
        if started_here:
            ray.shutdown()


class _CaptionWorker:
    """A captioner in one of Ray's processes, called with a batch of the table."""

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
        self.decoding = decoding
        self.max_pixels = max_pixels
        self.columns = columns

    def __call__(self, table: pa.Table) -> pa.Table:
        names, files = (table[column].to_pylist() for column in self.columns)
        decoded = [self._decode(file) for file in files]
        pictures = [entry for entry in decoded if not isinstance(entry, str)]
        captions = iter(self.captioner.caption(pictures, self.decoding) if pictures else ())
        rows = [
            _row(str(name), error=entry)
            if isinstance(entry, str)
            else _row(str(name), next(captions))
            for name, entry in zip(names, decoded, strict=True)
        ]
        return pa.Table.from_pylist(rows, SCHEMA)

    def _decode(self, file: Any) -> Image.Image | str:
        """Return the picture in a cell, or a message that says what is wrong with it."""
        # Hugging Face's data sets store a picture as a struct.
        data = file.get("bytes") if isinstance(file, dict) else file
        if not isinstance(data, bytes):
            return "there is no picture in this row"
        if not data:
            return "the file is empty"
        try:
            return decode_picture(data, self.max_pixels).image
        except PictureError as error:
            return error.message


def _load(weights: Path, device: str, *, threads: int) -> Captioner:
    from model.captioning.captioner import Captioner  # noqa: PLC0415 - only workers need it

    settings = read_settings()
    return Captioner.load(
        weights,
        device,
        runtime=settings.runtime,
        threads=threads,
        precision=settings.precision,
    )


def _row(
    path: str, captions: Iterable[Caption] = (), *, error: str | None = None
) -> dict[str, Any]:
    fields = [
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
    return {"path": path, **(fields[0] if fields else {}), "captions": fields, "error": error}


def _is_uri(name: str) -> bool:
    return "://" in name


def _find_source(source: str) -> tuple[list[str], bool]:
    """List the files or folders to read, and whether they are Parquet."""
    if _is_uri(source):
        return [source], source.endswith(".parquet") or _contains_parquet(source)
    if glob.has_magic(source) and source.endswith(".parquet"):
        paths = sorted(glob.glob(source, recursive=True))  # noqa: PTH207 - Path.glob takes no absolute pattern
        if not paths:
            raise ValueError(f"{source}: no file matches this pattern")
        return [os.path.abspath(path) for path in paths], True  # noqa: PTH100
    path = Path(source)
    if path.suffix == ".parquet" or (path.is_dir() and any(path.glob("*.parquet"))):
        return [str(path.absolute())], True
    pictures = []
    for found in find_pictures([source]).files:
        if isinstance(found, FailedFile):
            raise ValueError(f"{found.path}: {found.reason}")
        if not found.exists():
            raise ValueError(f"{found}: no such file")
        pictures.append(str(found.absolute()))
    return pictures, False


def _contains_parquet(uri: str) -> bool:
    filesystem, path = fs.FileSystem.from_uri(uri)
    files = filesystem.get_file_info(fs.FileSelector(path, allow_not_found=True))
    return any(info.path.endswith(".parquet") for info in files)


def _require_absent(target: str) -> None:
    filesystem, path = fs.FileSystem.from_uri(target)
    if filesystem.get_file_info(path).type != fs.FileType.NotFound:
        raise ValueError(f"{target} already exists: choose another output")


def _read_files(paths: list[str]) -> Any:
    suffixes = sorted(SUFFIXES) if _is_uri(paths[0]) else None
    return ray.data.read_binary_files(
        paths, include_paths=True, file_extensions=suffixes, **_NO_CPUS
    )


def _read_table(paths: list[str]) -> tuple[Any, tuple[str, str]]:
    """Read a table, and find its columns of names and pictures."""
    table = ray.data.read_parquet(paths, **_NO_CPUS)
    columns = table.schema().names
    name = next((column for column in _NAME_COLUMNS if column in columns), None)
    picture = next((column for column in _PICTURE_COLUMNS if column in columns), None)
    if name is None or picture is None:
        raise ValueError(
            f"{paths[0]} needs a column path or id, and a column image or bytes; "
            f"it has {', '.join(columns)}"
        )
    return table.select_columns([name, picture]), (name, picture)


def _write(captioned: Any, target: str) -> Summary:
    options = {
        "mode": SaveMode.ERROR,
        "min_rows_per_file": _MIN_ROWS_PER_FILE,
        "ray_remote_args": _NO_CPUS,
    }
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
