"""Captions from recordings are those of the modules themselves, for every kind of decoder."""

import pytest
import torch

from model.bundle.read import load_bundle
from model.captioning.captioner import Captioner
from model.config import CaptionerConfig
from model.networks.caption_network import load_caption_network
from model.runtime.cuda import CudaGraphRunner
from tests.model.captioning.test_captioner import pictures
from tests.model.replayed import Recorder
from tests.model.runtime.test_openvino import DECODERS, agree
from tests.tiny import save_finalized_captioner, save_tiny_captioner


def recorded(folder, device="cpu", **options) -> Captioner:
    captioner = Captioner.load(folder, device)
    network = load_caption_network(load_bundle(folder, CaptionerConfig))
    size = captioner.config.preprocessing.size
    captioner.runner = CudaGraphRunner(network, size, device, **options)
    return captioner


@pytest.mark.parametrize("decoder", DECODERS, ids=str)
def test_captions_are_those_of_the_modules(decoder, tmp_path):
    folder = save_tiny_captioner(tmp_path / "tiny", **decoder)
    record = Recorder()
    own, eager = recorded(folder, record=record), Captioner.load(folder, "cpu")
    for count, beam_size in ((1, 1), (3, 4), (5, 3), (1, 1)):
        options = {"beam_size": beam_size, "num_captions": beam_size, "attention": True}
        expected = eager.caption(pictures(count), **options)
        for mine, theirs in zip(own.caption(pictures(count), **options), expected, strict=True):
            for one, other in zip(mine, theirs, strict=True):
                agree(one, other)
    assert set(record.batches) == {1, 4, 8}


def test_a_finished_captioner_is_the_same_in_all_that_it_tells(tmp_path):
    folder = save_finalized_captioner(tmp_path / "finished")
    own, eager = recorded(folder, record=Recorder()), Captioner.load(folder, "cpu")
    for picture in pictures(3):
        (found,), (expected,) = (
            c.caption([picture], beam_size=3, image_gain=True) for c in (own, eager)
        )
        agree(found[0], expected[0])
        scored = [c.score(picture, "a red ball", attention=True) for c in (own, eager)]
        assert scored[0].logprob == pytest.approx(scored[1].logprob, abs=1e-4)


def test_less_precision_changes_log_probabilities_little(tmp_path):
    folder = save_tiny_captioner(tmp_path / "tiny")
    rough = recorded(folder, precision="bfloat16", record=Recorder())
    exact = Captioner.load(folder, "cpu")
    for picture in pictures(3):
        own, other = (c.score(picture, "a dog runs") for c in (rough, exact))
        assert own.logprob == pytest.approx(other.logprob, abs=0.2)
        assert own.logprob != other.logprob


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs an NVIDIA GPU")
@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_captions_of_cuda_graphs_are_those_of_the_modules(precision, tmp_path, monkeypatch):
    # Else products have ten bits, and which kernels are chosen depends on the batch.
    monkeypatch.setattr(torch.backends.cudnn, "allow_tf32", False)
    folder = save_finalized_captioner(tmp_path / "finished")
    own = recorded(folder, "cuda", precision=precision)
    eager = Captioner.load(folder, "cuda", precision=precision)
    close = 1e-4 if precision == "float32" else 0.2
    for picture in pictures(3):
        scores = [c.score(picture, "a red ball", image_gain=True) for c in (own, eager)]
        assert scores[0].logprob == pytest.approx(scores[1].logprob, abs=close)
    for count in (3, 4, 1):
        found, expected = (c.caption(pictures(count), beam_size=3) for c in (own, eager))
        for mine, theirs in zip(found, expected, strict=True):
            if precision == "float32":
                assert mine[0].text == theirs[0].text
                assert mine[0].logprob == pytest.approx(theirs[0].logprob, abs=close)
