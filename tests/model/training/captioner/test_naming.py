"""Names for the classes of a CNN's own classifier."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from model.networks.caption_network import CaptionNetwork
from model.training.captioner.naming import (
    ClassWord,
    classify,
    count_rates,
    name_classes,
    read_class_words,
    read_classifier,
    usual_log_odds,
)
from tests.tiny import tiny_captioner, tiny_vocabulary

REPOSITORY = Path(__file__).parents[4]
TABLE = """
cat = [0, 2]
lion = { classes = [1], like = "cat" }
"""
WORDS = [ClassWord("cat", (0, 2)), ClassWord("lion", (1,), "cat")]


def write(path: Path, text: str) -> Path:
    path.write_text(text)
    return path


def test_a_table_names_classes(tmp_path):
    assert read_class_words(write(tmp_path / "words.toml", TABLE), 3) == WORDS


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ("cat = [0", "is not TOML"),
        ("cat = 3", r"cat must be a list of classes, such as \[281, 282\]"),
        ('cat = ["tabby"]', "cat must be a list of classes"),
        ('lion = { like = "cat" }', "lion must be a list of classes"),
        ("cat = [0, 3]", "cat names class 3, but there are 0 to 2"),
        ("cat = [-1]", "cat names class -1"),
        ("cat = [true]", "cat must be a list of classes"),
        ("cat = []", "cat must be a list of classes"),
        ("", "names no class: give it lines"),
        ('"sea lion" = [1]', "'sea lion' is not one word in lower case"),
        ("Lion = [1]", "'Lion' is not one word"),
        ('"<END>" = [1]', "'<END>' is not one word"),
        ('lion = { classes = [1], like = ["cat"] }', r"\['cat'\] is not one word"),
        ('lion = { classes = [1], as = "cat" }', "lion has classes and like, but no as"),
    ],
)
def test_a_wrong_table_is_refused(tmp_path, table, message):
    with pytest.raises(ValueError, match=message):
        read_class_words(write(tmp_path / "words.toml", table), 3)


def test_the_table_of_imagenet_names_its_classes():
    words = read_class_words(REPOSITORY / "scripts" / "imagenet-words.toml", 1000)
    named = {word.word: word for word in words}
    assert 967 in named["coffee"].classes  # espresso
    assert named["lion"] == ClassWord("lion", (291,), "bear")


def test_a_word_is_as_usual_as_captions_say_it():
    captions = ["A cat on a cat.", "a dog", "a dog runs"]
    odds = usual_log_odds(["cat", "a", "lion"], captions)
    expected = torch.logit(torch.tensor([1.5 / 4, 3.5 / 4, 0.5 / 4]))
    torch.testing.assert_close(odds, expected)
    assert usual_log_odds(["lion"], ["a dog"] * 100_000).item() == -9


def test_rates_are_how_often_captions_of_a_class_say_its_word():
    chances = torch.tensor([[1.0, 0.0, 0.0], [0.9, 0.1, 0.0], [0.0, 1.0, 0.0]])
    captions = [["a cat", "two dogs"], ["A cat!", "the cat"], ["a tree", "a cat"]]
    rates = count_rates(chances, captions, WORDS)
    # 0.5 of the first picture and 0.9 of the second, and four pictures more of which half say it.
    assert rates[0, 0].item() == pytest.approx((0.5 + 0.9 + 2) / (1.9 + 4))
    assert rates[1].tolist() == pytest.approx([0, 2 / (1 + 4)])  # a cat is no name of class 1
    assert rates[2].tolist() == pytest.approx([0.5, 0])  # without pictures


def named_captioner(words: list[ClassWord]):
    captioner = tiny_captioner(detected_words=6)
    torch.manual_seed(2)
    channels = captioner.network.encoder.channels
    classifier = torch.randn(3, channels), torch.randn(3)
    chances = torch.eye(3)
    captions = [["the cat"], ["a dog"], ["a cat on grass"]]
    return captioner, classifier, name_classes(captioner, classifier, words, chances, captions)


def test_a_new_word_is_written_like_the_word_that_it_is_like():
    captioner, classifier, (decoder, state, vocabulary) = named_captioner(WORDS)
    assert vocabulary.tokens == (*tiny_vocabulary().tokens, "lion")
    assert (decoder.classes, decoder.class_names) == (3, 2)
    vectors, bias = state["decoder.embedding.weight"], state["decoder.output_bias"]
    (cat,), (lion,) = vocabulary.encode("cat"), vocabulary.encode("lion")
    assert torch.equal(vectors[lion], vectors[cat])
    assert bias[lion] < bias[cat] - 1  # and is rarer
    assert torch.equal(vectors[:-1], captioner.network.decoder.embedding.weight)
    assert torch.equal(state["decoder.class_names.classifier.weight"], classifier[0])
    assert state["decoder.class_names.words"].tolist() == [cat, lion]
    usual = captioner.network.decoder.detector.usual
    assert state["decoder.class_names.usual"][0] == usual[cat - 4]


def test_known_words_leave_the_vocabulary_as_it_is():
    captioner, _, (_, state, vocabulary) = named_captioner(WORDS[:1])
    assert vocabulary.tokens == captioner.vocabulary.tokens
    assert len(state["decoder.output_bias"]) == len(vocabulary)


@pytest.mark.parametrize("like", [None, "tiger"])
def test_a_new_word_must_be_like_a_known_one(like):
    with pytest.raises(ValueError, match="lion is not in the vocabulary: give a word that is"):
        named_captioner([ClassWord("lion", (1,), like)])


def test_a_small_vocabulary_has_no_more_detected_words_than_before():
    captioner = tiny_captioner(detected_words=500)  # of the 18 that there are
    classifier = torch.zeros(3, captioner.network.encoder.channels), torch.zeros(3)
    decoder, state, vocabulary = name_classes(
        captioner, classifier, WORDS, torch.eye(3), [["a"]] * 3
    )
    network = CaptionNetwork(replace(captioner.config, decoder=decoder), len(vocabulary))
    network.load_state_dict(state)


@pytest.mark.parametrize(
    "decoder",
    [
        {},
        {"detected_words": 6, "tie_output": False},
        {"detected_words": 6, "classes": 3, "class_names": 2},
    ],
)
def test_a_captioner_that_cannot_get_names_is_refused(decoder):
    captioner = tiny_captioner(**decoder)
    classifier = torch.zeros(3, captioner.network.encoder.channels), torch.zeros(3)
    with pytest.raises(ValueError, match="detected_words and tie_output that has no names yet"):
        name_classes(captioner, classifier, WORDS, torch.eye(3), [["a"]] * 3)


def test_a_classifier_is_read_from_the_weights_of_a_cnn(tmp_path):
    path = tmp_path / "cnn.safetensors"
    save_file({"classifier.weight": torch.ones(3, 4), "classifier.bias": torch.zeros(3)}, path)
    classifier = read_classifier(path, 4)
    chances = classify(torch.rand(2, 4), classifier)
    torch.testing.assert_close(chances, torch.full((2, 3), 1 / 3))
    with pytest.raises(ValueError, match="has no classifier of 5 channels"):
        read_classifier(path, 5)
    save_file({"fc.weight": torch.ones(3, 4), "fc.bias": torch.zeros(3)}, path)  # a ResNet's
    assert read_classifier(path, 4)[0].shape == (3, 4)
    save_file({"conv_stem.weight": torch.ones(3)}, path)
    with pytest.raises(ValueError, match="has no classifier of 4 channels"):
        read_classifier(path, 4)
