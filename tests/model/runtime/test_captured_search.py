"""A search that is captured as a whole finds what the search step by step finds."""

import pytest

from model.captioning.captioner import Captioner
from model.runtime import captured_search
from tests.model.captioning.test_captioner import pictures
from tests.model.eager_capture import DEVICES, EagerCapture, capture_on
from tests.model.runtime.test_cuda import load_captured
from tests.model.runtime.test_openvino import DECODERS, agree
from tests.tiny import save_finalized_captioner, save_tiny_captioner

OPTIONS = [
    {"beam_size": 1, "max_length": 9},
    {"beam_size": 4, "num_captions": 4, "max_length": 12},
    {"beam_size": 3, "num_captions": 2, "length_penalty": 0.8, "max_length": 15},
    {
        "beam_size": 3,
        "num_captions": 3,
        "max_length": 15,
        "no_repeat_ngram_size": 2,
        "no_echo_words": ("and", "a"),
        "no_repeat_nouns": True,
        "no_open_endings": True,
    },
]


def assert_same(captured: Captioner, expected: Captioner, count: int, **options: object) -> None:
    found, known = (c.caption(pictures(count), **options) for c in (captured, expected))
    for one, other in zip(found, known, strict=True):
        assert len(one) == len(other)
        for result, caption in zip(one, other, strict=True):
            agree(result, caption)


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("decoder", DECODERS, ids=str)
def test_the_same_captions_are_found(decoder, device, tmp_path):
    folder = save_tiny_captioner(tmp_path / "tiny", **decoder)
    captured = load_captured(folder, device, capture=capture_on(device))
    expected = Captioner.load(folder, device, runtime="torch")
    assert captured.runner.search is not None
    for count, options in zip((3, 1, 5, 4), OPTIONS, strict=True):
        assert_same(captured, expected, count, **options)


@pytest.mark.parametrize("device", DEVICES)
def test_captions_that_a_short_search_leaves_open_are_searched_for_again(
    device, tmp_path, monkeypatch
):
    monkeypatch.setattr(captured_search, "_SHORT", 3)
    folder = save_finalized_captioner(tmp_path / "finalized")
    captured = load_captured(folder, device, capture=capture_on(device))
    expected = Captioner.load(folder, device, runtime="torch")
    for options in OPTIONS:
        assert_same(captured, expected, 6, **options)
        assert_same(captured, expected, 6, consensus=True, **options)


def test_few_ways_of_decoding_are_kept(tmp_path, monkeypatch):
    monkeypatch.setattr(captured_search, "_MAX_SEARCHES", 2)
    capture = EagerCapture()
    captured = load_captured(save_tiny_captioner(tmp_path / "tiny"), capture=capture)
    (grid,) = [captured.encode(captured.prepare(pictures(1)))]
    before = len(capture.batches)
    for beam_size in (1, 2, 1, 3, 1, 2):  # the last was dropped for the third
        captured.search(grid, beam_size=beam_size, max_length=5)
    assert len(capture.batches) == before + 4


def test_no_pictures_have_no_captions(tmp_path):
    captured = load_captured(save_tiny_captioner(tmp_path / "tiny"), capture=EagerCapture())
    assert captured.caption([]) == []
