from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import app.bulk.files as module
from app.bulk.files import BATCHES_AHEAD, caption_files, usual_batch_size
from app.bulk.results import CaptionedFile, FailedFile
from model.captioning.captioner import Captioner
from tests.app.photos import encoded, photo
from tests.tiny import tiny_captioner

MAX_PIXELS = 1_000_000


@pytest.fixture(scope="module")
def captioner() -> Captioner:
    return tiny_captioner()


@pytest.fixture
def files(tmp_path: Path) -> list[Path]:
    """Eleven pictures of different shapes and formats."""
    paths = []
    for i in range(11):
        kind = ("JPEG", "PNG", "WEBP")[i % 3]
        path = tmp_path / f"{i:02}.{kind.lower()}"
        path.write_bytes(encoded(photo(20 + 7 * i, 90 - 5 * i), kind))
        paths.append(path)
    return paths


def caption(captioner: Captioner, paths: object, batch_size: int = 4) -> Iterator:
    return caption_files(
        captioner,
        paths,
        captioner.config.decoding,
        batch_size=batch_size,
        max_pixels=MAX_PIXELS,
    )


def test_batches_give_the_same_captions_as_single_pictures_in_order(
    captioner: Captioner, files: list[Path]
) -> None:
    from app.pictures.decode import read_picture

    found = list(caption(captioner, files))
    assert [one.path for one in found] == files
    for one in found:
        (expected,) = captioner.caption([read_picture(one.path, MAX_PIXELS).image])
        assert [caption.text for caption in one.captions] == [caption.text for caption in expected]
        for ours, theirs in zip(one.captions, expected, strict=True):
            assert ours.logprob == pytest.approx(theirs.logprob, abs=1e-4)


@pytest.mark.parametrize("batch_size", [1, 3, 100])
def test_failures_are_reported_in_their_places(
    captioner: Captioner, files: list[Path], batch_size: int
) -> None:
    files[0].unlink()
    files[4].write_bytes(files[4].read_bytes()[:200])
    files[5].write_text("no picture")
    files[-1].write_bytes(encoded(photo(1200, 900)))
    given: list[Path | FailedFile] = [
        *files[:3],
        FailedFile(Path("*.x"), "matches nothing"),
        *files[3:],
    ]
    found = list(caption(captioner, given, batch_size))
    assert [one.path for one in found] == [
        one.path if isinstance(one, FailedFile) else one for one in given
    ]
    failed = {i: one.reason for i, one in enumerate(found) if isinstance(one, FailedFile)}
    assert list(failed) == [0, 3, 5, 6, 11]
    assert failed[0] == "No such file or directory"
    assert failed[3] == "matches nothing"
    assert "too many" in failed[11]
    assert all(one.captions for one in found if isinstance(one, CaptionedFile))


@pytest.mark.parametrize("batch_size", [1, 2, 5])
def test_no_more_pictures_are_taken_than_allowed(
    captioner: Captioner, files: list[Path], batch_size: int
) -> None:
    taken, most = 0, 0

    def paths() -> Iterator[Path]:
        nonlocal taken
        for path in files * 5:
            taken += 1
            yield path

    for given, _ in enumerate(caption(captioner, paths(), batch_size)):
        most = max(most, taken - given)
    assert taken == 55
    # More than the model's batch, so it does prefetch, and at most BATCHES_AHEAD batches beyond.
    assert batch_size < most <= (1 + BATCHES_AHEAD) * batch_size


def test_only_small_prepared_pictures_wait(
    captioner: Captioner, files: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    """However large photographs are, the threads hand on only small arrays."""
    original = module.prefetch
    shapes = []

    def spy(*arguments: Any, **options: Any) -> Iterator[Any]:
        for entry in original(*arguments, **options):
            shapes.append(entry.pixels.shape)
            yield entry

    monkeypatch.setattr(module, "prefetch", spy)
    files[0].write_bytes(encoded(photo(1000, 1000), "JPEG"))
    list(caption(captioner, files))
    assert shapes == [(1, 3, 64, 64)] * len(files)


def test_closing_early_closes_the_paths(captioner: Captioner, files: list[Path]) -> None:
    results = caption(captioner, iter(files * 100), 2)
    assert next(results).path == files[0]
    results.close()
    assert list(results) == []


def test_a_gpu_takes_more_pictures_at_once() -> None:
    assert usual_batch_size("cpu") == 8
    assert usual_batch_size("cuda:1") == 128
