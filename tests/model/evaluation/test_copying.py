"""The longest stretch of a text that stands in a corpus."""

import random

import pytest

from model.evaluation.copying import CopyFinder


def longest_by_trying(corpus: str, text: str) -> int:
    stretches = (text[i:j] for i in range(len(text)) for j in range(i, len(text) + 1))
    return max(len(stretch) for stretch in stretches if stretch in corpus)


@pytest.mark.parametrize("seed", range(20))
def test_it_finds_what_trying_every_stretch_finds(seed):
    rng = random.Random(seed)
    corpus = "".join(rng.choices("ab\n☃🙂", k=200))
    text = "".join(rng.choices("ab\n☃🙂z", k=40))
    found = CopyFinder(corpus, 100).longest(text)
    assert found in corpus
    assert found in text
    assert len(found) == longest_by_trying(corpus, text)


def test_it_looks_no_further_than_is_asked():
    assert CopyFinder("the cat sat on the mat", 7).longest("a cat sat on a mat") == " cat sa"


@pytest.mark.parametrize("text", ["", "xyz", "🙂"])
def test_nothing_in_common_is_an_empty_stretch(text):
    assert CopyFinder("the cat", 10).longest(text) == ""


def test_a_whole_text_may_be_copied_up_to_the_corpus_end():
    assert CopyFinder("the cat sat", 50).longest("cat sat") == "cat sat"
    assert CopyFinder("the cat sat", 50).longest("cat sat!") == "cat sat"
