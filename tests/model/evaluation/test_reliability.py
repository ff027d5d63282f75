"""Calibration error and Brier score, by hand and on chances that are true by construction."""

import pytest
import torch

from model.evaluation.reliability import Bin, measure_reliability


def measure(confidences: list[float], good: list[int], **options: int):
    return measure_reliability(
        torch.tensor(confidences, dtype=torch.float64), torch.tensor(good).bool(), **options
    )


def test_an_example_by_hand():
    """Four captions below one half, of which one is good, and one above, which is bad.

    |1/4 - (0.1 + 0.2 + 0.3 + 0.4)/4| = 0 weighs 4/5, and |0 - 0.9| weighs 1/5.
    """
    found = measure([0.9, 0.3, 0.1, 0.4, 0.2], [0, 1, 0, 0, 0], bins=2)
    assert found.ece == pytest.approx(0.9 / 5)
    assert found.brier == pytest.approx((0.81 + 0.49 + 0.01 + 0.16 + 0.04) / 5)
    assert (found.count, found.good) == (5, pytest.approx(0.2))
    assert found.confidence == pytest.approx(1.9 / 5)
    assert found.equal_width == (
        Bin(0.0, 0.5, 4, pytest.approx(0.25), pytest.approx(0.25)),
        Bin(0.5, 1.0, 1, pytest.approx(0.9), 0.0),
    )


def test_bins_of_equal_mass_by_hand():
    """The halves of six captions: 0.1, 0.2, 0.3 with one good, and 0.4, 0.5, 0.6 with three."""
    found = measure([0.6, 0.1, 0.4, 0.2, 0.5, 0.3], [1, 0, 1, 1, 1, 0], bins=2)
    assert found.ece_equal_mass == pytest.approx((1 / 3 - 0.2) / 2 + (1 - 0.5) / 2)
    assert [(one.low, one.high, one.count) for one in found.equal_mass] == [
        (pytest.approx(0.1), pytest.approx(0.3), 3),
        (pytest.approx(0.4), pytest.approx(0.6), 3),
    ]


def test_edges_belong_to_the_bin_below_and_empty_bins_are_left_out():
    """Bins are (0, 0.25], (0.25, 0.5] and so on, as in Guo et al.; 0 goes into the first."""
    found = measure([0.0, 0.25, 0.5, 1.0], [0, 0, 1, 1], bins=4)
    assert [(one.low, one.high, one.count) for one in found.equal_width] == [
        (0.0, 0.25, 2), (0.25, 0.5, 1), (0.75, 1.0, 1),
    ]  # fmt: skip
    assert found.ece == pytest.approx((0.25 + 0.5) / 4)


def test_more_bins_than_captions():
    found = measure([0.25, 0.75], [0, 1], bins=10)
    assert [one.count for one in found.equal_mass] == [1, 1]
    assert found.ece == found.ece_equal_mass == pytest.approx(0.25)


def test_true_chances_have_next_to_no_error():
    chance = torch.Generator().manual_seed(1)
    confidences = torch.rand(50_000, generator=chance, dtype=torch.float64)
    good = torch.rand(50_000, generator=chance) < confidences
    found = measure_reliability(confidences, good)
    assert found.ece < 0.01
    assert found.ece_equal_mass < 0.01
    assert found.ece_by_chance < 0.01
    assert found.brier == pytest.approx(1 / 6, abs=0.004)  # the mean of p (1 - p)


def test_with_few_captions_true_chances_have_some():
    chance = torch.Generator().manual_seed(2)
    found = []
    for _ in range(50):
        confidences = torch.rand(200, generator=chance, dtype=torch.float64)
        good = torch.rand(200, generator=chance) < confidences
        found.append(measure_reliability(confidences, good))
    mean = sum(one.ece for one in found) / len(found)
    assert mean > 0.04
    assert mean == pytest.approx(sum(one.ece_by_chance for one in found) / len(found), rel=0.1)


def test_confidence_that_is_too_high_shows():
    confidences = torch.full((5_000,), 0.8, dtype=torch.float64)
    good = torch.arange(5_000) % 2 == 0
    found = measure_reliability(confidences, good)
    assert found.ece == pytest.approx(0.3)
    assert found.ece_equal_mass == pytest.approx(0.3)
    assert found.ece_by_chance < 0.01


@pytest.mark.parametrize(
    ("confidences", "good", "bins", "message"),
    [
        ([], [], 10, "at least 1"),
        ([0.5], [1, 0], 10, "must have the same length"),
        ([1.5], [1], 10, "must be 0 to 1"),
        ([float("nan")], [1], 10, "must be 0 to 1"),
        ([0.5], [1], 0, "at least one bin"),
    ],
)
def test_nonsense_is_refused(confidences, good, bins, message):
    with pytest.raises(ValueError, match=message):
        measure(confidences, good, bins=bins)


def test_thresholds_say_what_is_kept_and_how_much_of_it_is_wrong():
    confidences = torch.tensor([0.05, 0.25, 0.3, 0.62, 0.85])
    good = torch.tensor([False, False, True, True, False])
    measured = measure_reliability(confidences, good).thresholds
    assert [one.min_confidence for one in measured] == [n / 10 for n in range(10)]
    assert [one.kept for one in measured] == pytest.approx(
        [1, 0.8, 0.8, 0.6, 0.4, 0.4, 0.4, 0.2, 0.2, 0]
    )
    wrong = [one.wrong for one in measured]
    assert wrong[:9] == pytest.approx([0.6, 0.5, 0.5, 1 / 3, 0.5, 0.5, 0.5, 1, 1])
    assert wrong[9] is None
