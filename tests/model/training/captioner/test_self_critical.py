"""Self-critical training follows the gradient of the expected reward, and raises the reward."""

from collections.abc import Sequence
from dataclasses import replace
from itertools import product

import pytest
import torch
from torch import Tensor

from model.data.batches import CaptionBatch, collate
from model.networks.caption_network import CaptionNetwork
from model.networks.decoder import Decoder
from model.training.captioner.loss import CaptionLoss
from model.training.captioner.reward import Reward
from model.training.captioner.self_critical import SelfCriticalLoss, advantages, draw_captions
from model.training.recipe import SelfCriticalConfig
from model.vocabulary import Vocabulary
from tests.tiny import tiny_config, tiny_network, tiny_vocabulary

TEXTS = [
    ["a dog runs on the grass", "the dog runs"],
    ["a woman in red sits in the water"],
    ["a man with a blue ball", "a man sits with the ball", "the man and a ball"],
]
END, UNKNOWN = Vocabulary.end_id, Vocabulary.unknown_id


def grids(pictures: int = len(TEXTS)) -> Tensor:
    return torch.randn(pictures, 2, 3, 256, generator=torch.Generator().manual_seed(3))


def human(texts: Sequence[Sequence[str]] = TEXTS) -> CaptionBatch:
    batch = collate(texts, [False] * len(texts), tiny_vocabulary(), 20)
    return CaptionBatch(batch.inputs, batch.targets, batch.reads, texts)


def by_length(captions: Sequence[Sequence[Sequence[int]]], *_: object) -> list[list[float]]:
    """Reward every second word of a small vocabulary, whatever the picture."""
    return [[sum(0.3 * (i % 2) for i in ids) + ids[-1] / 7 for ids in drawn] for drawn in captions]


def make_loss(network: CaptionNetwork | None = None, **changes: object) -> SelfCriticalLoss:
    network = network or tiny_network(tiny_config(dropout=0.0))
    options = {"samples": 4, "cross_entropy_share": 0.0} | changes
    settings = SelfCriticalConfig(**options)  # type: ignore[arg-type]
    return SelfCriticalLoss(network, 0.1, settings=settings, rewards=by_length, max_words=6)


def gradients(network: CaptionNetwork, loss: Tensor) -> dict[str, Tensor]:
    parameters = {n: p for n, p in network.decoder.named_parameters() if p.requires_grad}
    found = torch.autograd.grad(loss, [*parameters.values()], allow_unused=True)
    return {n: g for n, g in zip(parameters, found, strict=True) if g is not None}


def log_probability(
    decoder: Decoder, grid: Tensor, ids: Sequence[int], temperature: float = 1.0
) -> Tensor:
    """Read a caption step by step, as a search does, without tokens that are never written."""
    context = decoder.encode_context(grid)
    state = tuple(part[:, None] for part in context.start)
    total = grid.new_zeros(())
    for last, token in zip([Vocabulary.start_id, *ids], ids, strict=False):
        logprobs, state, _ = decoder.step(torch.tensor([[last]]), state, context)
        allowed = logprobs[0, 0].index_fill(0, torch.tensor([0, 1, UNKNOWN]), -torch.inf)
        total = total + (allowed / temperature).log_softmax(-1)[token]
    return total


# What is drawn


def test_captions_are_words_then_an_end_then_padding():
    decoder = tiny_network(tiny_config()).eval().decoder
    torch.manual_seed(0)
    drawn = draw_captions(decoder, grids(), 50, max_words=6)
    assert drawn.shape[:2] == (3, 50)
    assert drawn.shape[2] <= 7
    finished = 0
    for ids in drawn.flatten(0, 1).tolist():
        length = next((i for i, token in enumerate(ids) if token == END), len(ids))
        assert all(token > UNKNOWN for token in ids[:length])
        assert set(ids[length + 1 :]) <= {Vocabulary.pad_id}
        finished += END in ids
    assert 0 < finished < 150


def test_drawing_stops_when_all_captions_have_ended():
    network = tiny_network(tiny_config()).eval()
    with torch.no_grad():
        network.decoder.output_bias[END] = 100.0
    assert draw_captions(network.decoder, grids(), 5, max_words=6).tolist() == [[[END]] * 5] * 3


def test_the_seed_determines_the_drawn_captions():
    decoder = tiny_network(tiny_config()).eval().decoder
    draws = []
    for seed in (1, 1, 2):
        torch.manual_seed(seed)
        draws.append(draw_captions(decoder, grids(), 5, max_words=6))
    assert torch.equal(draws[0], draws[1])
    assert draws[0].shape != draws[2].shape or not torch.equal(draws[0], draws[2])


@pytest.mark.parametrize("temperature", [1.0, 0.5])
def test_captions_are_drawn_as_often_as_they_are_likely(temperature):
    decoder = tiny_network(tiny_config()).eval().decoder
    torch.manual_seed(0)
    drawn = draw_captions(decoder, grids(1), 20_000, max_words=1, temperature=temperature)[0]
    for caption in ([END], [10, END], [12, END], [12, 14]):
        share = (drawn[:, : len(caption)] == torch.tensor(caption)).all(1).float().mean().item()
        with torch.no_grad():
            probability = log_probability(decoder, grids(1), caption, temperature).exp().item()
        assert share == pytest.approx(probability, abs=0.01)


@pytest.mark.parametrize("number", [0.0, 1 - 2**-24], ids=["least", "greatest"])
def test_extreme_random_numbers_draw_allowed_tokens(monkeypatch, number):
    decoder = tiny_network(tiny_config()).eval().decoder
    monkeypatch.setattr(torch, "rand_like", lambda like: torch.full_like(like, number))
    drawn = draw_captions(decoder, grids(), 2, max_words=3)
    expected = END if number == 0 else len(tiny_vocabulary()) - 1
    assert set(drawn[:, :, 0].flatten().tolist()) == {expected}


# Rewards and advantages


def test_a_reward_is_compared_with_the_mean_of_the_others():
    rewards = torch.tensor([[1.0, 2.0, 6.0], [5.0, 5.0, 5.0]])
    assert advantages(rewards).tolist() == [[1 - 4, 2 - 3.5, 6 - 1.5], [0, 0, 0]]


def test_captions_are_rewarded_without_their_padding():
    loss = make_loss()
    seen = []

    def watching(captions, texts, lookalikes):
        seen.append((captions, texts, lookalikes))
        return by_length(captions)

    loss.rewards = watching
    torch.manual_seed(0)
    lookalikes = [["a man sits"], [], ["the dog"]]
    loss(grids(), replace(human(), lookalikes=lookalikes), 0.0)
    ((captions, *sentences),) = seen
    torch.manual_seed(0)
    drawn = draw_captions(loss.network.decoder, grids(), 4, max_words=6)
    assert captions == [[[i for i in row if i] for row in rows] for rows in drawn.tolist()]
    assert sentences == [TEXTS, lookalikes]


# The gradient


@pytest.mark.parametrize(("kind", "temperature"), [("attention", 1.0), ("global", 0.5)])
def test_the_gradient_is_that_of_reinforce_by_hand(kind, temperature):
    network = tiny_network(tiny_config(kind=kind, dropout=0.0, detected_words=8))
    loss, grid = make_loss(network, temperature=temperature), grids()
    torch.manual_seed(0)
    drawn = draw_captions(network.decoder, grid, 4, max_words=6, temperature=temperature)
    captions = drawn.tolist()
    captions = [[[token for token in ids if token] for ids in drawn] for drawn in captions]
    by_hand, tokens = grid.new_zeros(()), 0
    for picture, drawn in enumerate(captions):
        rewards = by_length([drawn], None)[0]
        sentences = len(TEXTS[picture])
        for i, ids in enumerate(drawn):
            others = [reward for j, reward in enumerate(rewards) if j != i]
            advantage = rewards[i] - sum(others) / len(others)
            one = grid[picture : picture + 1]
            logprob = log_probability(network.decoder, one, ids, temperature)
            by_hand = by_hand - sentences * advantage * logprob
            tokens += sentences * len(ids)
    torch.manual_seed(0)
    (term,) = loss.train()(grid, human(), 0.0).terms
    assert term.weight == tokens
    torch.testing.assert_close(term.total, by_hand, rtol=1e-4, atol=1e-4)
    ours, theirs = gradients(network, term.total), gradients(network, by_hand)
    assert ours.keys() == theirs.keys()
    for name, gradient in ours.items():
        torch.testing.assert_close(gradient, theirs[name], rtol=1e-3, atol=1e-4, msg=name)


@pytest.mark.parametrize("temperature", [1.0, 0.8])
def test_on_average_the_gradient_is_that_of_the_expected_reward(temperature):
    # Three tokens may be drawn, twice: 1 + 2 * 3 captions.
    torch.manual_seed(0)
    network = CaptionNetwork(tiny_config(dropout=0.0), UNKNOWN + 3)
    with torch.no_grad():
        for parameter in network.decoder.parameters():
            parameter.add_(torch.randn_like(parameter) * 0.5)
    words = (END, UNKNOWN + 1, UNKNOWN + 2)
    captions = [[END], *([*pair] for pair in product(words[1:], words))]
    logprobs = [log_probability(network.decoder, grids(1), ids, temperature) for ids in captions]
    probabilities = torch.stack(logprobs).exp()
    assert probabilities.sum().item() == pytest.approx(1, abs=1e-5)
    expected = probabilities @ torch.tensor(by_length([captions], None)[0])
    true = gradients(network, expected)

    settings = SelfCriticalConfig(samples=20_000, temperature=temperature, cross_entropy_share=0.0)
    loss = SelfCriticalLoss(network, 0.1, settings=settings, rewards=by_length, max_words=1)
    (term,) = loss.train()(grids(1), human([["a"]]), 0.0).terms
    found = gradients(network, -term.total / settings.samples)
    assert torch.cat([g.flatten() for g in true.values()]).norm() > 0.1
    for name, gradient in true.items():
        torch.testing.assert_close(found[name], gradient, rtol=0, atol=0.01, msg=name)


def test_equal_rewards_have_no_gradient():
    loss = make_loss()
    loss.rewards = lambda captions, *_: [[2.0] * len(drawn) for drawn in captions]
    (term,) = loss.train()(grids(), human(), 0.0).terms
    assert not any(gradient.any() for gradient in gradients(loss.network, term.total).values())


def test_captions_are_drawn_without_dropout_and_learned_with_it():
    network = tiny_network(tiny_config(dropout=0.5))
    loss = make_loss(network).train()
    torch.manual_seed(0)
    drawn = draw_captions(network.decoder.eval(), grids(), 4, max_words=6)
    network.train()
    totals = []
    for _ in range(2):
        torch.manual_seed(0)
        losses = loss(grids(), human(), 0.0)
        assert losses.watched["length"].total == (drawn > 0).sum()
        assert network.decoder.training
        totals.append(losses.terms[0].total.item())
    assert totals[0] == totals[1]
    network.decoder.dropout.p = 0.0
    torch.manual_seed(0)
    assert loss(grids(), human(), 0.0).terms[0].total.item() != totals[0]


def test_a_tuned_encoder_learns_from_rewards_too():
    network = tiny_network(tiny_config(dropout=0.0))
    network.encoder.tune(-2)
    pixels = torch.randn(3, 3, 64, 64, generator=torch.Generator().manual_seed(4))
    (term,) = make_loss(network).train()(pixels, human(), 0.0).terms
    term.total.backward()
    learned = [p for p in network.encoder.parameters() if p.requires_grad]
    assert learned
    assert all(p.grad is not None and p.grad.any() for p in learned)


def test_the_detector_is_not_trained():
    loss = make_loss(tiny_network(tiny_config(dropout=0.0, detected_words=8)), samples=2)
    terms = loss.train()(grids(), human(), 0.0).terms
    sum(term.total for term in terms).backward()
    detector = [*loss.network.decoder.detector.parameters()]
    assert not any(p.requires_grad or p.grad is not None for p in detector)
    assert loss.network.decoder.to_trust.weight.grad.any()


# Shares


def test_the_cross_entropy_has_its_share():
    losses = {}
    for share in (0.0, 0.3):
        loss = make_loss(cross_entropy_share=share).eval()
        torch.manual_seed(0)
        losses[share] = loss(grids(), human(), 0.0)
    words = CaptionLoss(tiny_network(tiny_config(dropout=0.0)), 0.1).eval()(grids(), human(), 0.0)
    rewarded, read = losses[0.3].terms
    torch.testing.assert_close(rewarded.total, 0.7 * losses[0.0].terms[0].total)
    torch.testing.assert_close(read.total, 0.3 * words.terms[0].total)
    assert read.weight == words.terms[0].weight
    assert rewarded.weight == losses[0.0].terms[0].weight
    torch.testing.assert_close(losses[0.3].watched["loss"], words.watched["loss"])
    assert losses[0.0].watched.keys() == {"reward", "length", "finished"}


def test_a_pictures_weight_is_its_number_of_sentences():
    once, thrice = [["a"]] * 2, [["a"], ["a", "a dog", "the dog"]]
    loss, terms = make_loss(), []
    for texts in (once, thrice):
        torch.manual_seed(0)
        terms.append(loss(grids(2), human(texts), 0.0).terms[0])
    torch.manual_seed(0)
    drawn = draw_captions(loss.network.decoder, grids(2), 4, max_words=6)
    first, second = (drawn > 0).sum((1, 2)).tolist()
    assert [term.weight.item() for term in terms] == [first + second, first + 3 * second]
    assert terms[0].total.item() != pytest.approx(terms[1].total.item(), rel=1e-2)


def test_a_process_without_a_share_has_no_loss_and_no_gradient():
    captions = human()
    captions.reads[:] = False
    losses = make_loss(cross_entropy_share=0.2).train()(grids(), captions, 0.0)
    total = sum(term.total for term in losses.terms)
    assert total.item() == 0
    assert not any(term.weight for term in losses.terms)
    assert not any(mean.total or mean.weight for mean in losses.watched.values())
    network = tiny_network(tiny_config(dropout=0.0))
    total = sum(t.total for t in make_loss(network).train()(grids(), captions, 0.0).terms)
    found = gradients(network, total)
    assert found
    assert not any(gradient.any() for gradient in found.values())


def test_reward_length_and_ends_are_watched():
    loss = make_loss()
    torch.manual_seed(0)
    watched = loss(grids(), human(), 0.0).watched
    torch.manual_seed(0)
    drawn = draw_captions(loss.network.decoder, grids(), 4, max_words=6)
    captions = [[[i for i in row if i] for row in rows] for rows in drawn.tolist()]
    assert {mean.weight.item() for mean in watched.values()} == {12}
    assert watched["reward"].total.item() == pytest.approx(sum(map(sum, by_length(captions, None))))
    assert watched["length"].total == (drawn > 0).sum()
    assert watched["finished"].total == (drawn == END).sum()


# What is learned


def learn(steps: int, precision: torch.dtype = torch.float32) -> list[float]:
    """Train a tiny decoder by rewards alone, and return the mean reward at each step."""
    network = tiny_network(tiny_config(dropout=0.0, detected_words=8))
    loss = SelfCriticalLoss(
        network,
        0.0,
        settings=SelfCriticalConfig(samples=8, cross_entropy_share=0.0),
        rewards=Reward(TEXTS, tiny_vocabulary(), repetition_penalty=0.5),
        max_words=9,
    ).train()
    trained = [p for p in network.decoder.parameters() if p.requires_grad]
    optimizer = torch.optim.Adam(trained, lr=0.01)
    seen = []
    for step in range(steps):
        torch.manual_seed(step)
        with torch.autocast("cpu", torch.bfloat16, enabled=precision == torch.bfloat16):
            (term,), watched = loss(grids(), human(), 0.0)
        optimizer.zero_grad()
        (term.total / term.weight).backward()
        optimizer.step()
        seen.append((watched["reward"].total / watched["reward"].weight).item())
    return seen


@pytest.mark.parametrize("precision", [torch.float32, torch.bfloat16])
def test_the_reward_rises(precision):
    rewards = learn(60, precision)
    assert sum(rewards[:5]) / 5 < 0.3
    assert sum(rewards[-5:]) / 5 > 0.8


def test_the_same_seeds_learn_the_same():
    assert learn(8) == learn(8)
