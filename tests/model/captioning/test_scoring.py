"""Scores are the log-probabilities of teacher forcing, alone and in a batch."""

import pytest
import torch

from model.captioning.scoring import attention_maps, likeliest_tokens, score_tokens
from model.networks.decoder import Decoder
from model.vocabulary import Vocabulary
from tests.tiny import tiny_captioner

CAPTIONS = [[5, 4, 7, 2], [6, 2], [4, 4, 5, 6, 7, 2]]


def make(kind: str) -> tuple[Decoder, torch.Tensor]:
    decoder = tiny_captioner(kind=kind).network.decoder
    generator = torch.Generator().manual_seed(3)
    return decoder, torch.randn(1, 2, 3, decoder.channels, generator=generator)


@pytest.mark.parametrize("kind", ["attention", "global"])
def test_log_probabilities_are_those_of_teacher_forcing(kind):
    decoder, grid = make(kind)
    with torch.inference_mode():
        logprobs, _ = score_tokens(decoder, decoder.encode_context(grid), CAPTIONS)
        for token_logprobs, caption in zip(logprobs, CAPTIONS, strict=True):
            inputs = torch.tensor([[[Vocabulary.start_id, *caption[:-1]]]])
            logits = decoder(grid, inputs, torch.ones_like(inputs, dtype=torch.bool))
            expected = logits.log_softmax(-1).gather(1, torch.tensor(caption)[:, None])[:, 0]
            torch.testing.assert_close(torch.tensor(token_logprobs), expected, rtol=0, atol=1e-5)


def test_a_caption_has_the_same_scores_alone_and_in_a_batch():
    decoder, grid = make("attention")
    with torch.inference_mode():
        context = decoder.encode_context(grid)
        together, _ = score_tokens(decoder, context, CAPTIONS)
        for token_logprobs, caption in zip(together, CAPTIONS, strict=True):
            ((alone,), _) = score_tokens(decoder, context, [caption])
            assert token_logprobs == pytest.approx(alone, abs=1e-6)
        assert score_tokens(decoder, context, []) == ([], None)


def test_attention_covers_the_whole_grid_before_each_word():
    decoder, grid = make("attention")
    maps = attention_maps(decoder, grid, CAPTIONS[0])
    assert maps is not None
    assert torch.tensor(maps).shape == (len(CAPTIONS[0]), 2, 3)
    assert torch.tensor(maps).sum((1, 2)) == pytest.approx(torch.ones(len(CAPTIONS[0])))


def test_a_decoder_without_attention_has_no_maps():
    decoder, grid = make("global")
    assert attention_maps(decoder, grid, CAPTIONS[0]) is None


@pytest.mark.parametrize("kind", ["attention", "global"])
def test_the_likeliest_tokens_are_those_of_the_decoder(kind):
    decoder, grid = make(kind)
    with torch.inference_mode():
        context = decoder.encode_context(grid)
        found = likeliest_tokens(decoder, context, CAPTIONS[0], 3)
        every = likeliest_tokens(decoder, context, [5], 10_000)
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
