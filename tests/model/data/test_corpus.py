"""A text file is split in two, encoded, and cut into streams."""

import pytest
import torch

from model.data.corpus import Corpus, streams
from model.vocabulary import Vocabulary

START = Vocabulary.start_id
LINES = "one dog\ntwo dogs\n\nthree red cats\nfour cats\nfive blue birds sing\n"


def write(tmp_path, text, encoding="utf-8"):
    path = tmp_path / "text.txt"
    path.write_bytes(text.encode(encoding))
    return path


def texts_of(corpus: Corpus, tokens: torch.Tensor) -> list[str]:
    """The texts between start and end tokens."""
    start, end = corpus.vocabulary.start_id, corpus.vocabulary.end_id
    texts: list[list[int]] = []
    for token in tokens.tolist():
        if token == start:
            texts.append([])
        texts[-1].append(token)
    assert all((text[0], text[-1], text.count(end)) == (start, end, 1) for text in texts)
    return [corpus.vocabulary.decode(text) for text in texts]


def test_the_last_twentieth_is_for_validation(tmp_path):
    text = "".join(chr(ord("a") + i % 26) for i in range(1000))
    corpus = Corpus.read(write(tmp_path, text))
    assert (corpus.train_text, corpus.validation_text) == (text[:950], text[950:])
    assert corpus.vocabulary.decode(corpus.train.tolist()) == text[:950]
    assert corpus.vocabulary.decode(corpus.validation.tolist()) == text[950:]
    assert corpus.train.dtype == corpus.validation.dtype == torch.long


def test_the_share_and_the_number_of_characters_can_be_set(tmp_path):
    corpus = Corpus.read(write(tmp_path, "abcdefghij"), validation_share=0.5, characters=3)
    assert (corpus.train_text, corpus.validation_text) == ("abc", "fghij")
    more = Corpus.read(write(tmp_path, "abcdefghij"), validation_share=0.5, characters=99)
    assert more.train_text == "abcde"
    # Whatever trains, the vocabulary and so the network are of the same size.
    assert corpus.vocabulary.tokens == more.vocabulary.tokens


def test_each_piece_of_a_text_ends_in_its_validation_part(tmp_path):
    text = "".join(letter * 9 + letter.upper() for letter in "abcd")
    corpus = Corpus.read(write(tmp_path, text), validation_share=0.1, validation_pieces=4)
    assert corpus.train_text == "".join(letter * 9 for letter in "abcd")
    assert corpus.validation_text == "ABCD"
    fewer = Corpus.read(
        write(tmp_path, text), validation_share=0.1, validation_pieces=4, characters=10
    )
    assert fewer.train_text == "a" * 9 + "b"
    assert fewer.validation_text == "ABCD"


def test_a_line_is_in_one_part_only(tmp_path):
    lines = [f"{word} {number}\n" for number in range(40) for word in ("ab", "abcdefg")]
    corpus = Corpus.read(
        write(tmp_path, "".join(lines)), ends=True, validation_share=0.3, validation_pieces=5
    )
    parts = [part.splitlines(keepends=True) for part in (corpus.train_text, corpus.validation_text)]
    assert sorted(parts[0] + parts[1]) == sorted(lines)
    assert 0.2 < len(corpus.validation_text) / len("".join(lines)) < 0.4


def test_the_vocabulary_has_the_characters_of_the_whole_text(tmp_path):
    corpus = Corpus.read(write(tmp_path, "ab" * 50 + "xyz"))
    assert set(corpus.vocabulary.tokens[4:]) == set("abxyz")
    assert corpus.vocabulary.unknown_id not in corpus.validation


def test_the_vocabulary_has_the_words_of_the_training_part(tmp_path):
    text = "The dog. The cat! " * 9 + "a bird"
    corpus = Corpus.read(write(tmp_path, text), level="word", validation_share=0.1, min_count=5)
    assert corpus.vocabulary.tokens[4:] == ("the", "dog", "cat")
    assert corpus.validation_text.endswith("a bird")
    assert set(corpus.validation.tolist()[-2:]) == {corpus.vocabulary.unknown_id}


def test_rare_characters_are_unknown(tmp_path):
    corpus = Corpus.read(write(tmp_path, "ab" * 50 + "#"), min_count=2)
    assert corpus.vocabulary.tokens[4:] == ("a", "b")
    assert int(corpus.validation[-1]) == corpus.vocabulary.unknown_id


@pytest.mark.parametrize("share", [0.1, 0.3, 0.5, 0.6])
@pytest.mark.parametrize("level", ["word", "character"])
def test_lines_that_end_by_themselves_are_not_split(tmp_path, share, level):
    corpus = Corpus.read(write(tmp_path, LINES), level=level, ends=True, validation_share=share)
    assert corpus.train_text + corpus.validation_text == LINES
    assert corpus.train_text.endswith("\n")
    assert len(corpus.train_text) <= len(LINES) * (1 - share)
    lines = [line for line in LINES.split("\n") if line]
    train = texts_of(corpus, corpus.train)
    assert train == lines[: len(train)]
    if level == "character":
        assert train + texts_of(corpus, corpus.validation) == lines
        assert "\n" not in corpus.vocabulary


def test_fewer_characters_do_not_split_a_line(tmp_path):
    for characters in range(8, 40):
        corpus = Corpus.read(
            write(tmp_path, LINES), ends=True, validation_share=0.3, characters=characters
        )
        assert len(corpus.train_text) <= characters
        assert set(texts_of(corpus, corpus.train)) <= set(LINES.split("\n"))


def test_only_a_newline_ends_a_text(tmp_path):
    text = "a form\x0cfeed\u2028and more\nnext\nlast line\n"
    corpus = Corpus.read(write(tmp_path, text), ends=True, validation_share=0.2)
    assert texts_of(corpus, corpus.train) == ["a form\x0cfeed\u2028and more", "next"]


@pytest.mark.parametrize("ends", [False, True])
def test_line_endings_of_any_system_are_read(tmp_path, ends):
    options = {"ends": ends, "validation_share": 0.4}
    plain, windows, marked = (
        Corpus.read(write(tmp_path, text, encoding), **options)
        for text, encoding in [
            (LINES, "utf-8"),
            (LINES.replace("\n", "\r\n"), "utf-8"),
            (LINES, "utf-8-sig"),
        ]
    )
    for other in (windows, marked):
        assert other.vocabulary.tokens == plain.vocabulary.tokens
        assert torch.equal(other.train, plain.train)
        assert torch.equal(other.validation, plain.validation)


@pytest.mark.parametrize(
    ("text", "options"),
    [
        ("", {}),
        ("a", {}),
        ("ab", {}),
        ("abcdefghij", {}),  # one character would validate
        ("\n" * 100, {"ends": True}),
        ("one line without an end " * 20, {"ends": True}),
        ("one line\nand another", {"ends": True, "characters": 5, "validation_share": 0.1}),
        ("! ? . " * 100 + "words only here", {"level": "word"}),
    ],
)
def test_a_text_too_short_to_be_split_is_refused(tmp_path, text, options):
    with pytest.raises(ValueError, match=r"text\.txt is too short"):
        Corpus.read(write(tmp_path, text), **options)


def test_a_text_without_learnable_tokens_is_refused(tmp_path):
    with pytest.raises(ValueError, match=r"no word occurs 9 times in .*: lower min_count"):
        Corpus.read(write(tmp_path, "a b c d e " * 8), level="word", min_count=9)


def test_text_that_is_not_utf_8_is_refused(tmp_path):
    with pytest.raises(ValueError, match=r"text\.txt is not text in UTF-8.*position 3"):
        Corpus.read(write(tmp_path, "café" * 9, "latin-1"))


def test_a_missing_file_is_refused(tmp_path):
    with pytest.raises(FileNotFoundError):
        Corpus.read(tmp_path / "text.txt")


@pytest.mark.parametrize(("count", "length"), [(1, 20), (4, 5), (3, 6), (20, 1), (50, 1)])
def test_streams_hold_every_token_once_in_order(count, length):
    tokens = torch.arange(100, 120)
    cut = streams(tokens, count, START)
    assert cut.shape == (min(count, 20), 1 + length)
    assert cut.dtype == torch.long
    assert (cut[:, 0] == START).all()
    held = cut[:, 1:].flatten()
    assert torch.equal(held, tokens[: len(held)])
    assert len(tokens) - len(held) < len(cut)  # what is left out would not fill a column


def test_a_seed_moves_the_cuts():
    tokens = torch.arange(100, 120)
    firsts = set()
    for seed in range(30):
        cut = streams(tokens, 4, START, seed=f"{seed}/0")
        assert torch.equal(cut, streams(tokens, 4, START, seed=f"{seed}/0"))
        held = cut[:, 1:].flatten()
        assert sorted(held.tolist()) == tokens.tolist()
        # In order, but for the place where the end meets the beginning.
        assert torch.equal(held.roll(-int(held.argmin())), tokens)
        firsts.add(int(held[0]))
    assert len(firsts) > 10
    assert torch.equal(tokens, torch.arange(100, 120))
