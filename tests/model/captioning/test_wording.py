"""Alt text: a sentence, short, and not about a picture of something."""

import pytest

from model.captioning.wording import MAX_ALT_TEXT, alt_text, hedge


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a cat is sitting on a couch", "A cat is sitting on a couch."),
        ("  a cat.\n", "A cat."),
        ("Is it a cat?", "Is it a cat?"),
        ("a black and white photo of a man on a bike", "A man on a bike."),
        ("an image of a cat", "A cat."),
        ("this is a picture of two dogs", "Two dogs."),
        ("a photograph showing a street", "A street."),
        ("a man holding a picture of a dog", "A man holding a picture of a dog."),
        ("a picture of", "A picture."),
        ("a cat sitting on top of a", "A cat sitting on top."),  # cut off at the greatest length
        ("a dog with a ball to play with", "A dog with a ball to play with."),
        ("", ""),
        ("x" * 200, ""),
    ],
)
def test_a_caption_becomes_a_sentence(text, expected):
    assert alt_text(text) == expected


@pytest.mark.parametrize("length", range(1, 60))
def test_a_long_caption_is_cut_between_words(length):
    words = ["word", "of", "many", "the", "letters", "and", "in", "them"] * 8
    text = " ".join(words[:length])
    written = alt_text(text)
    assert len(written) <= MAX_ALT_TEXT
    kept = written.removesuffix(".").lower().split()
    assert kept == words[: len(kept)]
    assert kept[-1] not in {"of", "the", "and"}
    if len(text) > MAX_ALT_TEXT:
        assert len(written) > MAX_ALT_TEXT - 30


def test_a_caption_that_just_fits_is_kept():
    text = "a" * 60 + " " + "b" * 63  # with the full stop 125
    assert alt_text(text) == f"A{text[1:]}."
    assert alt_text(f"{text}b") == "A" + "a" * 59 + "."


def test_a_hedged_caption_is_still_a_sentence():
    assert hedge("a cat on a bed") == "Possibly a cat on a bed"
    assert hedge("A cat.") == "Possibly a cat."
    assert hedge("TV screens") == "Possibly TV screens"
    assert hedge(hedge("a cat")) == "Possibly a cat"
    assert hedge("") == ""
    assert alt_text(hedge("a photo of a cat")) == "Possibly a cat."
    assert len(alt_text(hedge("word " * 50))) <= MAX_ALT_TEXT
    assert alt_text(hedge("x" * 200)) == ""
