"""How usual words are, from a captioner's weights."""

import numpy as np

from model.runtime.usual_words import usual_words

DETECTOR = {"decoder.detector.usual": np.array([-1, -2, -3], np.float32)}


def test_without_a_detector_there_are_none():
    assert usual_words({"decoder.output_bias": np.zeros(9)}) is None


def test_those_of_the_detector_come_first():
    assert usual_words(DETECTOR).tolist() == [-1, -2, -3]


def test_named_words_follow_at_their_places_and_others_have_no_odds():
    named = {
        "decoder.class_names.words": np.array([9, 5]),  # 5 is detected, as the second word
        "decoder.class_names.usual": np.array([-8, -7], np.float32),
    }
    assert usual_words(DETECTOR | named).tolist() == [-1, -2, -3, -np.inf, -np.inf, -8]
