import math

import numpy as np
import pytest

from model.interpretation.units import rank_units

CHARACTERS = 6000


@pytest.fixture
def random():
    return np.random.default_rng(1)


def drift(random, *shape):
    """Activations that remember: each is mostly the one before."""
    noise = random.standard_normal(shape).astype(np.float32)
    for place in range(1, len(noise)):
        noise[place] = 0.9 * noise[place - 1] + 0.4 * noise[place]
    return np.tanh(noise)


def blocks(random):
    """A property that holds for stretches of some 30 characters."""
    return np.repeat(random.random(CHARACTERS // 30) < 0.4, 30)


@pytest.mark.parametrize("sign", [1, -1])
def test_a_planted_unit_is_found(random, sign):
    values = blocks(random)
    activations = drift(random, CHARACTERS, 80)
    activations[:, 70] = sign * np.tanh(2 * values - 1 + 0.7 * random.standard_normal(CHARACTERS))
    ranking = rank_units(activations, values, names=[f"layer 1 unit {unit}" for unit in range(80)])
    best, *others = ranking.units
    assert ranking.measure == "auc"
    assert (best.unit, best.name, best.direction) == (70, "layer 1 unit 70", sign)
    assert best.score > 0.95 > ranking.chance.high > ranking.chance.mean > 0.5
    assert sum(unit.score > ranking.chance.high for unit in others) <= 1


def test_a_planted_unit_is_found_for_a_number(random):
    lines = [np.arange(length) for length in random.integers(10, 90, CHARACTERS // 10)]
    values = np.concatenate(lines)[:CHARACTERS].astype(np.float32)
    activations = drift(random, CHARACTERS, 40)
    activations[:, 7] = np.tanh(1 - values / 30 + 0.1 * random.standard_normal(CHARACTERS))
    activations[:, 8] = 0.5  # dead
    ranking = rank_units(activations, values)
    best = ranking.units[0]
    assert ranking.measure == "spearman"
    assert (best.unit, best.name, best.direction) == (7, "unit 7", -1)
    assert best.score > 0.9 > ranking.chance.high
    assert next(unit.score for unit in ranking.units if unit.unit == 8) == 0


def test_without_a_planted_unit_the_best_is_at_chance(random):
    above = 0
    for _ in range(10):
        ranking = rank_units(drift(random, CHARACTERS, 20), blocks(random))
        above += max(unit.score for unit in ranking.units) > ranking.chance.high
        assert abs(np.mean([unit.score for unit in ranking.units]) - 0.5) < 0.03
        assert 0.5 < ranking.chance.mean < ranking.chance.high < 0.7
    assert above <= 3


def test_scores_are_of_the_second_half():
    # The unit follows the property at first, and then turns round.
    values = np.tile([True, False, False, True], 100)
    activation = np.where(np.arange(400) < 200, 1, -1) * np.where(values, 0.5, -0.5)
    unit = rank_units(activation[:, None], values).units[0]
    assert (unit.direction, unit.chosen_by, unit.score) == (1, 1, pytest.approx(0))


def test_auc_counts_pairs_and_ties_for_half(random):
    activations = random.integers(-3, 4, (200, 3)).astype(np.float16) / 3
    values = random.random(200) < 0.3
    second, inside = activations[100:], values[100:]
    for unit in rank_units(activations, values).units:
        column = unit.direction * second[:, unit.unit].astype(float)
        pairs = np.sign(column[inside][:, None] - column[~inside])
        assert unit.score == pytest.approx((pairs.mean() + 1) / 2)


def test_correlation_is_that_of_ranks(random):
    values = random.permutation(100).astype(float)
    activation = np.tanh((values - 50) / 20)  # monotonous: a perfect rank correlation
    assert rank_units(activation[:, None], values).units[0].score == pytest.approx(1)


def test_masked_places_do_not_count(random):
    values = blocks(random)
    activation = np.where(values, 0.5, -0.5) + 0.1 * random.standard_normal(CHARACTERS)
    mask = random.random(CHARACTERS) < 0.5
    activation[~mask] = 0
    assert rank_units(activation[:, None], values, mask).units[0].score == pytest.approx(
        1, abs=0.01
    )
    assert rank_units(activation[:, None], values).units[0].score < 0.9
    holes = np.where(mask, values, math.nan)  # what is masked need not be a number
    assert rank_units(activation[:, None], holes, mask).units[0].score > 0.8


def test_the_same_seed_gives_the_same_ranking(random):
    activations, values = drift(random, 600, 5), blocks(random)[:600]
    assert rank_units(activations, values, seed=3) == rank_units(activations, values, seed=3)
    other = rank_units(activations, values, seed=4)
    assert other.chance != rank_units(activations, values, seed=3).chance


def test_nothing_to_follow_is_an_error():
    activations = np.zeros((8, 2))
    for values, half in (
        (np.zeros(8, dtype=bool), "first"),
        (np.full(8, 3.0), "first"),
        (np.array([True, False, True, False, True, True, True, True]), "second"),
    ):
        with pytest.raises(ValueError, match=f"never varies in the {half} half"):
            rank_units(activations, values)
    with pytest.raises(ValueError, match="never varies"):
        rank_units(np.zeros((0, 2)), np.zeros(0, dtype=bool))


def test_what_does_not_fit_is_an_error():
    activations, values = np.zeros((8, 2)), np.tile([True, False], 4)
    with pytest.raises(ValueError, match="the same length"):
        rank_units(activations, values[:7])
    with pytest.raises(ValueError, match="the same length"):
        rank_units(activations, values, np.ones(9, dtype=bool))
    with pytest.raises(ValueError, match=r"\(characters, units\)"):
        rank_units(np.zeros(8), values)
    with pytest.raises(ValueError, match=r"\(characters, units\)"):
        rank_units(np.zeros((8, 0)), values)
    with pytest.raises(ValueError, match="1 names for 2 units"):
        rank_units(activations, values, names=["a"])
    with pytest.raises(ValueError, match="finite"):
        rank_units(np.full((8, 2), np.nan), values)
    with pytest.raises(ValueError, match="not finite"):
        rank_units(activations, np.full(8, np.nan))
    with pytest.raises(ValueError, match="shift"):
        rank_units(activations, values, shifts=0)
