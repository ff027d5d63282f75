"""Units beside the text as the model read it."""

import numpy as np
import pytest

from model.interpretation.selection import TextActivations, looks_like_c
from model.text.language_model import Activations
from tests.tiny import tiny_language_model

LENGTHS = np.random.default_rng(1).integers(2, 15, 40)
LINES = "".join("x" * length + "\n" for length in LENGTHS)


def line_position(text: str) -> np.ndarray:
    return np.array([len(text[: i + 1].rpartition("\n")[2]) for i in range(len(text))])


@pytest.fixture
def seen() -> TextActivations:
    """Unit 1 follows the position in the line, upside down; the others are noise."""
    values = np.random.default_rng(0).uniform(-1, 1, (len(LINES), 4)).astype(np.float32)
    values[:, 1] = -line_position(LINES) / 15
    units = tuple(f"layer 1 unit {i}" for i in range(4))
    return TextActivations.by_character(Activations(tuple(LINES), values, units), "character")


def test_the_unit_that_follows_is_found(seen: TextActivations) -> None:
    ranking = seen.rank("position in line")
    best = ranking.units[0]
    assert (best.unit, best.name, best.direction) == (1, "layer 1 unit 1", -1)
    assert best.score == pytest.approx(1)
    assert ranking.chance.high < 0.9
    (alone,) = seen.rank("position in line", [1]).units
    assert (alone.unit, alone.direction) == (1, -1)
    assert alone.score == pytest.approx(best.score)


def test_units_by_number_and_by_name(seen: TextActivations) -> None:
    assert seen.find([2, "layer 1 unit 3"]) == [2, 3]
    for unit in (4, -1, 10**30, "layer 2 unit 0", ""):
        with pytest.raises(ValueError, match="there are 0 to 3, or 'layer 1 unit 0' to"):
            seen.find([unit])


def test_unknown_and_useless_properties(seen: TextActivations) -> None:
    with pytest.raises(ValueError, match="there is no property 'mood': there are 'position in"):
        seen.rank("mood")
    with pytest.raises(ValueError, match="never varies"):
        seen.rank("inside quotes")


def test_text_and_values_fit_whatever_the_text() -> None:
    language_model = tiny_language_model()
    given = "Twinkle — “twinkle”\r\nstar\0\ud800☃"
    seen = TextActivations.by_character(language_model.activations(given), "character")
    assert len(seen.text) == len(seen.values)
    assert seen.text.startswith("Twinkle ")
    assert seen.text.endswith("\nstar" + 3 * "\N{REPLACEMENT CHARACTER}")


def test_words_bring_the_space_before_them() -> None:
    language_model = tiny_language_model(text="a star is", level="word")
    activations = language_model.activations("A star")
    seen = TextActivations.by_character(activations, "word")
    assert seen.text == "a star"
    assert seen.values[0].tolist() == activations.values[0].tolist()
    assert {tuple(row) for row in seen.values[1:].tolist()} == {tuple(activations.values[1])}
    with pytest.raises(ValueError, match="reads words"):
        seen.rank("word next")


def test_c_is_told_from_prose() -> None:
    assert looks_like_c("int main(void)\n{\n\treturn 0;\n}\n")
    assert not looks_like_c("It was a bright day; and the clocks\nstruck thirteen.\n")
    assert not looks_like_c("")
