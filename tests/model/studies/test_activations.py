"""What the docs say of activation functions, measured."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from PIL import Image
from torch import nn

from model.studies.activation_study import PARTS, ActivationStudySettings, study_activations
from model.studies.activations import (
    dead_share,
    descend,
    one_sign_share,
    saturation_by_depth,
    values_and_gradients,
)
from model.studies.dense import ACTIVATIONS, Maxout, dense, parameter_count, seeded
from model.studies.digits import Digits, digits, learn, scaled


def quiet(line: str) -> None:
    pass


@pytest.fixture
def few() -> Digits:
    """A few digits, of pixels from -1 to 1."""
    data = scaled(digits())
    return replace(data, train=data.train[:200], train_labels=data.train_labels[:200])


def test_the_digits_are_divided_without_overlap() -> None:
    data = digits()
    parts = (data.train, data.validation, data.test)
    assert [len(part) for part in parts] == [1_000, 297, 500]
    assert len(data.train_labels) == 1_000
    whole = torch.cat(parts)
    assert (whole.min(), whole.max()) == (0, 16)
    assert len(whole.unique(dim=0)) == 1_797


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_gradients_are_those_of_the_values(name: str) -> None:
    at, step = [-10.0, -0.7, 0.3, 10.0], 1e-6
    _, gradients = values_and_gradients(name, at)
    above, _ = values_and_gradients(name, [x + step for x in at])
    below, _ = values_and_gradients(name, [x - step for x in at])
    slopes = [(a - b) / (2 * step) for a, b in zip(above, below, strict=True)]
    assert gradients == pytest.approx(slopes, abs=1e-6)


def test_values_are_the_equations() -> None:
    import math

    at = [-10.0, 0.0, 10.0]
    expected = {
        "sigmoid": lambda x: 1 / (1 + math.exp(-x)),
        "tanh": lambda x: (math.exp(x) - math.exp(-x)) / (math.exp(x) + math.exp(-x)),
        "ReLU": lambda x: max(0.0, x),
        "leaky ReLU": lambda x: max(0.01 * x, x),
        "PReLU": lambda x: max(0.25 * x, x),
        "ELU": lambda x: x if x > 0 else math.exp(x) - 1,
        "maxout": abs,
    }
    assert set(expected) == set(ACTIVATIONS)
    for name, function in expected.items():
        assert values_and_gradients(name, at)[0] == pytest.approx([function(x) for x in at])


def test_the_gradient_of_the_sigmoid_is_at_most_a_quarter() -> None:
    _, gradients = values_and_gradients("sigmoid", [x / 100 for x in range(-1000, 1001)])
    assert max(gradients) == gradients[1000] == 0.25
    assert gradients[0] == pytest.approx(4.54e-5, rel=1e-3)


def test_maxout_can_be_a_relu_and_a_leaky_relu() -> None:
    x = torch.linspace(-3, 3, 31)
    for slope, function in ((0.0, nn.ReLU()), (0.01, nn.LeakyReLU())):
        pieces = torch.stack([x, slope * x], dim=-1)
        torch.testing.assert_close(Maxout()(pieces)[..., 0], function(x))
    plain, double = dense([4, 5, 2], "ReLU", "He"), dense([4, 5, 2], "maxout", "He")
    assert parameter_count(double) - parameter_count(plain) == 4 * 5 + 5


def test_small_weights_let_tanh_vanish_and_large_ones_saturate_it() -> None:
    small, large, xavier = (
        saturation_by_depth("tanh", start, seed=1)
        for start in ("small (0.01)", "large (1)", "Xavier")
    )
    assert small.deviations[-1] < 1e-6 < small.deviations[0]
    assert small.gradients[0] < 1e-6
    assert large.saturated > 0.7
    assert xavier.saturated < 0.001
    assert 0.1 < xavier.deviations[-1] < xavier.deviations[0]
    assert all(one.gradients[-1] == 1 for one in (small, large, xavier))


def test_xavier_is_not_enough_for_relu_and_he_is() -> None:
    xavier, he = (saturation_by_depth("ReLU", start, seed=1) for start in ("Xavier", "He"))
    assert xavier.deviations[-1] < 0.1 * xavier.deviations[0]
    assert he.deviations[-1] > 0.4 * he.deviations[0]
    assert xavier.gradients[0] < 0.1
    assert he.gradients[0] > 0.4


def test_half_of_the_relus_have_no_gradient_and_no_leaky_one() -> None:
    assert saturation_by_depth("ReLU", "He", seed=2).saturated == pytest.approx(0.5, abs=0.1)
    for name in ("leaky ReLU", "PReLU", "maxout"):
        assert saturation_by_depth(name, "He", seed=2).saturated == 0


@pytest.mark.parametrize("seed", range(3))
def test_positive_inputs_make_descent_zigzag(seed: int) -> None:
    positive, centred = (descend(centred=one, seed=seed) for one in (False, True))
    assert positive.one_sign == 1
    assert 0.25 < centred.one_sign < 0.75
    assert positive.detour is not None
    assert centred.detour is not None
    assert positive.detour > 1.5 > centred.detour > 1
    short = descend(centred=False, seed=seed, steps=5)
    assert (short.steps, short.detour, len(short.path)) == (None, None, 6)


def test_neurons_behind_a_sigmoid_get_gradients_of_one_sign(few: Digits) -> None:
    for name in ("sigmoid", "ReLU"):
        assert one_sign_share(name, few, batch=1, seed=1) == 1
        assert one_sign_share(name, few, batch=10, seed=1) < 1
    assert one_sign_share("tanh", few, batch=1, seed=1) == 0


def test_dead_units_are_counted() -> None:
    inputs = torch.tensor([[1.0, -1.0], [-1.0, 1.0]])
    network = dense([2, 4, 3], "ReLU", "He")
    with torch.no_grad():
        network[0].weight.copy_(torch.eye(2).repeat(2, 1))
        network[0].bias.copy_(torch.tensor([0.0, 0.0, -2.0, 2.0]))
    assert dead_share(network, inputs) == 0.25
    network[1] = nn.LeakyReLU()
    assert dead_share(network, inputs) == 0


def test_a_high_learning_rate_kills_relus(few: Digits) -> None:
    shares = []
    for rate in (0.1, 1.0):
        network = seeded(1, lambda: dense([64, 50, 50, 50, 10], "ReLU", "He"))
        learn(network, few, rate=rate, epochs=10, seed=1)
        shares.append(dead_share(network, few.train))
    assert shares[0] < 0.2
    assert shares[1] > 0.4


def test_learning_stops_where_the_loss_is_not_finite(few: Digits) -> None:
    network = seeded(1, lambda: dense([64, 20, 10], "ELU", "He"))
    run = learn(network, few, rate=1e30, epochs=5, seed=1)
    assert len(run.losses) < 5
    assert run.epochs_to(0.1) is None
    network = seeded(1, lambda: dense([64, 20, 10], "tanh", "Xavier"))
    run = learn(network, few, rate=0.3, epochs=12, seed=1)
    assert run.test > 0.8
    assert run.losses[-1] == run.last_loss < run.losses[0]
    assert run.epochs_to(run.losses[3]) == 4


def test_every_part_reports_what_it_measured(tmp_path: Path) -> None:
    settings = ActivationStudySettings(seeds=1, epochs=1, rates=(0.1, 1e30), dead_rates=(0.1, 1.0))
    report = study_activations(settings, report_progress=quiet)
    assert tuple(report.as_dict()) == PARTS
    files = report.write(tmp_path)
    assert {path.name for path in files} == {path.name for path in tmp_path.iterdir()}
    assert len(files) == 2 + len(PARTS)
    for path in files[2:]:
        with Image.open(path) as picture:
            assert picture.format == "PNG"
    data = json.loads((tmp_path / "activations.json").read_text())
    assert data["values"]["sigmoid"]["gradients"][1] == 0.25
    assert len(data["convergence"]["tanh"]["0.1"]) == 1
    text = (tmp_path / "activations.md").read_text()
    assert "| sigmoid | 4.5e-05 | 0.5 | 1 | 4.5e-05 | 0.25 | 4.5e-05 | 0.25 |" in text
    assert "| tanh | 8,860 | 0.1 | never |" in text
    again = study_activations(replace(settings, parts=("dead",)), report_progress=quiet)
    assert again.as_dict() == {"dead": report.as_dict()["dead"]}


def test_bad_settings_are_reported() -> None:
    with pytest.raises(ValueError, match="unknown part 'dying': choose from values, saturation"):
        ActivationStudySettings(("dying",))
    with pytest.raises(ValueError, match="seeds must be at least 1, got 0"):
        ActivationStudySettings(seeds=0)
    settings = ActivationStudySettings(("convergence",), seeds=1, epochs=1, rates=(1e30,))
    assert "| not finite |" in study_activations(settings, report_progress=quiet).as_markdown()
    with pytest.raises(ValueError, match="learning rates must be above 0"):
        ActivationStudySettings(rates=(0.1, 0.0))
