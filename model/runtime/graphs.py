"""Networks as graphs of arrays alone, for runtimes other than PyTorch.

A captioner's:

    encode:  pixels -> grid
    context: grid -> the arrays of an `ImageContext`
    step:    tokens, state, context -> log-probabilities, state, attention's weights

where a step takes keys and values of dot-product attention laid out by heads. A language model's:

    step:    tokens, state -> log-probabilities, state

Each has names for what goes in and comes out, and is good for any batch and beam, or any number
of texts. Knows modules; does not know what a graph is written to, nor who runs it.
"""

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.export import Dim, ExportedProgram

from model.networks.attention import DotAttention
from model.networks.caption_network import CaptionNetwork
from model.networks.decoder import Decoder
from model.networks.folding import fold_output
from model.networks.heads import lay_out
from model.networks.image_context import ImageContext
from model.networks.text_network import TextNetwork
from model.runtime.pytorch import inference_encoder

__all__ = ["ContextEncoder", "DecoderStep", "Graph", "captioner_graphs", "laid_out", "text_graphs"]

Shape = tuple[int, ...]

_ANY = -1


@dataclass(frozen=True)
class Graph:
    """A traced part of the network; names in order, and of each input its shape, -1 for any."""

    name: str
    program: ExportedProgram
    inputs: dict[str, Shape]
    outputs: tuple[str, ...]


class ContextEncoder(nn.Module):
    """What is computed once a picture: the grid's parts, in the order of `parts`."""

    def __init__(self, decoder: Decoder) -> None:
        super().__init__()
        self.decoder = decoder

    def forward(self, grid: Tensor) -> tuple[Tensor, ...]:
        """Compute them: (batch, rows, columns, channels) -> each (batch, ...)."""
        return tuple(self.decoder.encode_context(grid).to_dict().values())


class DecoderStep(nn.Module):
    """One step, whose words are projected beforehand: a step reads three rows, and no matrix.

    Args:
        decoder: in evaluation.
        names: of a picture's parts, in the order in which they are given, see `laid_out`.
    """

    def __init__(self, decoder: Decoder, names: tuple[str, ...]) -> None:
        super().__init__()
        self.decoder = fold_output(decoder)
        self.names = names
        vectors = decoder.embedding.weight
        every_word = torch.arange(len(vectors), device=vectors.device)
        self.register_buffer("words", decoder.project_words(every_word).clone())

    def forward(
        self, tokens: Tensor, state: tuple[Tensor, ...], seen: tuple[Tensor, ...]
    ) -> tuple[Tensor, ...]:
        """Give log-probabilities, the next state and, if there is attention, its weights."""
        picture = ImageContext.from_dict(dict(zip(self.names, seen, strict=True)))
        words = nn.functional.embedding(tokens, self.words)  # type: ignore[arg-type]
        evidence = None if picture.evidence is None else picture.evidence[:, None]
        output, state, weights = self.decoder.advance(words, state, picture)
        logprobs = self.decoder.logits(output, evidence).float().log_softmax(-1)
        return logprobs, *state, *(() if weights is None else (weights,))


def laid_out(decoder: Decoder, named: dict[str, Tensor]) -> dict[str, Tensor]:
    """Give the parts of a picture as a `Step` takes them: keys and values by heads."""
    attention = getattr(decoder, "attention", None)
    if not isinstance(attention, DotAttention):
        return named
    return lay_out(named, attention.heads)


@torch.no_grad()
def captioner_graphs(network: CaptionNetwork, size: int) -> list[Graph]:
    """Trace the three graphs.

    Args:
        network: in evaluation, float32, on the CPU.
        size: of the pictures, in pixels.
    """
    decoder = network.decoder
    encoder = inference_encoder(network.encoder, size).to(memory_format=torch.contiguous_format)
    # Two and three: sizes of one would be taken for constants.
    pixels = torch.rand(2, 3, size, size)
    grid = encoder(pixels)
    seen = decoder.encode_context(grid).to_dict()
    picture = {
        name: part.contiguous()
        for name, part in laid_out(decoder, seen).items()
        if not name.startswith("start.")
    }
    state = [
        part[:, None].repeat(1, 3, 1) for name, part in seen.items() if name.startswith("start.")
    ]
    rows = {"tokens": torch.zeros(2, 3, dtype=torch.int32)} | {
        f"state.{i}": part for i, part in enumerate(state)
    }
    batch, beam = Dim("batch", min=1, max=4096), Dim("beam", min=1, max=256)
    of_picture, of_row = {0: batch}, {0: batch, 1: beam}
    with_weights = ("weights",) if "keys" in picture else ()
    return [
        Graph(
            "encode", _trace(encoder, (pixels,), (of_picture,)), _free(1, pixels=pixels), ("grid",)
        ),
        Graph(
            "context",
            _trace(ContextEncoder(decoder), (grid,), (of_picture,)),
            _free(1, grid=grid),
            tuple(seen),
        ),
        Graph(
            "step",
            _trace(
                DecoderStep(decoder, tuple(picture)),
                (rows["tokens"], tuple(state), tuple(picture.values())),
                (of_row, tuple(of_row for _ in state), tuple(of_picture for _ in picture)),
            ),
            _free(2, **rows) | _free(1, **picture),
            ("logprobs", *(f"next.{i}" for i in range(len(state))), *with_weights),
        ),
    ]


class _TextStep(nn.Module):
    def __init__(self, network: TextNetwork) -> None:
        super().__init__()
        self.network = network

    def forward(self, tokens: Tensor, state: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        logits, state = self.network.step(tokens, state)
        return logits.log_softmax(-1), *state


@torch.inference_mode()
def text_graphs(network: TextNetwork) -> list[Graph]:
    """Trace the one graph of a language model.

    Args:
        network: in evaluation, float32, on the CPU.
    """
    # Two: a size of one would be taken for a constant; cloned: one tensor twice, for one input.
    tokens = torch.zeros(2, dtype=torch.int32)
    state = tuple(part.clone() for part in network.initial_state(2))
    texts = Dim("texts", min=1, max=4096)
    states = {f"state.{i}": (len(part), _ANY, part.shape[-1]) for i, part in enumerate(state)}
    return [
        Graph(
            "step",
            _trace(
                _TextStep(network), (tokens, state), ({0: texts}, tuple({1: texts} for _ in state))
            ),
            {"tokens": (_ANY,), **states},
            ("logprobs", *(f"next.{i}" for i in range(len(state)))),
        )
    ]


def _free(axes: int, **examples: Tensor) -> dict[str, Shape]:
    """Give the shapes of examples, the first axes of which may have any size."""
    return {
        name: (_ANY,) * axes + tuple(example.shape[axes:]) for name, example in examples.items()
    }


def _trace(module: nn.Module, example: tuple[object, ...], shapes: object) -> ExportedProgram:
    return torch.export.export(module.eval(), example, dynamic_shapes=shapes)
