"""OpenVINO gives what PyTorch gives, for every kind of decoder, without importing it."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from model.captioning.caption import Caption
from tests.model.captioning.test_captioner import KINDS, pictures
from tests.model.exported import by_both
from tests.tiny import save_finalized_captioner, save_tiny_captioner

ROOT = Path(__file__).resolve().parents[3]

# Every kind of decoder and every kind of cell.
CELLS = ("lstm", "gru", "mut1", "mut2", "mut3", "rnn")
DECODERS = [kind | {"cell": cell} for kind, cell in zip(KINDS, CELLS, strict=True)]


def agree(one: Caption, other: Caption) -> None:
    assert one.text == other.text
    assert one.finished == other.finished
    assert one.logprob == pytest.approx(other.logprob, abs=1e-4)
    assert one.agreement == pytest.approx(other.agreement, abs=1e-5)
    assert one.confidence == pytest.approx(other.confidence, abs=1e-5)
    for mine, theirs in zip(one.tokens, other.tokens, strict=True):
        assert mine.token == theirs.token
        assert mine.logprob == pytest.approx(theirs.logprob, abs=1e-5)
        assert mine.image_gain == pytest.approx(theirs.image_gain, abs=1e-4)
        if theirs.attention is None:
            assert mine.attention is None
        else:
            assert np.array(mine.attention) == pytest.approx(np.array(theirs.attention), abs=1e-5)


@pytest.mark.parametrize("decoder", DECODERS, ids=str)
def test_captions_are_those_of_pytorch(decoder, tmp_path, monkeypatch):
    bundle = save_tiny_captioner(tmp_path / "tiny", **decoder)
    by_torch, by_openvino = by_both(bundle, tmp_path / "cache", monkeypatch)
    for count, beam_size in ((1, 1), (1, 4), (5, 3)):
        options = {"beam_size": beam_size, "num_captions": beam_size, "attention": True}
        expected = by_torch.caption(pictures(count), **options)
        found = by_openvino.caption(pictures(count), **options)
        for mine, theirs in zip(found, expected, strict=True):
            for one, other in zip(mine, theirs, strict=True):
                agree(one, other)


def test_a_finished_captioner_is_the_same_in_all_that_it_tells(tmp_path, monkeypatch):
    bundle = save_finalized_captioner(tmp_path / "finished")
    by_torch, by_openvino = by_both(bundle, tmp_path / "cache", monkeypatch)
    assert by_openvino.self_test() == 1
    for picture in pictures(4):
        options = {"beam_size": 3, "num_captions": 3, "image_gain": True}
        (found,), (expected,) = (c.caption([picture], **options) for c in (by_openvino, by_torch))
        for one, other in zip(found, expected, strict=True):
            agree(one, other)
        scored = by_openvino.score(picture, "a red ball", attention=True, image_gain=True)
        agree(scored, by_torch.score(picture, "a red ball", attention=True, image_gain=True))


def test_what_a_step_gave_outlasts_the_next(tmp_path, monkeypatch):
    bundle = save_tiny_captioner(tmp_path / "tiny")
    _, captioner = by_both(bundle, tmp_path / "cache", monkeypatch)
    runner = captioner.runner
    picture = runner.encode_context(captioner.encode(captioner.prepare(pictures(1))))
    state = tuple(part[:, None] for part in picture.start)
    first, after, weights = runner.step(np.array([[1]]), state, picture)
    kept = [array.copy() for array in (first, *after, weights)]
    runner.step(np.array([[7]]), after, picture)
    for array, copy in zip((first, *after, weights), kept, strict=True):
        assert np.array_equal(array, copy)


def test_the_network_itself_is_elsewhere(tmp_path, monkeypatch):
    bundle = save_tiny_captioner(tmp_path / "tiny")
    _, captioner = by_both(bundle, tmp_path / "cache", monkeypatch)
    assert captioner.device == "cpu"
    with pytest.raises(ValueError, match="load it with runtime='torch'"):
        _ = captioner.network


def test_pytorch_is_never_imported(tmp_path, monkeypatch):
    bundle = save_finalized_captioner(tmp_path / "finished")
    by_both(bundle, tmp_path / "cache", monkeypatch)
    program = f"""
import sys
from PIL import Image
from model.captioning.captioner import Captioner
captioner = Captioner.load({str(bundle)!r}, "cpu", runtime="auto", self_test=True)
picture = Image.new("RGB", (50, 40), "red")
captioner.caption([picture], attention=True, image_gain=True)
captioner.score(picture, "a red ball")
sys.exit("torch" in sys.modules or sys.modules["openvino_telemetry"] is not None)
"""
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, check=False)
    assert done.returncode == 0
