"""Deltas joined to texts, all at once and in parts."""

import pytest

from model.text.deltas import TextAssembler, TextDelta, summarise

DELTAS = [
    TextDelta(0, "a", "a", -1.0, (("a", -1.0), ("b", -2.0))),
    TextDelta(1, " x", "x", -0.5, (("x", -0.5),)),
    TextDelta(0, "bc", "bc", -2.0, (("a", -1.0),)),
    TextDelta(1, "", "<END>", -0.25, (("x", -3.0),), "stop"),
    TextDelta(0, "", finish_reason="length"),
]


def test_deltas_are_joined_by_text() -> None:
    first, second = TextAssembler("p ").join(DELTAS)
    assert (first.index, first.text, first.finish_reason) == (0, "p abc", "length")
    assert (first.tokens, first.logprobs, first.offsets) == (["a", "bc"], [-1.0, -2.0], [2, 3])
    assert first.top == [{"a": -1.0, "b": -2.0}, {"a": -1.0}]
    assert (second.text, second.tokens, second.offsets) == ("p  x", ["x", "<END>"], [2, 4])
    assert second.finish_reason == "stop"


@pytest.mark.parametrize("size", [1, 2, 3])
def test_joining_in_parts_gives_the_same(size: int) -> None:
    assembler = TextAssembler("p ")
    parts = [
        part
        for start in range(0, len(DELTAS), size)
        for part in assembler.join(DELTAS[start : start + size])
    ]
    for whole in TextAssembler("p ").join(DELTAS):
        of_text = [part for part in parts if part.index == whole.index]
        assert "".join(part.text for part in of_text) == whole.text
        assert [offset for part in of_text for offset in part.offsets] == whole.offsets
        assert [part.finish_reason for part in of_text[:-1]] == [None] * (len(of_text) - 1)
        assert of_text[-1].finish_reason == whole.finish_reason


def test_a_text_is_summarised_by_its_logprobs() -> None:
    assert summarise([-1.0, -3.0]) == {
        "logprob": -4.0, "mean_logprob": -2.0, "perplexity": pytest.approx(7.389, abs=1e-3),
    }  # fmt: skip
    assert summarise([])["perplexity"] == 1
    assert summarise([-1e9])["perplexity"] < float("inf")
