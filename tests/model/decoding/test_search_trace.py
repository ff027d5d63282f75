"""The trace of a search: the beam that was, its candidates, and what became of each."""

import math
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from model.decoding import beam_search
from model.decoding.constraints import ForbiddenTokens, MinLength
from model.decoding.search_trace import SearchRecorder, SearchTrace
from tests.model.captioning.test_captioner import KINDS, pictures
from tests.tiny import tiny_captioner

START, END, NAMES = 0, 1, ("<START>", "<END>", "a", "b", "c", "d")
BEAM = 3


def step(tokens, state):
    """A Markov chain, another for each member of the batch."""
    (tables,) = state  # (batch, beam, words, words)
    xp = torch if isinstance(tables, torch.Tensor) else np
    rows = xp.arange(tables.shape[0])[:, None]
    slots = xp.arange(tables.shape[1])[None]
    return tables[rows, slots, tokens], state


def tables(batch: int) -> np.ndarray:
    odds = np.random.default_rng(2).normal(0, 1.5, (batch, len(NAMES), len(NAMES)))
    odds[0, :, END] += 3  # its search is over sooner
    return (odds - np.log(np.exp(odds).sum(-1, keepdims=True))).astype(np.float32)


def search(state, recorder: SearchRecorder | None, **options) -> list[list[list[str]]]:
    defaults = {"beam_size": BEAM, "num_captions": 2, "max_length": 6, "length_penalty": 0.7}
    found = beam_search.search(
        step,
        (state,),
        SimpleNamespace(**defaults | options),
        start_token=START,
        end_token=END,
        constraints=[ForbiddenTokens([START]), MinLength(1, END)],
        recorder=recorder,
    )
    return [[[NAMES[token] for token in one.tokens] for one in member] for member in found]


def traced(state, **options) -> tuple[list[list[list[str]]], list[SearchTrace]]:
    recorder = SearchRecorder()
    found = search(state, recorder, **options)
    return found, recorder.traces(NAMES, found)


@pytest.mark.parametrize("place", [np.asarray, torch.as_tensor], ids=["numpy", "torch"])
def test_the_beam_leads_to_what_was_returned(place):
    given = tables(3)
    found, traces = traced(place(given))
    for table, sequences, trace in zip(given, found, traces, strict=True):
        paths, totals = [[]], [0.0]
        returned = {}
        for number, one in enumerate(trace.steps):
            for ending in one.endings:
                path = paths[ending.parent or 0]
                logprob = table[NAMES.index((["<START>", *path])[-1]), END]
                assert ending.logprob == pytest.approx(logprob, abs=1e-5)
                total = totals[ending.parent or 0] + logprob
                assert ending.total == pytest.approx(total, abs=1e-5)
                assert ending.score == pytest.approx(total / (number + 1) ** 0.7, abs=1e-5)
                if ending.caption is not None:
                    returned[ending.caption] = [*path, "<END>"]
            # All ways to go on, from the likeliest down.
            ways = sorted(
                (
                    (total + table[NAMES.index((["<START>", *path])[-1]), NAMES.index(word)])
                    for path, total in zip(paths, totals, strict=True)
                    for word in NAMES[2:]
                ),
                reverse=True,
            )
            given_totals = [candidate.total for candidate in one.candidates]
            assert given_totals == pytest.approx(ways[: 2 * BEAM], abs=1e-5)
            assert [c.kept for c in one.candidates] == [
                n < BEAM for n in range(len(one.candidates))
            ]
            grown = [[*paths[c.parent or 0], c.token] for c in one.candidates]
            assert (number == 0) == all(c.parent is None for c in one.candidates)
            paths, totals = grown[:BEAM], given_totals[:BEAM]
        assert returned == dict(enumerate(sequences))


def test_a_member_has_the_same_trace_alone_and_in_a_batch():
    state = tables(4)
    _, together = traced(state)
    assert len({len(trace.steps) for trace in together}) > 1
    for i, trace in enumerate(together):
        assert traced(state[i : i + 1])[1] == [trace]


def test_a_recorder_changes_nothing_and_its_trace_is_bounded():
    state = tables(2)
    assert search(state, None) == traced(state)[0]
    _, traces = traced(state, max_length=4, beam_size=5, num_captions=5)
    for trace in traces:
        assert len(trace.steps) <= 4
        assert all(len(one.candidates) <= 10 and len(one.endings) <= 5 for one in trace.steps)


def test_a_caption_that_was_cut_off_is_marked_among_the_candidates():
    never_ends = tables(1)
    never_ends[..., END] = -np.inf
    (found,), (trace,) = traced(never_ends, max_length=3, num_captions=1)
    assert found[0][-1] != "<END>"
    (last,) = [c for c in trace.steps[-1].candidates if c.caption == 0]
    assert last.token == found[0][-1]
    assert last.total == max(c.total for c in trace.steps[-1].candidates)


@pytest.mark.parametrize("decoder", [KINDS[0], KINDS[2]], ids=str)
def test_a_captioner_returns_the_trace_of_its_captions(decoder):
    captioner = tiny_captioner(**decoder)
    (picture,) = pictures(1)
    captions, trace = captioner.trace(picture, beam_size=3, num_captions=3, max_length=7)
    plain = captioner.caption(picture, beam_size=3, num_captions=3, max_length=7)
    assert captions == plain
    marked = {
        one.caption: one.total
        for traced_step in trace.steps
        for one in (*traced_step.endings, *traced_step.candidates)
        if one.caption is not None
    }
    assert marked == pytest.approx(
        {n: math.fsum(t.logprob for t in c.tokens) for n, c in enumerate(captions)}, abs=1e-4
    )
    with pytest.raises(ValueError, match="leave out temperature"):
        captioner.trace(picture, temperature=1.0)
