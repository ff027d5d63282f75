"""What a way of decoding rules out, in the captions that a search and a drawing find."""

import re

import pytest

from model.captioning.captioner import Captioner
from model.captioning.constraints import decoding_constraints
from model.captioning.word_kinds import is_open, word_kind
from model.config import DecodingConfig
from model.decoding.constraints import NoRepeatNoun
from model.vocabulary import Vocabulary
from tests.model.captioning.test_captioner import pictures
from tests.tiny import tiny_captioner


def captioner_of_tennis(seed: int) -> Captioner:
    """A tiny captioner that knows a noun that often stands before another."""
    tiny = tiny_captioner(seed)
    words = [token.replace("ball", "tennis") for token in tiny.vocabulary.tokens]
    return Captioner(tiny.runner, tiny.config, Vocabulary(words))


def repeated_nouns(text: str) -> list[str]:
    """Nouns that come again with nothing but an article."""
    words = [*text.split(), ""]
    is_noun = [word_kind(word) == "noun" for word in words]
    heads = [i for i in range(len(words) - 1) if is_noun[i] and not is_noun[i + 1]]
    return [
        words[i]
        for i in heads
        if words[i - 1] in {"a", "the"} and words[i] in {words[j] for j in heads if j < i}
    ]


def test_repeated_nouns_are_told_from_others():
    assert repeated_nouns("a dog with the dog in grass") == ["dog"]
    assert not repeated_nouns("a dog with a red dog")
    assert not repeated_nouns("a tennis ball with a tennis")
    assert not repeated_nouns("a tennis with a tennis ball")


@pytest.mark.parametrize(
    "options",
    [
        {"beam_size": 10, "length_penalty": 2.0, "no_repeat_ngram_size": 2},
        {"temperature": 2.0, "seed": 7},
    ],
    ids=["searched", "drawn"],
)
def test_no_noun_comes_again_with_nothing_but_an_article(options):
    options = {"num_captions": 10, "max_length": 16, **options}
    texts: dict[bool, list[str]] = {False: [], True: []}
    for seed in range(4):
        captioner = captioner_of_tennis(seed)
        for allowed, found in texts.items():
            for captions in captioner.caption(pictures(6), no_repeat_nouns=allowed, **options):
                # Cut off before the next word, the last noun might yet have been followed by one.
                found += [re.sub(r" \S+ \S+$", "", caption.text) for caption in captions]
    assert any(map(repeated_nouns, texts[False]))
    assert not any(map(repeated_nouns, texts[True]))


def test_the_kinds_of_a_vocabulary_are_looked_up_once():
    vocabulary = captioner_of_tennis(0).vocabulary
    first, again = (
        decoding_constraints(vocabulary, DecodingConfig(no_repeat_nouns=True))[-1] for _ in range(2)
    )
    assert isinstance(first, NoRepeatNoun)
    assert first is again
    without = decoding_constraints(vocabulary, DecodingConfig())
    assert not any(isinstance(constraint, NoRepeatNoun) for constraint in without)


@pytest.mark.parametrize("drawn", [False, True], ids=["searched", "drawn"])
def test_no_caption_ends_where_it_cannot(drawn):
    options = {"temperature": 2.0, "seed": 7} if drawn else {"beam_size": 10, "length_penalty": 2.0}
    ends: dict[bool, list[str]] = {False: [], True: []}
    for seed in range(4):
        captioner = captioner_of_tennis(seed)
        for allowed, found in ends.items():
            options |= {"num_captions": 10, "max_length": 12, "no_open_endings": allowed}
            for captions in captioner.caption(pictures(6), **options):
                found += [one.text.split()[-1] for one in captions if one.finished]
    assert any(map(is_open, ends[False]))
    assert ends[True]
    assert not any(map(is_open, ends[True]))


def test_letters_are_not_taken_for_words():
    letters = Vocabulary.build(["a pizza"], level="character")
    plain, without = (
        decoding_constraints(letters, DecodingConfig(no_open_endings=on)) for on in (False, True)
    )
    assert list(map(type, without)) == list(map(type, plain))
