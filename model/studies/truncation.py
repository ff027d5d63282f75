"""Learn to close brackets by truncated backpropagation through time.

The text is brackets of two kinds, `(----.)` and `[----.]`, with so many dashes that each closes a
given number of characters after it was opened. Which kind closes, only memory can tell. As in
training on a text, it is read in chunks: the state is carried from one to the next, and the
gradient goes back to the chunk's beginning. So where a bracket is opened in one chunk and closed in
another, no gradient ever links the two.

The loss counts closing brackets alone, since nothing else in the text is of interest here.
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from model.config import CellName, RecurrentConfig
from model.networks.text_network import TextNetwork

__all__ = ["bracket_text", "learn_brackets", "share_closed"]

_CHARACTERS = "([)]-."
_CLOSING = 2  # the number of `)`, two after that of `(`; `]` follows
_STREAMS, _UNITS, _RATE, _CLIP = 32, 32, 1e-2, 1.0
_IGNORED = -100  # where no bracket closes


def bracket_text(
    distances: Sequence[int], streams: int, length: int, generator: torch.Generator
) -> Tensor:
    """Write texts of brackets, each of a kind and a distance that are drawn.

    Args:
        distances: characters from an opening bracket to its closing one, each at least 2.
        streams, length: how many texts, and their characters.
        generator: draws.

    Returns:
        Numbers of characters, of "([)]-." (streams, length).
    """

    def pair() -> str:
        kind, number = (int(torch.randint(n, (), generator=generator)) for n in (2, len(distances)))
        return "(["[kind] + "-" * (distances[number] - 2) + "." + ")]"[kind]

    def stream() -> str:
        written = ""
        while len(written) < length:
            written += pair()
        return written[:length]

    return torch.tensor([[*map(_CHARACTERS.index, stream())] for _ in range(streams)])


def learn_brackets(
    cell: CellName, distances: Sequence[int], *, steps: int, updates: int, seed: int
) -> TextNetwork:
    """Train a network of 32 units on brackets, in chunks of a text that goes on.

    Args:
        cell: of the network.
        distances: of the brackets.
        steps: characters in a chunk, through which gradients go back.
        updates: how many chunks, each of 32 texts side by side.
        seed: of the weights and the texts.
    """
    generator = torch.Generator().manual_seed(seed)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        config = RecurrentConfig(cell=cell, hidden_size=_UNITS)
        network = TextNetwork(config, len(_CHARACTERS))
    optimizer = torch.optim.Adam(network.parameters(), lr=_RATE)
    text = bracket_text(distances, _STREAMS, updates * steps + 1, generator)
    state = network.initial_state(_STREAMS)
    for start in range(0, updates * steps, steps):
        chunk = text[:, start : start + steps + 1]
        scores, state = network(chunk[:, :-1], state)
        state = tuple(part.detach() for part in state)
        targets = torch.where(_closes(chunk[:, 1:]), chunk[:, 1:], _IGNORED)
        if bool((targets == _IGNORED).all()):
            continue
        loss = nn.functional.cross_entropy(
            scores.flatten(0, 1), targets.flatten(), ignore_index=_IGNORED
        )
        optimizer.zero_grad()
        torch.autograd.backward(loss)
        nn.utils.clip_grad_norm_(network.parameters(), _CLIP)
        optimizer.step()
    return network.eval()


@torch.inference_mode()
def share_closed(network: TextNetwork, distance: int, *, seed: int) -> float:
    """Return the share of brackets at a distance that a network closes rightly; chance is 1/2.

    It reads texts of its own from their beginning, and of `)` and `]` the likelier one counts.
    """
    generator = torch.Generator().manual_seed(seed)
    text = bracket_text([distance], 2 * _STREAMS, 8 * (distance + 1), generator)
    scores, _ = network(text[:, :-1], network.initial_state(len(text)))
    guesses = scores[..., _CLOSING : _CLOSING + 2].argmax(-1) + _CLOSING
    targets = text[:, 1:]
    return float((guesses == targets)[_closes(targets)].double().mean())


def _closes(characters: Tensor) -> Tensor:
    return (characters == _CLOSING) | (characters == _CLOSING + 1)
