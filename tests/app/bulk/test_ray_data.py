import json
import shutil
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from model.captioning.captioner import Captioner
from model.config import DecodingConfig

pytest.importorskip("ray")

import pyarrow as pa
import pyarrow.parquet as pq
import ray

from app.bulk.ray_data import SCHEMA, Summary, caption_dataset
from tests.app.local_ray import ROOT, local_ray

pytestmark = [
    pytest.mark.slow,
    # Ray triggers its own warnings, and leaves files and sockets open when it shuts down.
    pytest.mark.filterwarnings(r"ignore::DeprecationWarning:ray\."),
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]

WEIGHTS = ROOT / "weights" / "captioner"
EXAMPLES = sorted((ROOT / "examples").glob("*.jpg"))
DECODING = DecodingConfig(
    num_captions=2, length_penalty=0.5, no_repeat_ngram_size=3, consensus=True
)


@pytest.fixture(scope="module", autouse=True)
def _ray() -> Iterator[None]:
    with local_ray():
        ray.data.DataContext.get_current().enable_progress_bars = False
        yield


@pytest.fixture(scope="module")
def expected() -> dict[str, list[Any]]:
    captioner = Captioner.load(WEIGHTS, "cpu")
    found = {}
    for path in EXAMPLES:
        with Image.open(path) as picture:
            pixels = picture.convert("RGB")
        (found[path.name],) = captioner.caption([pixels], **asdict(DECODING))
    return found


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    """The examples, one of them again in a subfolder under an odd name, and two bad files."""
    folder = tmp_path / "pictures"
    (folder / "deeper").mkdir(parents=True)
    for path in EXAMPLES:
        shutil.copy(path, folder)
    shutil.copy(EXAMPLES[0], folder / "deeper" / "100%20 a#bü.JPG")
    (folder / "broken.jpg").write_bytes(EXAMPLES[0].read_bytes()[:2000])
    (folder / "empty.png").write_bytes(b"")
    (folder / "notes.txt").write_text("no picture, and not named like one")
    return folder


def run(source: Path | str, output: Path, **options: Any) -> Summary:
    options = {"weights": WEIGHTS, "batch_size": 3, "max_pixels": 10**7} | options
    return caption_dataset(str(source), DECODING, output=output, **options)


def rows_of(output: Path) -> dict[str, dict[str, Any]]:
    if output.suffix == ".jsonl":
        parts = [part.read_text().splitlines() for part in output.iterdir()]
        rows = [json.loads(line) for part in parts for line in part]
    else:
        table = pq.read_table(output)
        assert table.schema.equals(SCHEMA)
        rows = table.to_pylist()
    assert len({row["path"] for row in rows}) == len(rows)
    return {Path(row["path"]).name: row for row in rows}


def assert_captioned(row: dict[str, Any], captions: list[Any]) -> None:
    assert row["error"] is None
    assert row["captions"][0].items() <= row.items()
    for ours, theirs in zip(row["captions"], captions, strict=True):
        assert ours["caption"] == theirs.text
        assert ours["finished"] is theirs.finished
        for name in ("logprob", "mean_logprob", "confidence", "agreement"):
            assert ours[name] == pytest.approx(getattr(theirs, name), abs=1e-4)


def assert_bad(row: dict[str, Any], error: str) -> None:
    assert error in row["error"]
    assert list(row["captions"]) == []
    assert row["caption"] is row["logprob"] is row["finished"] is None


# As many workers as cores: reading and writing must not wait for a free one.
@pytest.mark.parametrize(("name", "workers"), [("captions", None), ("captions.jsonl", 2)])
def test_a_folder_is_captioned_as_without_ray(
    pictures: Path, tmp_path: Path, expected: dict[str, Any], name: str, workers: int | None
) -> None:
    output = tmp_path / name
    summary = run(pictures, output, concurrency=workers)
    assert summary == Summary(rows=len(expected) + 3, errors=2)
    rows = rows_of(output)
    assert rows.keys() == {*expected, "100%20 a#bü.JPG", "broken.jpg", "empty.png"}
    for file, captions in expected.items():
        assert_captioned(rows[file], captions)
        assert rows[file]["path"] == str(pictures / file)
    assert_captioned(rows["100%20 a#bü.JPG"], expected[EXAMPLES[0].name])
    assert_bad(rows["broken.jpg"], "cut short")
    assert_bad(rows["empty.png"], "the file is empty")
    with pytest.raises(ValueError, match="already exists"):
        run(pictures, output)


def test_tables_are_captioned(tmp_path: Path, expected: dict[str, Any]) -> None:
    """Plain bytes, the structs of Hugging Face, and an empty cell."""
    first, second = EXAMPLES[:2]
    cells = [{"bytes": first.read_bytes(), "path": None}, {"bytes": None, "path": "gone.jpg"}]
    (tmp_path / "table").mkdir()
    table = pa.table({"label": [1, 2], "image": cells, "id": [7, 8]})
    pq.write_table(table, tmp_path / "table" / "part-0.parquet")
    assert run(tmp_path / "table", tmp_path / "a") == Summary(rows=2, errors=1)
    rows = rows_of(tmp_path / "a")
    assert_captioned(rows["7"], expected[first.name])
    assert_bad(rows["8"], "no picture in this row")
    plain = pa.table({"path": ["one"], "bytes": [second.read_bytes()]})
    pq.write_table(plain, tmp_path / "plain.parquet")
    assert run(tmp_path / "*.parquet", tmp_path / "b") == Summary(rows=1, errors=0)
    assert_captioned(rows_of(tmp_path / "b")["one"], expected[second.name])


def test_a_uri_is_captioned(pictures: Path, tmp_path: Path, expected: dict[str, Any]) -> None:
    name = EXAMPLES[0].name
    for path in pictures.iterdir():
        if path.is_file() and path.name not in (name, "notes.txt"):
            path.unlink()
    output = (tmp_path / "captions").as_uri()
    summary = caption_dataset(
        pictures.as_uri(), DECODING, output=output, weights=WEIGHTS, max_pixels=1000
    )
    assert summary == Summary(rows=2, errors=2)
    assert_bad(rows_of(tmp_path / "captions")[name], "are too many")


def test_sources_without_pictures_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="there are no pictures in this folder"):
        run(tmp_path, tmp_path / "out")
    with pytest.raises(ValueError, match="no file matches this pattern"):
        run(tmp_path / "*.jpg", tmp_path / "out")
    with pytest.raises(ValueError, match=r"gone\.jpg"):
        run(tmp_path / "gone.jpg", tmp_path / "out")
    with pytest.raises(ValueError, match=r"gone.*\.parquet: no file matches"):
        run(tmp_path / "gone*.parquet", tmp_path / "out")
    pq.write_table(pa.table({"text": ["a"]}), tmp_path / "no.parquet")
    with pytest.raises(ValueError, match=r"needs a column path or id.*it has text"):
        run(tmp_path / "no.parquet", tmp_path / "out")
    assert not (tmp_path / "out").exists()
