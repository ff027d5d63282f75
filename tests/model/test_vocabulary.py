"""Text to ids and back; invalid vocabularies are refused."""

import json

import pytest

from model.vocabulary import END, PAD, START, UNKNOWN, Vocabulary, split

SPECIAL = [PAD, START, END, UNKNOWN]


@pytest.fixture
def words() -> Vocabulary:
    return Vocabulary.build(["A dog runs.", "The dog and the man's t-shirt!", "a dog"])


@pytest.fixture
def characters() -> Vocabulary:
    return Vocabulary.build(["To be, or not\nto be"], level="character")


def test_the_special_tokens_are_the_first_four(words):
    assert words.tokens[:4] == ("<PAD>", "<START>", "<END>", "<UNK>")
    assert (words.pad_id, words.start_id, words.end_id, words.unknown_id) == (0, 1, 2, 3)


def test_commoner_words_come_first_and_ties_are_alphabetical(words):
    assert words.tokens[4:] == ("dog", "a", "the", "and", "man's", "runs", "t-shirt")
    assert len(words) == 11


def test_the_order_of_texts_does_not_matter(words):
    again = Vocabulary.build(["a dog", "The dog and the man's t-shirt!", "A dog runs."])
    assert again.tokens == words.tokens


def test_rare_words_are_left_out():
    assert Vocabulary.build(["a a b b c"], min_count=2).tokens[4:] == ("a", "b")


@pytest.mark.parametrize(
    ("text", "tokens"),
    [
        ("A dog, running.", ["a", "dog", "running"]),
        ("The man's T-shirt", ["the", "man's", "t-shirt"]),
        ("the man’s dogs'", ["the", "man's", "dogs"]),  # noqa: RUF001 - as people type it
        ("‘Don’t’ — rock ’n’ roll", ["don't", "rock", "n", "roll"]),  # noqa: RUF001
        ("they‘re", ["they're"]),  # noqa: RUF001
        ("two-  -three", ["two", "three"]),
        ("snake_case 3 dogs", ["snake", "case", "3", "dogs"]),
        ("ÜBER café", ["über", "café"]),
        ("  \n", []),
        ("<START> <END>", ["start", "end"]),
        ("¿?!...", []),
    ],
)
def test_words_are_lower_case_without_punctuation(text, tokens):
    assert split(text, "word") == tokens


def test_words_survive_the_round_trip(words):
    assert words.decode(words.encode("The dog's the man's, and a DOG runs")) == (
        "the the man's and a dog runs"
    )


@pytest.mark.parametrize("text", ["the man's", "The man’s", "‘the man‘s’"])  # noqa: RUF001
def test_every_apostrophe_is_the_plain_one(words, text):
    assert words.decode(words.encode(text)) == "the man's"
    assert Vocabulary.build([text]).tokens[4:] == ("man's", "the")


def test_an_apostrophe_is_a_character_like_any_other():
    vocabulary = Vocabulary.build(["it’s"], "character")  # noqa: RUF001
    assert vocabulary.decode(vocabulary.encode("it’s")) == "it’s"  # noqa: RUF001
    assert vocabulary.encode("'") == [vocabulary.unknown_id]


def test_encoding_adds_no_special_token_except_unknown(words):
    ids = words.encode("a zebra runs")
    assert [words.tokens[i] for i in ids] == ["a", UNKNOWN, "runs"]


def test_text_cannot_contain_special_tokens(words):
    assert set(words.encode("<PAD> <START> <END> <UNK>")) == {words.unknown_id}


def test_decoding_leaves_special_tokens_out(words):
    assert words.decode([1, 5, 4, 3, 0, 2]) == "a dog"
    assert words.decode([]) == ""


def test_characters_survive_the_round_trip_unchanged(characters):
    text = "be not To\n, or"
    assert characters.decode(characters.encode(text)) == text
    assert len(characters.encode(text)) == len(text)


def test_case_and_whitespace_are_kept(characters):
    assert "T" in characters
    assert "t" in characters
    assert "\n" in characters
    assert characters.encode("Z") == [characters.unknown_id]


def test_a_vocabulary_contains_its_tokens(words):
    assert "dog" in words
    assert "zebra" not in words
    assert 4 not in words


@pytest.mark.parametrize("level", ["word", "character"])
def test_a_vocabulary_survives_json(level):
    vocabulary = Vocabulary.build(['a dog’s "life", naïve 犬'], level)  # noqa: RUF001
    again = Vocabulary.from_json(json.loads(json.dumps(vocabulary.to_json())))
    assert again.tokens == vocabulary.tokens
    assert again.level == level


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (None, '"level" and "tokens"'),
        ([], '"level" and "tokens"'),
        ({}, '"level" and "tokens"'),
        ({"tokens": SPECIAL}, '"level" and "tokens"'),
        ({"level": "word", "tokens": SPECIAL, "more": 1}, '"level" and "tokens"'),
        ({"level": "word", "tokens": "abc"}, "list of strings"),
        ({"level": "word", "tokens": [*SPECIAL, 3]}, "list of strings"),
        ({"level": "word", "tokens": []}, "must begin with <PAD> <START> <END> <UNK>"),
        ({"level": "word", "tokens": ["a", *SPECIAL]}, "begins with 'a'"),
        ({"level": "word", "tokens": [*SPECIAL, "a", "a"]}, "'a' comes twice"),
        ({"level": "syllable", "tokens": SPECIAL}, "not 'syllable'"),
        ({"level": ["word"], "tokens": SPECIAL}, "level must be"),
    ],
)
def test_an_invalid_vocabulary_is_refused(data, message):
    with pytest.raises(ValueError, match=message):
        Vocabulary.from_json(data)
