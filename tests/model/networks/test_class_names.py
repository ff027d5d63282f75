"""Words that name what the CNN's own classifier recognises."""

import pytest
import torch
from pydantic import ValidationError

from model.config import DecoderConfig
from model.networks.class_names import ClassNames
from model.networks.decoder import make_decoder

CHANNELS, CLASSES, WORDS, VOCABULARY = 5, 4, 2, 9


@pytest.fixture
def names():
    """Words 7 and 5 name classes 0 and 1; of class 2, both are said now and then."""
    names = ClassNames(CHANNELS, CLASSES, WORDS).eval()
    names.classifier.weight.data = torch.eye(CLASSES, CHANNELS) * 20
    names.classifier.bias.data.zero_()
    names.rates.copy_(torch.tensor([[0.8, 0.0], [0.0, 0.5], [0.01, 0.01], [0.0, 0.0]]))
    names.usual.copy_(torch.tensor([-6.0, -3.0]))
    names.words.copy_(torch.tensor([7, 5]))
    return names


def picture_of(*classes: int) -> torch.Tensor:
    """Grids whose means belong to a class each: (batch, 2, 3, channels)."""
    means = torch.eye(CLASSES, CHANNELS)[list(classes)]
    noise = torch.randn(len(classes), 2, 3, CHANNELS)
    return means[:, None, None] + noise - noise.mean((1, 2), keepdim=True)


def test_chances_are_the_rates_of_the_likely_classes(names):
    chances = names(picture_of(0, 1, 2))
    torch.testing.assert_close(chances, names.rates[:3], atol=1e-6, rtol=0)
    # Of two classes that are as likely, half of each.
    between = (picture_of(0) + picture_of(1)) / 2
    torch.testing.assert_close(names(between), torch.tensor([[0.4, 0.25]]), atol=1e-4, rtol=0)


def test_evidence_is_raised_to_the_log_odds_beyond_the_usual_ones(names):
    raised = names.raise_evidence(picture_of(0, 1), torch.zeros(2, VOCABULARY))
    expected = torch.zeros(2, VOCABULARY)
    expected[0, 7] = torch.logit(torch.tensor(0.8)) + 6
    expected[1, 5] = torch.logit(torch.tensor(0.5)) + 3
    torch.testing.assert_close(raised, expected, atol=1e-4, rtol=0)


def test_evidence_is_never_lowered(names):
    evidence = torch.full((1, VOCABULARY), 9.0)
    assert torch.equal(names.raise_evidence(picture_of(0), evidence), evidence)


def test_unlikely_words_are_left_to_the_detector(names):
    evidence = torch.full((2, VOCABULARY), -5.0)
    assert torch.equal(names.raise_evidence(picture_of(2, 3), evidence), evidence)


@pytest.mark.parametrize("kind", ["attention", "global"])
def test_a_decoder_says_what_the_classifier_recognises(names, kind):
    config = DecoderConfig(
        kind=kind,
        embedding_size=6,
        hidden_size=8,
        attention_size=8,
        detected_words=3,
        classes=CLASSES,
        class_names=WORDS,
    )
    torch.manual_seed(0)
    decoder = make_decoder(config, VOCABULARY, CHANNELS).eval()
    decoder.class_names.load_state_dict(names.state_dict())
    grid = picture_of(0)
    context = decoder.encode_context(grid)
    assert context.evidence[0].argmax() == 7
    state = tuple(part[:, None] for part in context.start)
    logprobs, _, _ = decoder.step(torch.tensor([[1]]), state, context)
    assert logprobs[0, 0].argmax() == 7


def test_captions_do_not_train_the_classifier(names):
    assert not any(parameter.requires_grad for parameter in names.parameters())


@pytest.mark.parametrize("missing", ["classes", "detected_words"])
def test_names_without_classes_or_a_detector_are_refused(missing):
    fields = {"class_names": 2, "classes": 4, "detected_words": 3}
    with pytest.raises(ValidationError, match="class_names needs detected_words and the number"):
        DecoderConfig(**fields | {missing: 0})
