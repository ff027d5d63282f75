"""The weights of graphs, against those of the networks that are traced."""

import numpy as np
import pytest
import torch

from model.bundle.format import BundleError
from model.bundle.read import load_bundle
from model.config import CaptionerConfig
from model.networks.caption_network import load_caption_network
from model.runtime.graph_weights import compute_weights, read_tensors
from model.runtime.graphs import DecoderStep
from model.runtime.pytorch import inference_encoder
from tests.tiny import save_tiny_captioner, tamper


@pytest.fixture
def bundle(tmp_path):
    return load_bundle(save_tiny_captioner(tmp_path / "tiny"), CaptionerConfig)


def test_batch_norm_is_folded_as_in_pytorch(bundle):
    encoder, norms = inference_encoder(load_caption_network(bundle).encoder, 32)
    expected = {f"encoder.{name}": tensor for name, tensor in encoder.state_dict().items()}
    folds = [(f"encoder.{n.convolution}", f"encoder.{n.norm}", n.epsilon) for n in norms]
    shapes = {name: tuple(tensor.shape) for name, tensor in expected.items()}
    found = compute_weights(shapes, read_tensors(bundle), folds)
    assert folds
    for name, tensor in expected.items():
        np.testing.assert_allclose(found[name], tensor, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("embedding_size", [12, 20])
@pytest.mark.parametrize("cell", ["lstm", "gru", "mut1", "mut2"])
def test_all_words_are_projected_and_a_wide_output_is_one_product(tmp_path, cell, embedding_size):
    folder = save_tiny_captioner(tmp_path / "tiny", cell=cell, embedding_size=embedding_size)
    bundle = load_bundle(folder, CaptionerConfig)
    step = DecoderStep(load_caption_network(bundle).eval().decoder, ())
    expected = step.state_dict()
    if not step.decoder.config.tie_output:  # folded
        del expected["decoder.output_bias"]
    shapes = {name: tuple(tensor.shape) for name, tensor in expected.items()}
    found = compute_weights(shapes, read_tensors(bundle))
    for name, tensor in expected.items():
        np.testing.assert_allclose(found[name], tensor, rtol=1e-5, atol=1e-5)


def test_a_tensor_that_is_missing_or_of_another_shape_is_refused(bundle):
    tensors = read_tensors(bundle)
    with pytest.raises(KeyError, match="no such"):
        compute_weights({"no such": (1,)}, tensors)
    with pytest.raises(ValueError, match=r"decoder.output_bias has the shape \(\d+,\), not \(3,\)"):
        compute_weights({"decoder.output_bias": (3,)}, tensors)


def test_weights_that_changed_since_the_bundle_was_read_are_refused(bundle):
    tamper(bundle.folder)
    with pytest.raises(BundleError, match=r"model\.safetensors is damaged"):
        read_tensors(bundle)
    (bundle.folder / "model.safetensors").unlink()
    with pytest.raises(BundleError, match="cannot be read"):
        read_tensors(bundle)


def test_words_may_be_projected_in_blocks():
    rng = np.random.default_rng(0)
    tensors = {
        "decoder.embedding.weight": rng.standard_normal((7, 3)),
        "decoder.from_word.blocks.weight": rng.standard_normal((8, 3)),
        "decoder.from_word.blocks.bias": rng.standard_normal(8),
        "decoder.from_word.through.weight": rng.standard_normal((4, 3)),
    }
    words = compute_weights({"words": (7, 12)}, tensors)["words"]
    vectors = torch.from_numpy(tensors["decoder.embedding.weight"])
    blocks = torch.nn.functional.linear(
        vectors,
        torch.from_numpy(tensors["decoder.from_word.blocks.weight"]),
        torch.from_numpy(tensors["decoder.from_word.blocks.bias"]),
    )
    through = vectors @ torch.from_numpy(tensors["decoder.from_word.through.weight"]).T
    np.testing.assert_allclose(words, torch.cat([blocks, through], -1), rtol=1e-5, atol=1e-5)
