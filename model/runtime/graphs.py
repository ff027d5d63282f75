"""Trace networks into graphs, for runtimes other than PyTorch.

A captioner's:

    encode:  pixels -> grid
    context: grid -> the arrays of an `ImageContext`
    step:    tokens, state, context -> log-probabilities, state, attention's weights

where a step expects the keys and values of dot-product attention split by heads. A language
model's:

    step:    tokens, state -> log-probabilities, state

Inputs and outputs have names, and the sizes of batch and beam, or the number of texts, may vary.
"""

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.export import Dim, ExportedProgram

from model.networks.attention import DotAttention
from model.networks.caption_network import CaptionNetwork
from model.networks.decoder import Decoder
from model.networks.folding import fold_output
from model.networks.heads import split_context_heads
from model.networks.image_context import ImageContext
from model.networks.text_network import TextNetwork
from model.runtime.pytorch import inference_encoder

__all__ = [
    "ContextEncoder",
    "DecoderStep",
    "Graph",
    "captioner_graphs",
    "step_context",
    "text_graphs",
]

Shape = tuple[int, ...]

_ANY = -1


@dataclass(frozen=True)
class Graph:
    """A traced part of a network: input names in order with their shapes, where -1 is any size."""

    name: str
    program: ExportedProgram
    inputs: dict[str, Shape]
    outputs: tuple[str, ...]


class ContextEncoder(nn.Module):
    """Computes the arrays of an `ImageContext`, in the order of its `to_dict`."""

    def __init__(self, decoder: Decoder) -> None:
        super().__init__()
        self.decoder = decoder

    def forward(self, grid: Tensor) -> tuple[Tensor, ...]:
        """Compute the arrays: (batch, rows, columns, channels) -> each (batch, ...)."""
        return tuple(self.decoder.encode_context(grid).to_dict().values())


class DecoderStep(nn.Module):
    """One step, with all words projected beforehand: it looks rows up and multiplies no matrix.

    Args:
        decoder: in evaluation.
        names: of the context's arrays in the order in which they are passed, see `step_context`.
    """

    def __init__(self, decoder: Decoder, names: tuple[str, ...]) -> None:
        super().__init__()
        self.decoder = fold_output(decoder)
        self.names = names
        vectors = decoder.embedding.weight
        every_word = torch.arange(len(vectors), device=vectors.device)
        self.register_buffer("words", decoder.project_words(every_word).clone())

    def forward(
        self, tokens: Tensor, state: tuple[Tensor, ...], context: tuple[Tensor, ...]
    ) -> tuple[Tensor, ...]:
        """Return log-probabilities, the next state and, with attention, its weights."""
        image_context = ImageContext.from_dict(dict(zip(self.names, context, strict=True)))
        words = nn.functional.embedding(tokens, self.words)  # type: ignore[arg-type]
        evidence = None if image_context.evidence is None else image_context.evidence[:, None]
        output, state, weights = self.decoder.advance(words, state, image_context)
        logprobs = self.decoder.logits(output, evidence).float().log_softmax(-1)
        return logprobs, *state, *(() if weights is None else (weights,))


def step_context(decoder: Decoder, arrays: dict[str, Tensor]) -> dict[str, Tensor]:
    """Return a context's arrays as a `DecoderStep` expects them: keys and values by heads."""
    attention = getattr(decoder, "attention", None)
    if not isinstance(attention, DotAttention):
        return arrays
    return split_context_heads(arrays, attention.heads)


@torch.no_grad()
def captioner_graphs(network: CaptionNetwork, size: int) -> list[Graph]:
    """Trace the three graphs.

    Args:
        network: in evaluation, float32, on the CPU.
        size: of the pictures, in pixels.
    """
    decoder = network.decoder
    encoder = inference_encoder(network.encoder, size).to(memory_format=torch.contiguous_format)
    # Two pictures and three beams: a size of one would be traced as a constant.
    pixels = torch.rand(2, 3, size, size)
    grid = encoder(pixels)
    arrays = decoder.encode_context(grid).to_dict()
    context = {
        name: part.contiguous()
        for name, part in step_context(decoder, arrays).items()
        if not name.startswith("start.")
    }
    state = [
        part[:, None].repeat(1, 3, 1) for name, part in arrays.items() if name.startswith("start.")
    ]
    rows = {"tokens": torch.zeros(2, 3, dtype=torch.int32)} | {
        f"state.{i}": part for i, part in enumerate(state)
    }
    batch, beam = Dim("batch", min=1, max=4096), Dim("beam", min=1, max=256)
    per_picture, per_row = {0: batch}, {0: batch, 1: beam}
    with_weights = ("weights",) if "keys" in context else ()
    return [
        Graph(
            "encode",
            _trace(encoder, (pixels,), (per_picture,)),
            _with_any_size(1, pixels=pixels),
            ("grid",),
        ),
        Graph(
            "context",
            _trace(ContextEncoder(decoder), (grid,), (per_picture,)),
            _with_any_size(1, grid=grid),
            tuple(arrays),
        ),
        Graph(
            "step",
            _trace(
                DecoderStep(decoder, tuple(context)),
                (rows["tokens"], tuple(state), tuple(context.values())),
                (per_row, tuple(per_row for _ in state), tuple(per_picture for _ in context)),
            ),
            _with_any_size(2, **rows) | _with_any_size(1, **context),
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
    """Trace a language model's one graph.

    Args:
        network: in evaluation, float32, on the CPU.
    """
    # Two texts: a size of one would be traced as a constant. Cloned: a tensor that comes twice
    # would be traced as one input.
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


def _with_any_size(axes: int, **examples: Tensor) -> dict[str, Shape]:
    """Return the shapes of examples whose first `axes` axes may have any size."""
    return {
        name: (_ANY,) * axes + tuple(example.shape[axes:]) for name, example in examples.items()
    }


def _trace(module: nn.Module, example: tuple[object, ...], shapes: object) -> ExportedProgram:
    return torch.export.export(module.eval(), example, dynamic_shapes=shapes)
