"""What the docs say of batch normalization, measured."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from PIL import Image
from torch import nn

from model.studies.batch_norm import (
    EPSILON,
    BatchNorm,
    batch_norm,
    batch_norm_gradients,
    measure_in_one_pass,
)
from model.studies.digits import Digits, digits, learn, scaled
from model.studies.normalization import (
    accuracy_in_batches,
    averages_against_one_pass,
    differences_from_pytorch,
    identity_error,
    network_with,
)
from model.studies.normalization_study import (
    PARTS,
    NormalizationStudySettings,
    study_normalization,
)


def quiet(line: str) -> None:
    pass


@pytest.fixture(scope="module")
def few() -> Digits:
    data = scaled(digits())
    return replace(data, train=data.train[:300], train_labels=data.train_labels[:300])


def test_a_batch_is_normalised_by_the_four_equations() -> None:
    x = torch.tensor([[1.0, 10.0], [3.0, 10.0], [5.0, 40.0]])
    y, mean, var = batch_norm(x, torch.tensor([1.0, 2.0]), torch.tensor([0.0, 5.0]))
    assert mean.tolist() == [3, 20]
    assert var.tolist() == pytest.approx([8 / 3, 200])
    assert y[:, 0].tolist() == pytest.approx([-(1.5**0.5), 0, 1.5**0.5], abs=1e-5)
    assert y[:, 1].tolist() == pytest.approx([5 - 2 * 0.5**0.5] * 2 + [5 + 2 * 2**0.5])


@pytest.mark.parametrize("seed", [1, 2])
def test_it_equals_pytorchs(seed: int) -> None:
    exact = differences_from_pytorch(seed, torch.float64)
    assert set(exact) == {"forward", "backward", "running averages", "test mode"}
    assert max(exact.values()) < 1e-12
    single = differences_from_pytorch(seed, torch.float32)
    assert 0 < max(single.values()) < 1e-6


def test_the_written_gradients_are_those_of_the_equations() -> None:
    torch.manual_seed(0)
    x, gamma, beta, above = (
        torch.randn(*shape, dtype=torch.double) for shape in ((6, 3), (3,), (3,), (6, 3))
    )
    by_x, by_gamma, by_beta = batch_norm_gradients(x, gamma, above)

    def loss(x: torch.Tensor, gamma: torch.Tensor, beta: torch.Tensor) -> float:
        return float((batch_norm(x, gamma, beta)[0] * above).sum())

    step = 1e-6
    nudge = torch.zeros_like(x)
    nudge[2, 1] = step
    slope = (loss(x + nudge, gamma, beta) - loss(x - nudge, gamma, beta)) / (2 * step)
    assert float(by_x[2, 1]) == pytest.approx(slope, rel=1e-6)
    row = nudge[2]
    slope = (loss(x, gamma + row, beta) - loss(x, gamma - row, beta)) / (2 * step)
    assert float(by_gamma[1]) == pytest.approx(slope, rel=1e-6)
    slope = (loss(x, gamma, beta + row) - loss(x, gamma, beta - row)) / (2 * step)
    assert float(by_beta[1]) == pytest.approx(slope, rel=1e-6)
    # Adding the same to every example changes nothing, so the gradient has no such part.
    assert by_x.sum(dim=0).abs().max() < 1e-12


def test_gamma_and_beta_recover_the_identity() -> None:
    assert identity_error(1) < 1e-12
    x = torch.randn(40, 3) * 5 + 7
    y, mean, var = batch_norm(x, torch.ones(3), torch.zeros(3))
    assert (y - x).abs().max() > 1
    again, _, _ = batch_norm(x, torch.sqrt(var + EPSILON), mean)
    torch.testing.assert_close(again, x)


def test_scale_and_shift_of_the_weights_before_do_not_matter() -> None:
    torch.manual_seed(0)
    x = torch.randn(30, 4, dtype=torch.double) * 3
    gamma, beta = torch.ones(4), torch.zeros(4)
    one = batch_norm(x, gamma, beta)[0]
    torch.testing.assert_close(batch_norm(1000 * x - 7, gamma, beta)[0], one, atol=1e-5, rtol=0)


def test_one_example_has_no_variance() -> None:
    layer = BatchNorm(3)
    with pytest.raises(ValueError, match="one example has no variance: give at least two"):
        layer(torch.ones(1, 3))
    assert layer.eval()(torch.ones(1, 3)).shape == (1, 3)


def test_one_pass_gives_the_mean_of_the_data() -> None:
    torch.manual_seed(0)
    x = torch.randn(40, 3) * 2 + 5
    network = nn.Sequential(BatchNorm(3, momentum=0.2))
    layer = network[0]
    for part in x.split(10):
        network(part)
    assert (layer.mean - x.mean(dim=0)).abs().max() > 0.5  # starts at 0, and forgets it slowly
    measure_in_one_pass(network, x, batch=10)
    torch.testing.assert_close(layer.mean, x.mean(dim=0))
    variances = torch.stack([part.var(dim=0) for part in x.split(10)])
    torch.testing.assert_close(layer.var, variances.mean(dim=0))
    assert (layer.momentum, network.training) == (0.2, False)


def test_in_training_mode_the_neighbours_matter(few: Digits) -> None:
    network = network_with("before", "ReLU", "He", seed=1)
    learn(network, few, rate=0.3, epochs=5, seed=1)
    small, large = (accuracy_in_batches(network, few, batch, seed=1) for batch in (2, 500))
    assert small[0] < 0.5 < 0.8 * large[0]
    assert small[1] > 0.5
    assert large[1] == 0  # one batch is the same in any order
    before = network[1].mean.clone()
    accuracy_in_batches(network, few, 2, seed=1)
    assert network[1].mean.equal(before)


def test_slow_running_averages_are_behind(few: Digits) -> None:
    found = {}
    for momentum in (0.01, 0.3):
        network = network_with("before", "ReLU", "He", seed=1, momentum=momentum)
        learn(network, few, rate=0.3, epochs=4, seed=1)
        found[momentum] = averages_against_one_pass(network, few)
    assert found[0.01]["distance"] > 3 * found[0.3]["distance"]
    assert found[0.01]["running"] < found[0.01]["one_pass"] - 0.1
    assert found[0.01]["one_pass"] == found[0.3]["one_pass"]


@pytest.mark.parametrize("start", ["small (0.01)", "large (1)"])
def test_it_forgives_bad_initial_weights(few: Digits, start: str) -> None:
    right = {
        place: learn(
            network_with(place, "ReLU", start, seed=1), few, rate=1.0, epochs=8, seed=1
        ).test
        for place in ("none", "before")
    }
    assert right["none"] < 0.2
    assert right["before"] > 0.6


def test_the_place_is_before_or_after_the_nonlinearity() -> None:
    kinds = {
        place: [type(layer).__name__ for layer in network_with(place, "tanh", "Xavier", seed=1)][:3]
        for place in ("none", "before", "after")
    }
    assert kinds == {
        "none": ["Linear", "Tanh", "Linear"],
        "before": ["Linear", "BatchNorm", "Tanh"],
        "after": ["Linear", "Tanh", "BatchNorm"],
    }


@pytest.mark.slow
def test_every_part_reports_what_it_measured(tmp_path: Path) -> None:
    settings = NormalizationStudySettings(seeds=1, epochs=1, rates=(0.3,))
    report = study_normalization(settings, report_progress=quiet)
    assert tuple(report.as_dict()) == PARTS
    files = report.write(tmp_path)
    assert {path.name for path in files} == {path.name for path in tmp_path.iterdir()}
    assert len(files) == 2 + len(PARTS) - 1  # the equations have no figure
    for path in files[2:]:
        with Image.open(path) as picture:
            assert picture.format == "PNG"
    text = (tmp_path / "normalization.md").read_text()
    assert "| float64 | below 1e-6 | below 1e-6 | below 1e-6 | below 1e-6 |" in text
    data = json.loads((tmp_path / "normalization.json").read_text())
    assert data["equations"]["identity"] < 1e-12
    right = data["forgiveness"][1]["runs"][0][0]["test"]
    assert f"| small (0.01) | with | {right:.2f} |" in text


def test_bad_settings_are_reported() -> None:
    with pytest.raises(ValueError, match="unknown part 'layers': choose from equations, modes"):
        NormalizationStudySettings(("layers",))
    with pytest.raises(ValueError, match="epochs must be at least 1, got 0"):
        NormalizationStudySettings(epochs=0)
    with pytest.raises(ValueError, match="learning rates must be above 0"):
        NormalizationStudySettings(rates=())
