"""Schedules rise and fall as documented."""

import math

import pytest

from model.training.schedule import learning_rate_factor, sampling_probability


def factors(total: int, warmup: int, final: float) -> list[float]:
    return [
        learning_rate_factor(step, total=total, warmup=warmup, final=final) for step in range(total)
    ]


def test_the_rate_rises_linearly_to_its_peak():
    assert factors(100, 4, 0.1)[:4] == [0.25, 0.5, 0.75, 1.0]


def test_the_rate_then_falls_along_half_a_cosine():
    falling = factors(104, 4, 0.1)[4:]
    assert falling[0] == 1.0
    assert falling[25] == pytest.approx(0.1 + 0.9 * (1 + math.cos(math.pi / 4)) / 2)
    assert falling[50] == pytest.approx(0.55)
    assert falling == sorted(falling, reverse=True)
    assert falling[-1] == pytest.approx(0.1, abs=1e-3)


def test_the_rate_stays_at_its_final_value():
    for step in (10, 11, 1000):
        assert learning_rate_factor(step, total=10, warmup=2, final=0.1) == pytest.approx(0.1)


def test_no_warmup_starts_at_the_peak():
    assert factors(10, 0, 0.0)[0] == 1.0


def test_a_warmup_longer_than_the_run_only_rises():
    assert factors(4, 8, 0.1) == [1 / 8, 2 / 8, 3 / 8, 4 / 8]
    assert learning_rate_factor(8, total=4, warmup=8, final=0.1) <= 1


def test_sampling_rises_linearly_from_0_to_its_last_probability():
    probabilities = [sampling_probability(epoch, epochs=5, last=0.2) for epoch in range(5)]
    assert probabilities == pytest.approx([0.0, 0.05, 0.1, 0.15, 0.2])


def test_a_run_of_one_epoch_does_not_sample():
    assert sampling_probability(0, epochs=1, last=0.5) == 0.0
