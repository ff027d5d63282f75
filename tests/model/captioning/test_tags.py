"""Tags: the word detector's words, alike on every runtime, with calibrated probabilities."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from model.captioning.base import UnsupportedOption
from model.captioning.captioner import Captioner
from model.captioning.tags import LEAST_PROBABILITY, MOST_TAGS, Tagger
from model.captioning.word_kinds import is_compounding, word_kind
from model.config import DecodingConfig, TaggingConfig
from model.vocabulary import Vocabulary
from tests.model.exported import load_with_both
from tests.tiny import rebuild, save_tiny_captioner, tiny_captioner, tiny_vocabulary

TAGGING = TaggingConfig(evidence=0.8, usual=0.9, intercept=0.5)


def with_tags(captioner: Captioner) -> Captioner:
    return rebuild(captioner, replace(captioner.config, tagging=TAGGING))


def grid_of(captioner: Captioner) -> object:
    random = np.random.default_rng(1)
    pictures = [
        Image.fromarray(random.integers(0, 256, (40, 50, 3), dtype=np.uint8)) for _ in range(3)
    ]
    return captioner.encode(captioner.prepare(pictures))


def test_probabilities_are_the_calibrated_log_odds_of_the_detector():
    captioner = with_tags(tiny_captioner(detected_words=9))
    grid = grid_of(captioner)
    detector = captioner.network.decoder.detector
    with torch.inference_mode():
        odds = 0.8 * detector(grid) + 0.9 * detector.usual + 0.5
    expected = odds.sigmoid().tolist()
    words = captioner.vocabulary.tokens[4:13]
    for tags, probabilities in zip(captioner.tags(grid), expected, strict=True):
        likely = {
            word: probability
            for word, probability in zip(words, probabilities, strict=True)
            if probability >= LEAST_PROBABILITY and word_kind(word) is not None
        }
        assert {tag.word: tag.probability for tag in tags} == pytest.approx(likely, abs=1e-5)
        given = [tag.probability for tag in tags]
        assert given == sorted(given, reverse=True)
        assert all(tag.kind == word_kind(tag.word) for tag in tags)


def test_words_that_name_classes_are_tags_too():
    captioner = with_tags(tiny_captioner(detected_words=9, classes=6, class_names=5))
    usual, words = captioner.runner.usual_words, captioner.vocabulary.tokens[4:]
    detected, between, named = np.split(usual, [9, len(words) - 5])
    assert np.isfinite(detected).all()
    assert np.isinf(between).all()
    assert named == pytest.approx([-3.0] * 5)
    tags = {tag.word for tags in captioner.tags(grid_of(captioner)) for tag in tags}
    assert tags & set(words[-5:])
    assert not tags & set(words[9:-5])


@pytest.mark.parametrize("kind", ["attention", "global"])
def test_both_runtimes_find_the_same_tags(tmp_path: Path, monkeypatch, kind):
    bundle = save_tiny_captioner(tmp_path / "bundle", kind=kind, detected_words=12)
    both = [with_tags(c) for c in load_with_both(bundle, tmp_path / "cache", monkeypatch)]
    by_torch, by_openvino = (captioner.tags(grid_of(captioner)) for captioner in both)
    for one, other in zip(by_torch, by_openvino, strict=True):
        assert len(one) > 2
        assert {t.word: t.probability for t in one} == pytest.approx(
            {t.word: t.probability for t in other}, abs=1e-4
        )


def test_words_that_name_nothing_are_no_tags_and_tags_are_few():
    words = [f"word{i}" for i in range(60)]
    vocabulary = Vocabulary.build([" ".join(["the the", *words])])
    tagger = Tagger(np.zeros(61, np.float32), TaggingConfig(1, 1, 0), vocabulary)
    evidence = np.zeros(len(vocabulary), np.float32)
    evidence[4:] = 3.0
    tags = tagger(evidence)
    assert "the" in vocabulary.tokens[4:]
    assert len(tags) == MOST_TAGS
    assert "the" not in {tag.word for tag in tags}
    assert tagger(np.full(len(vocabulary), -9, np.float32)) == []


def test_words_have_kinds():
    kinds = {"dog": "noun", "riding": "verb", "red": "other", "the": None, "zyzzyva": "other"}
    assert {word: word_kind(word) for word in kinds} == kinds
    assert {word_kind(word) for word in tiny_vocabulary().tokens[4:]} == {
        "noun",
        "verb",
        "other",
        None,
    }


def test_nouns_that_often_stand_before_another_are_known():
    words = ("tennis", "train", "dog", "playing", "zyzzyva")
    assert [word for word in words if is_compounding(word)] == ["tennis", "train"]


def test_a_captioner_that_cannot_tag_says_why():
    without_detector = tiny_captioner()
    with pytest.raises(UnsupportedOption, match="word detector"):
        without_detector.tags(grid_of(without_detector))
    uncalibrated = tiny_captioner(detected_words=9)
    assert not uncalibrated.has_tags
    with pytest.raises(UnsupportedOption, match="unrolled finalize captioner"):
        uncalibrated.check_support(DecodingConfig(), tags=True)
