"""Scores are the log-probabilities of teacher forcing, alone and in a batch."""

import pytest
import torch

from model.captioning.scoring import read_captions, score_batch, score_tokens
from model.networks.decoder import Decoder
from model.vocabulary import Vocabulary
from tests.tiny import tiny_captioner

CAPTIONS = [[5, 4, 7, 2], [6, 2], [4, 4, 5, 6, 7, 2]]


def read(decoder, grid, captions, top=0, other=None):
    """Read captions of one picture."""
    context = decoder.encode_context(grid)
    (readings,) = read_captions(
        decoder, context, [captions], tuple(grid.shape[1:3]), top=top, other=other
    )
    return readings


def make(kind: str) -> tuple[Decoder, torch.Tensor]:
    decoder = tiny_captioner(kind=kind).network.decoder
    generator = torch.Generator().manual_seed(3)
    return decoder, torch.randn(1, 2, 3, decoder.channels, generator=generator)


@pytest.mark.parametrize("kind", ["attention", "global"])
def test_log_probabilities_are_those_of_teacher_forcing(kind):
    decoder, grid = make(kind)
    with torch.inference_mode():
        logprobs = score_tokens(decoder, decoder.encode_context(grid), CAPTIONS)
        for token_logprobs, caption in zip(logprobs, CAPTIONS, strict=True):
            inputs = torch.tensor([[[Vocabulary.start_id, *caption[:-1]]]])
            logits = decoder(grid, inputs, torch.ones_like(inputs, dtype=torch.bool))
            expected = logits.log_softmax(-1).gather(1, torch.tensor(caption)[:, None])[:, 0]
            torch.testing.assert_close(torch.tensor(token_logprobs), expected, rtol=0, atol=1e-5)


def test_a_caption_has_the_same_scores_alone_and_in_a_batch():
    decoder, grid = make("attention")
    with torch.inference_mode():
        context = decoder.encode_context(grid)
        together = score_tokens(decoder, context, CAPTIONS)
        for token_logprobs, caption in zip(together, CAPTIONS, strict=True):
            (alone,) = score_tokens(decoder, context, [caption])
            assert token_logprobs == pytest.approx(alone, abs=1e-6)
        assert score_tokens(decoder, context, []) == []
        assert read(decoder, grid, []) == []
        assert score_batch(decoder, context, [[]]) == [[]]


def test_attention_covers_the_whole_grid_before_each_word():
    decoder, grid = make("attention")
    with torch.inference_mode():
        for caption, reading in zip(CAPTIONS, read(decoder, grid, CAPTIONS), strict=True):
            maps = torch.tensor(reading.attention)
            assert maps.shape == (len(caption), 2, 3)
            assert maps.sum((1, 2)) == pytest.approx(torch.ones(len(caption)))
            assert reading.likeliest is None


def test_a_decoder_without_attention_has_no_maps():
    decoder, grid = make("global")
    with torch.inference_mode():
        assert [one.attention for one in read(decoder, grid, CAPTIONS)] == [None] * 3


@pytest.mark.parametrize("kind", ["attention", "global"])
def test_a_caption_is_read_alike_alone_and_in_a_batch(kind):
    decoder, grid = make(kind)
    with torch.inference_mode():
        together = read(decoder, grid, CAPTIONS, 3)
        alone = [read(decoder, grid, [caption], 3)[0] for caption in CAPTIONS]
        scores = score_tokens(decoder, decoder.encode_context(grid), CAPTIONS)
    for one, other, logprobs in zip(together, alone, scores, strict=True):
        assert one.logprobs == pytest.approx(other.logprobs, abs=1e-6)
        assert one.logprobs == pytest.approx(logprobs, abs=1e-6)
        if kind == "attention":
            torch.testing.assert_close(torch.tensor(one.attention), torch.tensor(other.attention))
        assert [[token for token, _ in place] for place in one.likeliest] == [
            [token for token, _ in place] for place in other.likeliest
        ]


@pytest.mark.parametrize("kind", ["attention", "global"])
def test_the_likeliest_tokens_are_those_of_the_decoder(kind):
    decoder, grid = make(kind)
    with torch.inference_mode():
        found = read(decoder, grid, CAPTIONS, 3)[0].likeliest
        every = read(decoder, grid, [[5]], 10_000)[0].likeliest
        inputs = torch.tensor([[[Vocabulary.start_id, *CAPTIONS[0][:-1]]]])
        logits = decoder(grid, inputs, torch.ones_like(inputs, dtype=torch.bool))
    expected = logits.log_softmax(-1)
    expected[:, list(Vocabulary.never_written)] = -torch.inf
    numbers, ids = expected.topk(3)
    assert [[token for token, _ in place] for place in found] == ids.tolist()
    assert torch.tensor([[n for _, n in place] for place in found]) == pytest.approx(
        numbers, abs=1e-5
    )
    assert [len(place) for place in every] == [logits.shape[1] - 3]


@pytest.mark.parametrize("kind", ["attention", "global"])
def test_captions_of_several_pictures_are_read_as_those_of_each_alone(kind):
    """Some pictures have more captions than others, and one has none."""
    decoder, _ = make(kind)
    generator = torch.Generator().manual_seed(4)
    grids = torch.randn(3, 2, 3, decoder.channels, generator=generator)
    captions = [CAPTIONS, [], CAPTIONS[1:]]
    with torch.inference_mode():
        other = decoder.encode_context(torch.randn(1, 2, 3, decoder.channels, generator=generator))
        context = decoder.encode_context(grids)
        together = read_captions(decoder, context, captions, (2, 3), top=2, other=other)
        scores = score_batch(decoder, context, captions)
        for grid, of_picture, readings, logprobs in zip(
            grids[:, None], captions, together, scores, strict=True
        ):
            alone = read(decoder, grid, of_picture, top=2, other=other)
            elsewhere = score_tokens(decoder, other, of_picture)
            assert len(readings) == len(alone) == len(logprobs) == len(of_picture)
            for one, same, given, without in zip(readings, alone, logprobs, elsewhere, strict=True):
                assert one.logprobs == pytest.approx(same.logprobs, abs=1e-5)
                assert one.logprobs == pytest.approx(given, abs=1e-5)
                assert one.elsewhere == pytest.approx(without, abs=1e-5)
                ids = [[token for token, _ in place] for place in one.likeliest]
                assert ids == [[token for token, _ in place] for place in same.likeliest]
                if kind == "attention":
                    torch.testing.assert_close(
                        torch.tensor(one.attention), torch.tensor(same.attention)
                    )
