import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score

from model.captioning.matching import Evidence, estimate_match
from model.evaluation.matching import Comparison, auc, chances, fit, join, pick_wrong, report


def drawn(count: int = 400) -> Comparison:
    generator = np.random.default_rng(1)
    right = np.arange(count) % 2 == 0
    features = generator.normal(size=(count, 3)) + right[:, None] * [0.1, 1.5, 0.7]
    return Comparison(features, right)


def test_the_auc_is_the_usual_one() -> None:
    comparison = drawn()
    numbers = comparison.features[:, 1].round(1)  # many are equal
    assert auc(numbers, comparison.right) == pytest.approx(roc_auc_score(comparison.right, numbers))
    assert auc(np.zeros(4), np.array([True, False, True, False])) == 0.5


def test_the_fit_is_that_of_logistic_regression() -> None:
    comparison = join([drawn(), drawn(100)])
    assert len(comparison.right) == 500
    expected = LogisticRegression(C=1e9).fit(comparison.features[:, 1:], comparison.right)
    found = fit(comparison)
    assert found.coefficients == pytest.approx(expected.coef_[0], rel=1e-3)
    assert found.intercept == pytest.approx(expected.intercept_[0], rel=1e-3)


def test_chances_are_those_of_the_audit() -> None:
    evidence = Evidence(-2.0, 0.4, 0.01, 0.0)
    found = chances(np.array([evidence.features]))
    assert found == pytest.approx([estimate_match(evidence)])


def test_wrong_captions_are_of_other_pictures() -> None:
    captions = [[f"{picture} {n}" for n in range(3)] for picture in range(5)]
    for place in range(5):
        wrong = pick_wrong(captions, place, np.random.default_rng(place))
        pictures = [text.split()[0] for text in wrong]
        assert len(set(pictures)) == 3
        assert str(place) not in pictures
    with pytest.raises(ValueError, match="at least 4"):
        pick_wrong(captions[:3], 0, np.random.default_rng(0))


def test_the_report_has_every_signal() -> None:
    text = report(drawn())
    assert text.count("\n| ") == 3 + 1 + 1 + 3  # signals, chance, second header, thresholds
    assert "| image gain | 0." in text
