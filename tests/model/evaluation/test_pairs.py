"""What a text opens and closes."""

import pytest

from model.evaluation.pairs import PAIRS, Balance


@pytest.mark.parametrize(
    ("kind", "text", "pairs", "unmatched"),
    [
        (r"\begin \end", r"\begin{proof} a \begin{equation} b \end{equation} \end{proof}", 2, 0),
        (r"\begin \end", r"\begin{lemma} \end{proof}", 0, 2),
        (r"\begin \end", r"\begin{proof} \begin{align*} \end{proof}", 1, 1),
        (r"\begin \end", r"\beginning{a} \end{a}", 0, 1),
        ("{ }", "if (a) { while (b) { } }", 2, 0),
        ("{ }", "} {", 0, 2),
        ("{ }", r"$\{ x \}$ \frac{a}{b}", 2, 0),
        ("( )", "(a (b) c", 1, 1),
        ("( )", "a) b)", 0, 2),
        ("/* */", "/* a */ b /* c */", 2, 0),
        ("/* */", "/* a /* b */", 1, 1),
        ("/* */", "a */ /* b", 0, 2),
        ('" "', '"Well," said he, "how\nare you?"', 2, 0),
        ('" "', '"Well, said he.\n \t\n"Yes," he said.', 1, 1),
        ('" "', r'printf("\"%s\"", a);', 1, 0),
        ('" "', "it's", 0, 0),
    ],
)
def test_pairs_and_what_has_no_partner_are_counted(kind, text, pairs, unmatched):
    assert PAIRS[kind].count([text]) == Balance(pairs, unmatched)


def test_each_text_stands_alone():
    assert PAIRS["{ }"].count(["{", "}"]) == Balance(0, 2)
    assert PAIRS["{ }"].count(["{}", "}"]) == Balance(1, 1)


def test_a_share_is_that_of_the_pairs():
    assert Balance(3, 1).share == 0.75
    assert Balance(0, 2).share == 0.0
    assert Balance(0, 0).share is None


@pytest.mark.parametrize(
    ("kind", "text", "openings"),
    [("{ }", "{{}", 2), ('" "', '"a" "', 3), (r"\begin \end", r"\begin{a}\end{a}", 1)],
)
def test_openings_are_counted_whether_they_are_closed_or_not(kind, text, openings):
    assert PAIRS[kind].openings(text) == openings
