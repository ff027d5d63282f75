"""Captions from captured graphs equal those of the modules, for every kind of decoder."""

import numpy as np
import pytest
import torch

from model.bundle.read import load_bundle
from model.captioning.captioner import Captioner
from model.config import CaptionerConfig
from model.networks.caption_network import load_caption_network
from model.runtime.cuda import CudaGraphRunner
from tests.model.captioning.test_captioner import pictures
from tests.model.eager_capture import DEVICES, EagerCapture, capture_on
from tests.model.runtime.test_openvino import DECODERS, agree
from tests.tiny import save_finalized_captioner, save_tiny_captioner


def load_captured(folder, device="cpu", **options) -> Captioner:
    # The mean picture is placed by the runner that loads it, in its precision.
    precision = options.get("precision", "float32")
    captioner = Captioner.load(folder, device, runtime="torch", precision=precision)
    network = load_caption_network(load_bundle(folder, CaptionerConfig))
    size, tables = captioner.config.preprocessing.size, captioner.preprocessing.tables
    captioner.runner = CudaGraphRunner(network, size, device, tables=tables, **options)
    return captioner


@pytest.mark.slow
@pytest.mark.parametrize("decoder", DECODERS, ids=str)
def test_captions_equal_those_of_the_modules(decoder, tmp_path):
    folder = save_tiny_captioner(tmp_path / "tiny", **decoder)
    capture = EagerCapture()
    captured, eager = load_captured(folder, capture=capture), Captioner.load(folder, "cpu")
    for count, beam_size in ((1, 1), (3, 4), (5, 3), (1, 1)):
        options = {"beam_size": beam_size, "num_captions": beam_size, "attention": True}
        expected = eager.caption(pictures(count), **options)
        for row, expected_row in zip(
            captured.caption(pictures(count), **options), expected, strict=True
        ):
            for one, other in zip(row, expected_row, strict=True):
                agree(one, other)
    assert set(capture.batches) == {1, 4, 8}


@pytest.mark.parametrize("kind", ["attention", "global"])
def test_a_word_detector_runs_in_half_precision(kind, tmp_path):
    """Also where the output is not folded, so that the decoder itself is rounded."""
    names = {"detected_words": 9, "classes": 6, "class_names": 5}
    folder = save_tiny_captioner(tmp_path / "tiny", kind=kind, **names)
    captured = load_captured(folder, capture=EagerCapture(), precision="bfloat16")
    assert captured.runner.usual_words.dtype == np.float32
    assert captured.caption(pictures(2), beam_size=2)[1][0].text


@pytest.mark.slow
def test_a_finalized_captioner_returns_the_same_details(tmp_path):
    folder = save_finalized_captioner(tmp_path / "finalized")
    captured, eager = load_captured(folder, capture=EagerCapture()), Captioner.load(folder, "cpu")
    for picture in pictures(3):
        (result,), (expected,) = (
            c.caption([picture], beam_size=3, image_gain=True) for c in (captured, eager)
        )
        agree(result[0], expected[0])
        scored = [c.score(picture, "a red ball", attention=True) for c in (captured, eager)]
        assert scored[0].logprob == pytest.approx(scored[1].logprob, abs=1e-4)


@pytest.mark.parametrize("device", DEVICES)
def test_bytes_are_encoded_as_the_numbers_that_they_become(device, tmp_path):
    captured = load_captured(
        save_tiny_captioner(tmp_path / "tiny"), device, capture=capture_on(device)
    )
    for count in (1, 3):
        given = captured.prepare(pictures(count))
        assert given.dtype == np.uint8
        grids = [captured.encode(p) for p in (given, captured.preprocessing(pictures(count)))]
        assert torch.equal(*grids)


@pytest.mark.slow
def test_less_precision_changes_log_probabilities_little(tmp_path):
    folder = save_finalized_captioner(tmp_path / "finalized")
    rounded = load_captured(folder, precision="bfloat16", capture=EagerCapture())
    exact = Captioner.load(folder, "cpu")
    for picture in pictures(3):
        score, other = (c.score(picture, "a dog runs", image_gain=True) for c in (rounded, exact))
        assert score.logprob == pytest.approx(other.logprob, abs=0.2)
        assert score.logprob != other.logprob


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs an NVIDIA GPU")
@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_captions_of_cuda_graphs_equal_those_of_the_modules(precision, tmp_path, monkeypatch):
    # TF32 keeps ten bits of a product, and its kernels depend on the batch.
    monkeypatch.setattr(torch.backends.cudnn, "allow_tf32", False)
    folder = save_finalized_captioner(tmp_path / "finalized")
    captured = load_captured(folder, "cuda", precision=precision)
    eager = Captioner.load(folder, "cuda", precision=precision)
    tolerance = 1e-4 if precision == "float32" else 0.2
    for picture in pictures(3):
        scores = [c.score(picture, "a red ball", image_gain=True) for c in (captured, eager)]
        assert scores[0].logprob == pytest.approx(scores[1].logprob, abs=tolerance)
    for count in (3, 4, 1):
        results, expected = (c.caption(pictures(count), beam_size=3) for c in (captured, eager))
        for row, expected_row in zip(results, expected, strict=True):
            if precision == "float32":
                assert row[0].text == expected_row[0].text
                assert row[0].logprob == pytest.approx(expected_row[0].logprob, abs=tolerance)
