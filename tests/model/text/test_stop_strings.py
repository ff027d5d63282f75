"""Stopping at a stop text, against a slow search through the whole text."""

import random

import pytest

from model.text.stop_strings import StopStrings, TextDelta


def pieces_of(texts: list[str]) -> list[TextDelta]:
    return [TextDelta(3, text, token=f"t{i}", logprob=-float(i)) for i, text in enumerate(texts)]


def text_of(pieces: list[TextDelta]) -> str:
    return "".join(piece.text for piece in pieces)


def run(stops: list[str], texts: list[str]) -> tuple[list[TextDelta], bool]:
    stopper, released = StopStrings(stops), []
    for piece in pieces_of(texts):
        more, ended = stopper.add(piece)
        released += more
        if ended:
            return released, True
    return released + stopper.flush(), False


def before_the_first_stop(text: str, stops: list[str]) -> tuple[str, bool]:
    """What is before the stop text that is complete first, found character by character."""
    for end in range(len(text) + 1):
        complete = [stop for stop in stops if stop and text[:end].endswith(stop)]
        if complete:
            return text[: end - max(map(len, complete))], True
    return text, False


def random_text(chance: random.Random, shortest: int, longest: int) -> str:
    return "".join(chance.choices("ab\n", k=chance.randint(shortest, longest)))


@pytest.mark.parametrize("seed", range(5))
def test_against_a_search_through_the_whole_text(seed):
    chance = random.Random(seed)
    for _ in range(1000):
        stops = [random_text(chance, 0, 5) for _ in range(chance.randint(0, 3))]
        texts = [random_text(chance, 0, 3) for _ in range(chance.randint(0, 12))]
        fed = pieces_of(texts)
        expected, stopped = before_the_first_stop("".join(texts), stops)
        released, ended = run(stops, texts)
        assert (text_of(released), ended) == (expected, stopped)
        # The pieces are those that came, in their order; only the last one may be cut.
        assert released[:-1] == fed[: max(0, len(released) - 1)]
        if released:
            last, whole = released[-1], fed[len(released) - 1]
            assert whole.text.startswith(last.text)
            assert (last.index, last.token, last.logprob) == (3, whole.token, whole.logprob)
        if not stopped:
            assert released == fed


@pytest.mark.parametrize("seed", range(5))
def test_nothing_comes_too_early_and_nothing_is_held_for_nothing(seed):
    chance = random.Random(seed)
    for _ in range(500):
        stops = [random_text(chance, 1, 5) for _ in range(chance.randint(1, 3))]
        texts = [random_text(chance, 0, 3) for _ in range(12)]
        expected, _ = before_the_first_stop("".join(texts), stops)
        stopper, released, taken = StopStrings(stops), "", ""
        for piece in pieces_of(texts):
            more, ended = stopper.add(piece)
            released, taken = released + text_of(more), taken + piece.text
            assert expected.startswith(released)
            if ended:
                break
            doubtful = [
                taken[start:]
                for start in range(len(taken))
                if any(stop.startswith(taken[start:]) for stop in stops)
            ]
            held = taken[len(released) :]
            # Held is the piece in which the doubt begins, and those after it.
            assert held.endswith(max(doubtful, key=len, default=""))
            assert bool(held) == bool(doubtful)


def test_where_it_stops_does_not_depend_on_the_pieces():
    stops = ["bcd", "c"]
    for texts in (["abcd"], ["a", "b", "c", "d"], ["ab", "cd"], ["abc", "d"]):
        released, ended = run(stops, texts)
        assert (text_of(released), ended) == ("ab", True)


def test_pieces_wait_no_longer_than_they_must():
    stopper = StopStrings(["\n\n"])
    given = [[p.text for p in stopper.add(piece)[0]] for piece in pieces_of(["a", "\n", "b"])]
    assert given == [["a"], [], ["\n", "b"]]


def test_a_piece_may_hold_a_whole_stop_and_more():
    released, ended = run(["END"], ["The ", "happy END of it"])
    assert ([piece.text for piece in released], ended) == (["The ", "happy "], True)


def test_a_stop_at_the_very_beginning_leaves_nothing():
    assert run(["ab"], ["a", "b", "c"]) == ([], True)


def test_without_stops_everything_comes_at_once():
    stopper = StopStrings(["", ""])
    for piece in pieces_of(["a", "", "b"]):
        assert stopper.add(piece) == ([piece], False)
    assert stopper.flush() == []


def test_flushing_gives_what_is_held_once():
    stopper = StopStrings(["abc"])
    (piece,) = pieces_of(["ab"])
    assert stopper.add(piece) == ([], False)
    assert stopper.flush() == [piece]
    assert stopper.flush() == []
