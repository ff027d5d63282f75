"""The fit of a confidence: what was put into synthetic captions comes out."""

import math
import random

import pytest
import torch

from model.captioning.calibration import Evidence, estimate_confidence
from model.evaluation.reliability import measure_reliability
from model.training.finalize.calibration import Sample, calibrate, fit_logistic


def captions(count: int, *, seed: int = 0, beams: tuple[int, ...] = (1, 3, 5)) -> list[Sample]:
    """Captions that are good with the chance sigmoid(3 + 2 mean_logprob - 0.1 tokens)."""
    chance = random.Random(seed)
    samples = []
    for number in range(count):
        for beam_size in beams:
            length = chance.randint(5, 20)
            likely = chance.uniform(0.2, 2.0)
            logprobs = tuple(-likely * chance.uniform(0.5, 1.5) for _ in range(length))
            score = 3 + 2 * sum(logprobs) / length - 0.1 * length
            good = chance.random() < 1 / (1 + math.exp(-score))
            samples.append(
                Sample(f"{number}.jpg", Evidence(logprobs, chance.random() < 0.9, beam_size), good)
            )
    return samples


def test_coefficients_are_recovered():
    generator = torch.Generator().manual_seed(0)
    features = torch.randn(200_000, 2, generator=generator, dtype=torch.float64) * torch.tensor(
        [1.0, 30.0]
    ) + torch.tensor([5.0, -200.0])
    scores = 1.5 * features[:, 0] + 0.05 * features[:, 1] + 2.0
    good = (torch.rand(200_000, generator=generator) < scores.sigmoid()).double()
    coefficients, intercept = fit_logistic(features, good)
    assert coefficients.tolist() == pytest.approx([1.5, 0.05], rel=0.03)
    assert intercept == pytest.approx(2.0, abs=0.15)


def test_of_one_feature_of_two_values_the_answer_is_known():
    """Where the feature is 0, one of four is good; where it is 1, three of four."""
    features = torch.tensor([[0.0]] * 4 + [[1.0]] * 4, dtype=torch.float64)
    good = torch.tensor([1, 0, 0, 0, 1, 1, 1, 0], dtype=torch.float64)
    coefficients, intercept = fit_logistic(features, good)
    assert intercept == pytest.approx(math.log(1 / 3), abs=1e-4)
    assert coefficients.tolist() == pytest.approx([2 * math.log(3)], abs=1e-4)


def test_the_gradient_is_zero_at_the_optimum():
    generator = torch.Generator().manual_seed(3)
    features = torch.randn(500, 3, generator=generator, dtype=torch.float64) * 4 + 10
    good = (torch.rand(500, generator=generator) < 0.3).double()
    coefficients, intercept = fit_logistic(features, good)
    rest = (features @ coefficients + intercept).sigmoid() - good
    assert rest.mean().abs() < 1e-9  # the mean confidence is the share that was good
    assert ((features - features.mean(0)) * rest[:, None]).mean(0).abs().max() < 1e-5


def test_good_and_bad_that_part_without_a_fault_have_a_fit():
    features = torch.tensor([[-2.0], [-1.0], [1.0], [2.0]], dtype=torch.float64)
    coefficients, intercept = fit_logistic(features, torch.tensor([0.0, 0, 1, 1]).double())
    assert 5 < float(coefficients) < 100
    assert intercept == pytest.approx(0, abs=1e-6)


def test_the_map_is_of_the_features_that_matter_and_holds_on_other_captions():
    found = calibrate(captions(1500), level=0.4)
    assert found.config.level == 0.4
    fitted = dict(zip(found.config.features, found.config.coefficients, strict=True))
    # With two of these three, the third is known: their sum is their mean times their number.
    assert len(set(fitted) & {"mean_logprob", "logprob", "tokens"}) == 2
    assert set(fitted) - {"mean_logprob", "logprob", "tokens"} == {"log_beam_size"}
    for beam_size in (1, 3, 5):
        others = captions(3000, seed=9, beams=(beam_size,))
        chances = [estimate_confidence(found.config, one.evidence) for one in others]
        good = torch.tensor([one.good for one in others])
        assert measure_reliability(torch.tensor(chances), good).ece < 0.03


def test_the_map_holds_for_each_beam_size():
    """Captions of a wide beam are as likely as others, and better."""
    chance = random.Random(8)
    samples = []
    for number in range(1500):
        for beam_size, more in ((1, -0.4), (5, 0.4)):
            logprob = -3 * chance.random()
            good = chance.random() < 1 / (1 + math.exp(-1.5 - logprob - more))
            samples.append(Sample(str(number), Evidence((logprob,), True, beam_size), good))
    found = calibrate(samples, level=0.4)
    assert "log_beam_size" in found.config.features
    for which in (slice(0, None, 2), slice(1, None, 2)):
        good = torch.tensor([sample.good for sample in samples[which]])
        assert measure_reliability(found.confidences[which], good).ece < 0.03


def test_a_feature_that_never_varies_is_not_tried():
    samples = captions(200, beams=(3,))
    found = calibrate(samples, level=0.4)
    tried = {name for features in found.losses for name in features}
    assert tried == {"mean_logprob", "logprob", "lowest_logprob", "tokens", "finished"}


def test_confidences_are_of_pictures_held_out():
    """A picture's captions are held out together: knowing one of them tells nothing of another."""
    chance = random.Random(5)
    samples = []
    for number in range(400):
        logprobs, good = (-chance.random(),) * 8, chance.random() < 0.5
        samples += [Sample(f"{number}.jpg", Evidence(logprobs, True, b), good) for b in (1, 3)]
    found = calibrate(samples, level=0.4)
    assert found.confidences.shape == (800,)
    good = torch.tensor([one.good for one in samples]).double()
    log_loss = -torch.where(good > 0, found.confidences, 1 - found.confidences).log().mean()
    assert float(log_loss) == pytest.approx(found.losses[found.config.features], abs=1e-9)
    assert float(log_loss) > math.log(2) - 0.01


def test_what_agrees_is_surer_where_agreement_foretells():
    chance = random.Random(2)
    samples = []
    for number in range(600):
        agreement = chance.random()
        evidence = Evidence((-1.0, -chance.random()), True, 3, agreement)
        good = chance.random() < 1 / (1 + math.exp(4 - 8 * agreement))
        samples.append(Sample(str(number), evidence, good))
    found = calibrate(samples, level=0.4)
    fitted = found.config
    assert "agreement" in fitted.features
    assert found.losses[fitted.features] == min(found.losses.values())
    others = [loss for features, loss in found.losses.items() if "agreement" not in str(features)]
    assert found.losses[fitted.features] < min(others) - 0.05
    unsure, sure = (
        estimate_confidence(fitted, Evidence((-1.0, -0.5), True, 3, a)) for a in (0.1, 0.9)
    )
    assert unsure < 0.3
    assert sure > 0.7


def test_the_same_captions_give_the_same_map():
    assert calibrate(captions(200), 0.4).config == calibrate(captions(200), 0.4).config


def one(logprob: float) -> Evidence:
    return Evidence((logprob,), finished=True, beam_size=1)


@pytest.mark.parametrize(
    ("samples", "message"),
    [
        ([], "0 of 0 captions reach"),
        ([Sample(str(i), one(-1.0 - i), True) for i in range(50)], "50 of 50"),
        ([Sample(str(i), one(-1.0 - i), i < 9) for i in range(50)], "9 of 50"),
        ([Sample(str(i % 9), one(-1.0 - i), i % 2 == 0) for i in range(50)], "too few"),
        ([Sample(str(i), one(-1.0), i % 2 == 0) for i in range(50)], "equally likely"),
    ],
    ids=["none", "all good", "hardly any good", "few pictures", "all alike"],
)
def test_what_cannot_be_fitted_is_refused(samples, message):
    with pytest.raises(ValueError, match=message):
        calibrate(samples, level=0.4)
