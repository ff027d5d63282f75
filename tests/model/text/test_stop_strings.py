"""Stop strings against a slow search through the whole text."""

import random

import pytest

from model.text.deltas import TextDelta
from model.text.stop_strings import StopStrings


def deltas_of(texts: list[str]) -> list[TextDelta]:
    return [TextDelta(3, text, token=f"t{i}", logprob=-float(i)) for i, text in enumerate(texts)]


def text_of(deltas: list[TextDelta]) -> str:
    return "".join(delta.text for delta in deltas)


def run(stops: list[str], texts: list[str]) -> tuple[list[TextDelta], bool]:
    stop_strings, released = StopStrings(stops), []
    for delta in deltas_of(texts):
        more, ended = stop_strings.add(delta)
        released += more
        if ended:
            return released, True
    return released + stop_strings.flush(), False


def before_the_first_stop(text: str, stops: list[str]) -> tuple[str, bool]:
    """What comes before the stop string that is complete first, found character by character."""
    for end in range(len(text) + 1):
        complete = [stop for stop in stops if stop and text[:end].endswith(stop)]
        if complete:
            return text[: end - max(map(len, complete))], True
    return text, False


def random_text(numbers: random.Random, shortest: int, longest: int) -> str:
    return "".join(numbers.choices("ab\n", k=numbers.randint(shortest, longest)))


@pytest.mark.parametrize("seed", range(5))
def test_a_text_ends_before_the_first_stop_string(seed):
    numbers = random.Random(seed)
    for _ in range(1000):
        stops = [random_text(numbers, 0, 5) for _ in range(numbers.randint(0, 3))]
        texts = [random_text(numbers, 0, 3) for _ in range(numbers.randint(0, 12))]
        fed = deltas_of(texts)
        expected, stopped = before_the_first_stop("".join(texts), stops)
        released, ended = run(stops, texts)
        assert (text_of(released), ended) == (expected, stopped)
        # The deltas come unchanged and in order; only the last one may be cut.
        assert released[:-1] == fed[: max(0, len(released) - 1)]
        if released:
            last, whole = released[-1], fed[len(released) - 1]
            assert whole.text.startswith(last.text)
            assert (last.index, last.token, last.logprob) == (3, whole.token, whole.logprob)
        if not stopped:
            assert released == fed


@pytest.mark.parametrize("seed", range(5))
def test_only_ambiguous_deltas_are_held_back(seed):
    numbers = random.Random(seed)
    for _ in range(500):
        stops = [random_text(numbers, 1, 5) for _ in range(numbers.randint(1, 3))]
        texts = [random_text(numbers, 0, 3) for _ in range(12)]
        expected, _ = before_the_first_stop("".join(texts), stops)
        stop_strings, released, taken = StopStrings(stops), "", ""
        for delta in deltas_of(texts):
            more, ended = stop_strings.add(delta)
            released, taken = released + text_of(more), taken + delta.text
            assert expected.startswith(released)
            if ended:
                break
            ambiguous = [
                taken[start:]
                for start in range(len(taken))
                if any(stop.startswith(taken[start:]) for stop in stops)
            ]
            held = taken[len(released) :]
            # Held back are the delta in which the ambiguity begins, and those after it.
            assert held.endswith(max(ambiguous, key=len, default=""))
            assert bool(held) == bool(ambiguous)


def test_the_end_does_not_depend_on_how_the_text_is_cut():
    stops = ["bcd", "c"]
    for texts in (["abcd"], ["a", "b", "c", "d"], ["ab", "cd"], ["abc", "d"]):
        released, ended = run(stops, texts)
        assert (text_of(released), ended) == ("ab", True)


def test_deltas_are_released_as_soon_as_they_are_certain():
    stop_strings = StopStrings(["\n\n"])
    given = [[p.text for p in stop_strings.add(delta)[0]] for delta in deltas_of(["a", "\n", "b"])]
    assert given == [["a"], [], ["\n", "b"]]


def test_a_delta_may_contain_a_whole_stop_string():
    released, ended = run(["END"], ["The ", "happy END of it"])
    assert ([delta.text for delta in released], ended) == (["The ", "happy "], True)


def test_a_stop_string_at_the_start_leaves_nothing():
    assert run(["ab"], ["a", "b", "c"]) == ([], True)


def test_without_stop_strings_nothing_is_held_back():
    stop_strings = StopStrings(["", ""])
    for delta in deltas_of(["a", "", "b"]):
        assert stop_strings.add(delta) == ([delta], False)
    assert stop_strings.flush() == []


def test_flush_returns_held_deltas_once():
    stop_strings = StopStrings(["abc"])
    (delta,) = deltas_of(["ab"])
    assert stop_strings.add(delta) == ([], False)
    assert stop_strings.flush() == [delta]
    assert stop_strings.flush() == []
