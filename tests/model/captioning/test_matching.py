import pytest
from PIL import Image

from model.captioning.captioner import Captioner
from model.captioning.matching import COEFFICIENTS, FEATURES, Evidence, Matcher, estimate_match
from tests.tiny import COLOURS, save_finalized_captioner, tiny_captioner

TEXTS = ["A red ball, on the grass.", "zebra", "the dog sits in blue water"]


@pytest.fixture(scope="module")
def matcher(tmp_path_factory: pytest.TempPathFactory) -> Matcher:
    folder = save_finalized_captioner(tmp_path_factory.mktemp("matching"))
    return Matcher(Captioner.load(folder, "cpu", runtime="torch"))


def test_the_evidence_is_that_of_scoring_one_by_one(matcher: Matcher) -> None:
    captioner = matcher.captioner
    pictures = [Image.new("RGB", (30, 20), colour) for colour in COLOURS]
    grid = captioner.encode(captioner.prepare(pictures))
    together = matcher.compare(grid, [TEXTS, TEXTS[:1], []])
    assert [len(each) for each in together] == [3, 1, 0]
    for picture, texts, found in zip(pictures, (TEXTS, TEXTS[:1]), together, strict=False):
        for text, evidence in zip(texts, found, strict=True):
            scored = captioner.score(picture, text, image_gain=True)
            gains = [token.image_gain for token in scored.tokens]
            assert evidence.mean_logprob == pytest.approx(scored.mean_logprob, abs=1e-4)
            assert evidence.image_gain == pytest.approx(sum(gains) / len(gains), abs=1e-3)
    red, navy = together[0][0], together[1][0]
    assert red.agreement > navy.agreement  # people said the like of the red picture
    assert [evidence.unknown for evidence in together[0]] == [0.0, 1.0, 0.0]


def test_the_chance_rises_with_each_number_that_it_uses() -> None:
    usual = {"mean_logprob": -2.0, "image_gain": 0.2, "agreement": 0.02, "unknown": 0.0}
    chance = estimate_match(Evidence(**usual))
    assert 0 < chance < 1
    assert estimate_match(Evidence(**usual | {"image_gain": 0.3})) > chance
    assert estimate_match(Evidence(**usual | {"agreement": 0.03})) > chance
    assert estimate_match(Evidence(**usual | {"agreement": 0.0, "image_gain": -50})) >= 0
    assert set(COEFFICIENTS) <= set(FEATURES)


def test_a_captioner_without_the_means_is_refused() -> None:
    with pytest.raises(ValueError, match="a mean picture and a table of expected words"):
        Matcher(tiny_captioner())
