"""Captioners are averaged by their weights."""

import subprocess
import sys
from pathlib import Path

import pytest
import torch

from model.bundle.write import save_bundle
from model.captioning.captioner import Captioner
from tests.tiny import save_finalized_captioner, save_tiny_captioner

SCRIPT = Path(__file__).parents[2] / "scripts" / "average_captioners.py"


def average(*arguments: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(SCRIPT), *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def weights(folder: Path) -> dict[str, torch.Tensor]:
    return Captioner.load(folder, device="cpu").network.state_dict()


@pytest.mark.slow
def test_each_tensor_is_the_weighted_mean(tmp_path):
    one = save_finalized_captioner(tmp_path / "one", seed=1)
    two = save_tiny_captioner(tmp_path / "two", seed=2)
    done = average(one, f"{two}:3", tmp_path / "mean")
    assert done.returncode == 0, done.stderr
    first, second, mean = weights(one), weights(two), weights(tmp_path / "mean")
    assert not all(torch.equal(first[name], second[name]) for name in first)
    for name, tensor in mean.items():
        expected = (first[name] + 3 * second[name]) / 4
        if not tensor.is_floating_point():
            expected = first[name]
        torch.testing.assert_close(tensor, expected, rtol=2e-3, atol=1e-5)  # stored in 16 bits
    averaged = Captioner.load(tmp_path / "mean", device="cpu")
    sources = averaged.config.provenance["average_of"]
    assert [source["weight"] for source in sources] == [1, 3]
    assert sources[0].items() >= Captioner.load(one, device="cpu").config.provenance.items()
    assert (averaged.config.calibration, averaged.config.golden) == (None, ())
    assert not averaged.has_consensus
    assert not averaged.has_image_gain
    assert not averaged.config.decoding.consensus


@pytest.mark.slow
def test_a_different_network_is_refused(tmp_path):
    one = save_tiny_captioner(tmp_path / "one")
    two = save_tiny_captioner(tmp_path / "two", hidden_size=24)
    done = average(one, two, tmp_path / "mean")
    assert done.returncode == 2
    assert f"{two} differs in its decoder from {one}" in done.stderr
    assert not (tmp_path / "mean").exists()


@pytest.mark.slow
def test_other_names_of_classes_are_refused(tmp_path):
    names = {"detected_words": 6, "classes": 4, "class_names": 3}
    one, two = (save_tiny_captioner(tmp_path / name, **names) for name in ("one", "two"))
    captioner = Captioner.load(two, device="cpu")
    captioner.network.decoder.class_names.words.copy_(torch.tensor([9, 8, 7]))
    state = captioner.network.state_dict()
    save_bundle(two, captioner.config, state, captioner.vocabulary, captioner.card)
    done = average(one, two, tmp_path / "mean")
    assert done.returncode == 2
    assert f"{two} differs in its names of classes from {one}" in done.stderr
