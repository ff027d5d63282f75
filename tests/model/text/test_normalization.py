"""Any text in the characters that a model knows: nearest ones, and never a crash."""

# ruff: noqa: RUF001 - the characters that are easily mistaken are what this is about
import random
import string
import unicodedata

import pytest

from model.text.normalization import with_known_characters

PLAIN = set(string.ascii_letters + string.digits + string.punctuation + " \n")


@pytest.mark.parametrize(
    ("text", "read"),
    [
        ("To be, or not to be\n", "To be, or not to be\n"),
        ("", ""),
        ("café, naïve, Čapek, Ångström", "cafe, naive, Capek, Angstrom"),
        ("cafe\u0301", "cafe"),  # the accent after its letter
        ("‘so’ ‚so‛ “so” „so‟ «so»", '\'so\' \'so‛ "so" "so‟ "so"'),
        ("1914–1918 — then − or ‐ or ‑", "1914-1918 -- then - or - or -"),
        ("straße, Œuvre, æon, Øre, łódź", "strasse, OEuvre, aeon, Ore, lodz"),
        ("ﬁne… ½ ①", "fine... ½ 1"),  # the half has a slash of its own, and that is not known
        ("a\tb", "a    b"),
        ("a\r\nb\rc", "a\nbc"),
        ("a\u00a0b\u2003c", "a b c"),  # spaces of other widths
        ("ＡＢｃ", "ABc"),
    ],
)
def test_the_nearest_known_characters(text, read):
    assert with_known_characters(text, PLAIN) == read


def test_what_is_known_stays_as_it_is():
    text = "“café” — …\t\r"
    assert with_known_characters(text, PLAIN | set(text)) == text


@pytest.mark.parametrize("text", ["日本語", "🙂", "שלום", "мир", "\x00", "\ud800", "\U0010ffff"])
def test_what_has_no_counterpart_stays_for_the_unknown_token(text):
    assert with_known_characters(text, PLAIN) == text


def test_a_counterpart_that_is_unknown_too_is_none():
    assert with_known_characters("é—", {"a"}) == "é—"
    assert with_known_characters("…", {"…"}) == "…"
    assert with_known_characters("ﬁ", {"f"}) == "ﬁ"


def test_an_accent_joins_its_letter_where_both_together_are_known():
    known = PLAIN | {"é", "ấ", "â"}
    assert with_known_characters("cafe\u0301", known) == "café"
    assert with_known_characters("a\u0302\u0301", known) == "ấ"  # two accents, one by one
    assert with_known_characters("x\u0301", known) == "x"
    assert with_known_characters("\u1112\u1161\u11ab", {"하", "한"}) == "한"  # Hangul, by parts
    assert with_known_characters("\u0301e", known) == "e"
    assert with_known_characters("e\u0301", known | {"\u0301"}) == "e\u0301"


def test_any_character_of_unicode_is_read():
    for code in [*range(0x20000), *range(0x20000, 0x110000, 61)]:  # hardly any there is given
        read = with_known_characters(chr(code), PLAIN)
        if read != chr(code):
            assert set(read) <= PLAIN
            # Only an accent by itself, or the other half of a line's end, is read as nothing.
            assert read or unicodedata.category(chr(code))[0] == "M" or chr(code) == "\r"


def test_any_text_is_read():
    chance = random.Random(0)
    for _ in range(200):
        text = "".join(chr(chance.randrange(0x110000)) for _ in range(chance.randrange(50)))
        once = with_known_characters(text, PLAIN)
        assert with_known_characters(once, PLAIN) == once


def test_a_long_run_of_marks_is_read():
    # To put the marks of a whole run in order would take hours.
    text = "e" + "\u0301\u0323" * 200_000
    assert with_known_characters(text, PLAIN) == "e"
