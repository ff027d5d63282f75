"""An epoch's log can be interrupted and goes on."""

import json
import math
from dataclasses import asdict

from model.training.epoch_log import EpochLog

STEPS = [({"loss": 0.1 * i}, math.inf if i == 3 else 1.0 / (i + 1)) for i in range(7)]


def test_an_interrupted_log_ends_as_a_whole_one() -> None:
    whole, first = EpochLog(), EpochLog()
    for step in STEPS:
        whole.add(*step)
    for step in STEPS[:4]:
        first.add(*step)
    second = EpochLog(**json.loads(json.dumps(asdict(first))))
    for step in STEPS[4:]:
        second.add(*step)
    assert second.point() == whole.point()


def test_norms_that_are_not_finite_are_left_out() -> None:
    log = EpochLog()
    for step in STEPS:
        log.add(*step)
    assert log.finite_norms == 6
    assert log.point()["largest_gradient_norm"] == 1.0
    assert log.means() == {"loss": sum(s["loss"] for s, _ in STEPS) / 7}
