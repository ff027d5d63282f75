"""The word detector: its evidence, its targets and the ids that it scores."""

import pytest
import torch

from model.networks.word_detector import WordDetector

CHANNELS, WORDS = 5, 3


@pytest.fixture
def detector():
    torch.manual_seed(0)
    detector = WordDetector(CHANNELS, WORDS, dropout=0.5)
    torch.nn.init.normal_(detector.evidence.weight)
    return detector.eval()


def test_evidence_is_linear_in_the_normalised_mean_of_the_grid(detector):
    grid = torch.randn(2, 3, 4, CHANNELS) * 50
    mean = grid.flatten(1, 2).mean(1)
    normal = (mean - mean.mean(1, keepdim=True)) / mean.std(1, correction=0, keepdim=True)
    expected = normal @ detector.evidence.weight.T
    torch.testing.assert_close(detector(grid), expected, atol=1e-3, rtol=1e-3)
    detector.usual.data = torch.tensor([0.0, 1.0, -2.0])
    torch.testing.assert_close(
        detector.log_odds(grid) - detector(grid), detector.usual.expand(2, -1)
    )


def test_a_new_detector_predicts_the_usual_rates_for_any_picture():
    detector = WordDetector(CHANNELS, WORDS, dropout=0.0)
    detector.expect(torch.tensor([0.5, 0.25, 0.0, 0.9]))  # one word more than it detects
    chances = detector.log_odds(torch.rand(2, 1, 1, CHANNELS)).sigmoid()
    torch.testing.assert_close(chances, torch.tensor([[0.5, 0.25, 1e-4]]).expand(2, -1))


def test_targets_are_the_share_of_captions_that_say_each_word(detector):
    captions = torch.tensor(
        [
            [[4, 5, 2, 0], [4, 4, 7, 2], [0, 0, 0, 0]],  # the third caption is empty
            [[6, 3, 2, 0], [6, 2, 0, 0], [5, 6, 8, 2]],  # 7 and 8 are not detected
        ]
    )
    said = detector.said(captions)
    torch.testing.assert_close(said, torch.tensor([[1.0, 0.5, 0.0], [0.0, 1 / 3, 1.0]]))
    assert not detector.said(torch.zeros(1, 2, 3, dtype=torch.long)).any()


def test_evidence_is_placed_at_the_ids_of_its_words(detector):
    spread = detector.spread(torch.tensor([[1.0, 2.0, 3.0]]), vocabulary_size=9)
    assert spread.tolist() == [[0, 0, 0, 0, 1, 2, 3, 0, 0]]
