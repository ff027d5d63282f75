"""Both decoders through their common interface."""

import pytest
import torch

from model.config import DecoderConfig
from model.networks.decoder import AttentionDecoder, GlobalDecoder, make_decoder

SIZES = {"embedding_size": 6, "hidden_size": 8, "attention_size": 8}
KINDS = [
    DecoderConfig(kind="attention", **SIZES),
    DecoderConfig(kind="attention", attention="dot", attention_heads=2, **SIZES),
    DecoderConfig(kind="attention", tie_output=False, **SIZES),
    DecoderConfig(kind="global", **SIZES),
    DecoderConfig(kind="global", tie_output=False, **SIZES),
    DecoderConfig(kind="attention", cell="gru", **SIZES),
    DecoderConfig(kind="attention", cell="mut1", **SIZES),
    DecoderConfig(kind="global", cell="rnn", **SIZES),
    DecoderConfig(kind="attention", detected_words=5, **SIZES),
    DecoderConfig(kind="global", detected_words=500, **SIZES),
]
VOCABULARY, CHANNELS = 11, 5


@pytest.fixture(
    params=KINDS, ids=lambda c: f"{c.kind}-{c.attention}-{c.tie_output}-{c.detected_words}"
)
def decoder(request):
    torch.manual_seed(0)
    decoder = make_decoder(request.param, VOCABULARY, CHANNELS).eval()
    if decoder.detector is not None:
        torch.nn.init.normal_(decoder.detector.evidence.weight)
    return decoder


def test_the_configuration_names_the_decoder():
    assert isinstance(make_decoder(KINDS[0], VOCABULARY, CHANNELS), AttentionDecoder)
    assert isinstance(make_decoder(KINDS[3], VOCABULARY, CHANNELS), GlobalDecoder)


def test_a_step_returns_a_distribution_over_words(decoder):
    context = decoder.encode_context(torch.randn(2, 3, 4, CHANNELS))
    state = tuple(part[:, None].expand(-1, 3, -1) for part in context.start)
    logprobs, after, weights = decoder.step(torch.randint(VOCABULARY, (2, 3)), state, context)
    assert logprobs.shape == (2, 3, VOCABULARY)
    torch.testing.assert_close(logprobs.exp().sum(-1), torch.ones(2, 3))
    assert [part.shape for part in after] == [part.shape for part in state]
    assert (weights is None) == isinstance(decoder, GlobalDecoder)


def test_whole_captions_score_the_same_as_step_by_step(decoder):
    grid = torch.randn(2, 3, 4, CHANNELS)
    tokens = torch.randint(4, VOCABULARY, (2, 3, 5))
    reads = torch.ones_like(tokens, dtype=torch.bool)
    reads[0, 1, 3:] = False
    reads[1, 2] = False
    whole = decoder(grid, tokens, reads).log_softmax(-1)
    context = decoder.encode_context(grid)
    state = tuple(part[:, None].expand(-1, 3, -1) for part in context.start)
    steps = []
    for t in range(5):
        logprobs, state, _ = decoder.step(tokens[:, :, t], state, context)
        steps.append(logprobs)
    torch.testing.assert_close(whole, torch.stack(steps, dim=2)[reads])


def test_padding_changes_nothing(decoder):
    grid, tokens = torch.randn(1, 2, 2, CHANNELS), torch.randint(4, VOCABULARY, (1, 1, 3))
    short = decoder(grid, tokens, torch.ones_like(tokens, dtype=torch.bool))
    padded = torch.nn.functional.pad(tokens, (0, 2, 0, 1))
    reads = torch.zeros_like(padded, dtype=torch.bool)
    reads[0, 0, :3] = True
    torch.testing.assert_close(decoder(grid, padded, reads), short)


def test_the_picture_matters_from_the_first_word(decoder):
    tokens = torch.full((2, 1, 1), 1)
    logits = decoder(torch.randn(2, 3, 3, CHANNELS), tokens, torch.ones_like(tokens) > 0)
    assert (logits[0] - logits[1]).abs().max() > 1e-4


def test_every_parameter_learns(decoder):
    decoder.train()
    tokens = torch.randint(4, VOCABULARY, (2, 3, 5))
    decoder(torch.randn(2, 3, 4, CHANNELS), tokens, tokens > 0).square().sum().backward()
    idle = [n for n, p in decoder.named_parameters() if p.grad is None or not p.grad.abs().sum()]
    assert not [name for name in idle if not name.startswith("detector.")]  # which has its own loss


def test_evidence_raises_only_its_own_word():
    torch.manual_seed(1)
    decoder = make_decoder(KINDS[-2], VOCABULARY, CHANNELS).eval()
    grid, tokens = torch.randn(2, 3, 3, CHANNELS), torch.randint(4, VOCABULARY, (2, 2, 4))
    with torch.no_grad():
        before = decoder(grid, tokens, tokens > 0).view(2, -1, VOCABULARY)
        decoder.detector.evidence.weight[3] = grid[0].mean((0, 1))  # word 7, seen in picture 0
        change = decoder(grid, tokens, tokens > 0).view(2, -1, VOCABULARY) - before
    assert change[0, :, 7].min() > 0
    assert change[0, :, 7].std() > 0  # the gate differs from step to step
    assert not change[..., [i for i in range(VOCABULARY) if i != 7]].any()
    assert (change[1, :, 7] - change[0, :, 7]).abs().min() > 0


def test_a_tied_output_uses_the_word_vectors():
    tied = make_decoder(KINDS[0], VOCABULARY, CHANNELS)
    untied = make_decoder(KINDS[2], VOCABULARY, CHANNELS)
    sizes = [sum(p.numel() for p in d.to_word.parameters()) for d in (tied, untied)]
    assert sizes == [8 * 6 + 6, 8 * VOCABULARY + VOCABULARY]
    with torch.no_grad():
        output = torch.randn(1, 1, 8)
        tied.eval()
        before = tied.logits(output)
        tied.embedding.weight[3] += 1
        change = (tied.logits(output) - before)[0, 0].abs()
        assert change.argmax() == 3
        assert change[[t for t in range(VOCABULARY) if t != 3]].max() < 1e-6


def test_scheduled_sampling_reads_its_own_words(decoder):
    grid, tokens = torch.randn(2, 3, 3, CHANNELS), torch.randint(4, VOCABULARY, (2, 2, 6))
    reads = tokens > 0
    truth = decoder(grid, tokens, reads)
    torch.manual_seed(5)
    sampled = decoder(grid, tokens, reads, sampling=0.999)
    steps = lambda logits: logits.view(2, 2, 6, VOCABULARY)  # noqa: E731
    torch.testing.assert_close(steps(truth)[:, :, 0], steps(sampled)[:, :, 0])
    assert (steps(truth)[:, :, 2:] - steps(sampled)[:, :, 2:]).abs().max() > 1e-3
