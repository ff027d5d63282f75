"""OpenVINO computes what PyTorch computes, for every kind of decoder, without importing it."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from model.captioning.caption import Caption
from tests.model.captioning.test_captioner import KINDS, pictures
from tests.model.exported import load_with_both
from tests.tiny import save_finalized_captioner, save_tiny_captioner

ROOT = Path(__file__).resolve().parents[3]

# Every kind of decoder and every kind of cell.
CELLS = ("lstm", "gru", "mut1", "mut2", "mut3", "rnn")
DECODERS = [kind | {"cell": cell} for kind, cell in zip(KINDS, CELLS, strict=True)]
DECODERS.append(KINDS[0] | {"cell": "gru-cho"})


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


@pytest.mark.slow
@pytest.mark.parametrize("decoder", DECODERS, ids=str)
def test_captions_equal_those_of_pytorch(decoder, tmp_path, monkeypatch):
    bundle = save_tiny_captioner(tmp_path / "tiny", **decoder)
    torch_captioner, openvino_captioner = load_with_both(bundle, tmp_path / "cache", monkeypatch)
    for count, beam_size in ((1, 1), (1, 4), (5, 3)):
        options = {"beam_size": beam_size, "num_captions": beam_size, "attention": True}
        expected = torch_captioner.caption(pictures(count), **options)
        results = openvino_captioner.caption(pictures(count), **options)
        for row, expected_row in zip(results, expected, strict=True):
            for one, other in zip(row, expected_row, strict=True):
                agree(one, other)


@pytest.mark.slow
def test_a_finalized_captioner_returns_the_same_details(tmp_path, monkeypatch):
    bundle = save_finalized_captioner(tmp_path / "finalized")
    torch_captioner, openvino_captioner = load_with_both(bundle, tmp_path / "cache", monkeypatch)
    assert openvino_captioner.self_test() == 1
    for picture in pictures(4):
        options = {"beam_size": 3, "num_captions": 3, "image_gain": True}
        (results,), (expected,) = (
            c.caption([picture], **options) for c in (openvino_captioner, torch_captioner)
        )
        for one, other in zip(results, expected, strict=True):
            agree(one, other)
        scored = openvino_captioner.score(picture, "a red ball", attention=True, image_gain=True)
        agree(scored, torch_captioner.score(picture, "a red ball", attention=True, image_gain=True))


@pytest.mark.slow
def test_outputs_are_not_overwritten_by_the_next_step(tmp_path, monkeypatch):
    bundle = save_tiny_captioner(tmp_path / "tiny")
    _, captioner = load_with_both(bundle, tmp_path / "cache", monkeypatch)
    runner = captioner.runner
    context = runner.encode_context(captioner.encode(captioner.prepare(pictures(1))))
    state = tuple(part[:, None] for part in context.start)
    first, after, weights = runner.step(np.array([[1]]), state, context)
    copies = [array.copy() for array in (first, *after, weights)]
    runner.step(np.array([[7]]), after, context)
    for array, copy in zip((first, *after, weights), copies, strict=True):
        assert np.array_equal(array, copy)


@pytest.mark.slow
def test_a_search_its_details_and_tags_share_one_context(tmp_path, monkeypatch):
    bundle = save_finalized_captioner(tmp_path / "finalized")
    _, captioner = load_with_both(bundle, tmp_path / "cache", monkeypatch)
    runner = captioner.runner
    calls = []
    run = runner._encode_context
    monkeypatch.setattr(runner, "_encode_context", lambda inputs: calls.append(1) or run(inputs))
    for times, picture in enumerate(pictures(2), 1):
        grid = captioner.encode(captioner.prepare([picture]))
        captioner.search(grid, attention=True, image_gain=True, top_logprobs=2)
        assert len(calls) == times


@pytest.mark.slow
def test_the_pytorch_network_is_not_available(tmp_path, monkeypatch):
    bundle = save_tiny_captioner(tmp_path / "tiny")
    _, captioner = load_with_both(bundle, tmp_path / "cache", monkeypatch)
    assert captioner.device == "cpu"
    with pytest.raises(ValueError, match="load it with runtime='torch'"):
        _ = captioner.network


@pytest.mark.slow
def test_pytorch_is_never_imported(tmp_path, monkeypatch):
    bundle = save_finalized_captioner(tmp_path / "finalized")
    load_with_both(bundle, tmp_path / "cache", monkeypatch)
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
    process = subprocess.run([sys.executable, "-c", program], cwd=ROOT, check=False)
    assert process.returncode == 0
