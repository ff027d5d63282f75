"""Truncated backpropagation: the text is what it says, and only long chunks learn long memories."""

import json
import re
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image
from torch import Tensor

from model.studies.truncation import bracket_text, learn_brackets, share_closed
from model.studies.truncation_study import PARTS, TruncationStudySettings, study_truncation

CHARACTERS = "([)]-."


def quiet(line: str) -> None:
    pass


def spell(row: Tensor) -> str:
    return "".join(CHARACTERS[number] for number in row.tolist())


class Reader:
    """Always closes with the right bracket, or always with the wrong one."""

    def __init__(self, *, right: bool) -> None:
        self.right = right

    def initial_state(self, batch: int) -> tuple[()]:
        return ()

    def __call__(self, text: Tensor, state: tuple[()]) -> tuple[Tensor, tuple[()]]:
        scores = torch.zeros(*text.shape, len(CHARACTERS))
        kind = 0
        for row, values in zip(text.tolist(), scores, strict=True):
            for place, number in enumerate(row):
                kind = number if number < 2 else kind
                values[place, 2 + (kind if self.right else 1 - kind)] = 1
        return scores, state


def test_each_bracket_closes_its_own_kind_at_its_distance() -> None:
    generator = torch.Generator().manual_seed(1)
    text = bracket_text([2, 7], 20, 200, generator)
    assert text.shape == (20, 200)
    distances = set()
    for row in map(spell, text):
        pairs = re.findall(r"([(\[])(-*\.)([)\]])", row)
        assert len("".join(map("".join, pairs))) > 200 - 8  # the last pair may be cut short
        for opening, between, closing in pairs:
            assert opening + closing in ("()", "[]")
            distances.add(len(between) + 1)
    assert distances == {2, 7}
    assert not torch.equal(text, bracket_text([2, 7], 20, 200, generator))


@pytest.mark.parametrize("right", [True, False])
def test_the_share_is_that_of_the_right_kind(right: bool) -> None:
    assert share_closed(Reader(right=right), 6, seed=1) == float(right)


def test_a_chunk_must_hold_both_brackets() -> None:
    shares = {
        steps: share_closed(learn_brackets("gru", [6], steps=steps, updates=100, seed=1), 6, seed=2)
        for steps in (4, 16)
    }
    assert shares[16] > 0.95
    assert 0.35 < shares[4] < 0.65


def test_training_leaves_the_global_random_numbers_alone() -> None:
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    one = learn_brackets("rnn", [2], steps=4, updates=2, seed=1)
    assert torch.equal(torch.rand(3), expected)
    again = learn_brackets("rnn", [2], steps=4, updates=2, seed=1)
    for a, b in zip(one.parameters(), again.parameters(), strict=True):
        assert torch.equal(a, b)


def test_a_chunk_without_a_closing_bracket_teaches_nothing() -> None:
    new = learn_brackets("rnn", [50], steps=2, updates=1, seed=1)
    more = learn_brackets("rnn", [50], steps=2, updates=20, seed=1)
    for a, b in zip(new.parameters(), more.parameters(), strict=True):
        assert torch.equal(a, b)


def test_the_report_holds_what_was_measured(tmp_path: Path) -> None:
    settings = TruncationStudySettings(
        cell="rnn", steps=(4, 8), distances=(3, 6), updates=5, seeds=2
    )
    report = study_truncation(settings, report_progress=quiet)
    assert tuple(report.as_dict()) == PARTS
    files = report.write(tmp_path)
    assert {path.name for path in files} == {path.name for path in tmp_path.iterdir()}
    for path in files[2:]:
        with Image.open(path) as picture:
            picture.load()
    data = json.loads((tmp_path / "truncation.json").read_text())
    sections = report.as_markdown().split("## ")[1:]
    for part, section in zip(PARTS, sections, strict=True):
        found = {(one["steps"], one["distance"]): one["right"] for one in data[part]}
        assert list(found) == [(4, 3), (4, 6), (8, 3), (8, 6)]
        means = " | ".join(
            rf"{sum(found[8, distance]) / 2:.2f} ± \d\.\d\d" for distance in (3, 6)
        ).replace("|", r"\|")
        assert re.search(rf"^\| 8 \| {means} \|$", section, re.MULTILINE)
    # Seeds as those of one run: 1 and 2.
    network = learn_brackets("rnn", [3], steps=4, updates=5, seed=2)
    assert data["alone"][0]["right"][1] == share_closed(network, 3, seed=1_000_002)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"cell": "qrnn"}, "unknown cell 'qrnn'"),
        ({"steps": ()}, "steps must be different numbers of at least 1"),
        ({"steps": (4, 4)}, "steps must be different"),
        ({"distances": (1, 5)}, "distances must be different numbers of at least 2"),
        ({"updates": 0}, "updates must be at least 1"),
        ({"parts": ("long",)}, "unknown part 'long': choose from alone, mixed"),
    ],
)
def test_bad_settings_are_reported(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        TruncationStudySettings(**changes)
