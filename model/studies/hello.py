"""The first recurrent networks of the lecture: one that spells a word, one that writes sentences.

The characters are those of the word alone, each a one-hot vector, as on the slide: no start token,
no end token. The sentences are a language model like the shipped ones, whose words stand between
`<START>` and `<END>`. Both networks are vanilla RNNs, and learn by plain gradient descent on the
whole text at once.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from model.config import RecurrentConfig, SamplingConfig, TextConfig
from model.decoding.sampling import TokenSampler, random_numbers
from model.networks.text_network import TextNetwork
from model.text.language_model import LanguageModel
from model.vocabulary import Vocabulary

__all__ = [
    "RATE",
    "Step",
    "alphabet",
    "continue_word",
    "learn_sentences",
    "learn_word",
    "new_network",
    "next_words",
    "walk",
]

RATE = 0.5
_NO_TARGET = -100

Watch = Callable[[TextNetwork], None]


@dataclass(frozen=True)
class Step:
    """One step of a network over a word.

    Attributes:
        character, target: what it reads, and what comes next.
        one_hot: what it reads, as a vector.
        hidden: its state afterwards, each number from -1 to 1.
        scores: of every character of the alphabet.
        probability: of the target.
    """

    character: str
    one_hot: tuple[int, ...]
    hidden: tuple[float, ...]
    scores: tuple[float, ...]
    target: str
    probability: float


def alphabet(word: str) -> str:
    """Return the characters of a word, in the order in which they come first: hello -> helo."""
    return "".join(dict.fromkeys(word))


def new_network(units: int, tokens: int, seed: int) -> TextNetwork:
    """Build a vanilla RNN on one-hot vectors, in double precision so that all computers agree."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return TextNetwork(RecurrentConfig(cell="rnn", hidden_size=units), tokens).double()


def learn_word(
    network: TextNetwork, word: str, epochs: int, watch: Watch = lambda network: None
) -> None:
    """Train a network to say after each character of a word which comes next.

    Args:
        network: of as many tokens as the word's alphabet has; changed.
        word: of at least two characters.
        epochs: how often the word is read.
        watch: called with the network, before the first epoch and after each.
    """
    ids = _ids(word)
    _descend(network, ids[None, :-1], ids[None, 1:], epochs, watch)


def walk(network: TextNetwork, word: str) -> tuple[Step, ...]:
    """Read a word, and show what happens at each step."""
    letters, ids = alphabet(word), _ids(word)
    with torch.inference_mode():
        inputs = network.read(ids[None, :-1])
        (hidden,), _ = network.recurrent.states(inputs, network.initial_state(1))
        scores = network.score(hidden[0, :, -1])  # (time, tokens)
        probabilities = scores.softmax(-1)
    return tuple(
        Step(
            word[i],
            tuple(map(int, inputs[0, i])),
            tuple(hidden[0, i, -1].tolist()),
            tuple(scores[i].tolist()),
            word[i + 1],
            float(probabilities[i, letters.index(word[i + 1])]),
        )
        for i in range(len(word) - 1)
    )


def continue_word(network: TextNetwork, word: str, seed: int | None) -> str:
    """Write a word of the same length from its first character on.

    Each character is drawn from what the network says (seed None: is its likeliest), and read next.
    """
    letters = alphabet(word)
    method = SamplingConfig(temperature=0.0 if seed is None else 1.0)
    sampler = TokenSampler([method], [random_numbers(seed or 0)])
    token, state, written = torch.tensor([0]), network.initial_state(1), word[0]
    with torch.inference_mode():
        while len(written) < len(word):
            scores, state = network.step(token, state)
            token = torch.from_numpy(sampler.draw(scores.log_softmax(-1).numpy()))
            written += letters[int(token)]
    return written


def learn_sentences(
    sentences: Sequence[str], *, units: int, epochs: int, seed: int
) -> LanguageModel:
    """Train a language model of words on sentences, each between `<START>` and `<END>`.

    Args:
        sentences: words separated by spaces.
        units: of the network.
        epochs: how often all of them are read.
        seed: of the network's first weights.
    """
    vocabulary = Vocabulary.build(sentences)
    network = new_network(units, len(vocabulary), seed)
    rows = [
        torch.tensor([vocabulary.start_id, *vocabulary.encode(one), vocabulary.end_id])
        for one in sentences
    ]

    def side_by_side(parts: list[Tensor], fill: int) -> Tensor:
        return nn.utils.rnn.pad_sequence(parts, batch_first=True, padding_value=fill)

    inputs = side_by_side([row[:-1] for row in rows], vocabulary.pad_id)
    targets = side_by_side([row[1:] for row in rows], _NO_TARGET)
    _descend(network, inputs, targets, epochs)
    config = TextConfig("network", "1", "word", network.config, SamplingConfig(), ends=True)
    return LanguageModel.of(network.eval(), config, vocabulary)


def next_words(language_model: LanguageModel, before: str) -> dict[str, float]:
    """Return the probability of each word, and of `<END>`, after `<START>` and what comes before.

    The language model may be a network or an n-gram.
    """
    vocabulary, runner = language_model.vocabulary, language_model.runner
    ids = np.array([vocabulary.start_id, *vocabulary.encode(before)])
    logprobs, _ = runner.read(ids, runner.initial_state())
    probabilities: NDArray[np.floating] = np.exp(logprobs[-1].astype(np.float64))
    ends_last = [*range(vocabulary.unknown_id + 1, len(vocabulary)), vocabulary.end_id]
    return {vocabulary.tokens[i]: float(probabilities[i]) for i in ends_last}


def _ids(word: str) -> Tensor:
    letters = alphabet(word)
    return torch.tensor([letters.index(character) for character in word])


def _descend(
    network: TextNetwork,
    inputs: Tensor,
    targets: Tensor,
    epochs: int,
    watch: Watch = lambda network: None,
) -> None:
    """Train by plain gradient descent on all rows at once: both (rows, time)."""
    optimizer = torch.optim.SGD(network.parameters(), RATE)
    watch(network)
    for _ in range(epochs):
        scores, _ = network(inputs, network.initial_state(len(inputs)))
        loss = nn.functional.cross_entropy(
            scores.flatten(0, 1), targets.flatten(), ignore_index=_NO_TARGET
        )
        optimizer.zero_grad()
        torch.autograd.backward(loss)
        optimizer.step()
        watch(network)
