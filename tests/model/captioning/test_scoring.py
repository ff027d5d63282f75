"""A caption read again has the log-probabilities of teacher forcing, whatever is read beside it."""

import pytest
import torch

from model.captioning.scoring import look, read
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
        logprobs, _ = read(decoder, decoder.encode_context(grid), CAPTIONS)
        for own, caption in zip(logprobs, CAPTIONS, strict=True):
            inputs = torch.tensor([[[Vocabulary.start_id, *caption[:-1]]]])
            logits = decoder(grid, inputs, torch.ones_like(inputs, dtype=torch.bool))
            expected = logits.log_softmax(-1).gather(1, torch.tensor(caption)[:, None])[:, 0]
            torch.testing.assert_close(torch.tensor(own), expected, rtol=0, atol=1e-5)


def test_what_is_read_beside_a_caption_changes_nothing():
    decoder, grid = make("attention")
    with torch.inference_mode():
        picture = decoder.encode_context(grid)
        together, _ = read(decoder, picture, CAPTIONS)
        for own, caption in zip(together, CAPTIONS, strict=True):
            ((alone,), _) = read(decoder, picture, [caption])
            assert own == pytest.approx(alone, abs=1e-6)
        assert read(decoder, picture, []) == ([], None)


def test_before_each_word_attention_looks_over_the_whole_grid():
    decoder, grid = make("attention")
    maps = look(decoder, grid, CAPTIONS[0])
    assert maps is not None
    assert torch.tensor(maps).shape == (len(CAPTIONS[0]), 2, 3)
    assert torch.tensor(maps).sum((1, 2)) == pytest.approx(torch.ones(len(CAPTIONS[0])))


def test_without_attention_there_is_nowhere_to_look():
    decoder, grid = make("global")
    assert look(decoder, grid, CAPTIONS[0]) is None
