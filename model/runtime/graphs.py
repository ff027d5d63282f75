"""Trace networks into graphs, for runtimes other than PyTorch.

A graph is a function of its inputs and of the network's weights, so it holds no weights itself: it
is small, and `model.runtime.graph_weights` computes what it needs from a bundle's tensors.

A captioner's:

    encode:  pixels -> grid
    context: grid -> the arrays of an `ImageContext`
    step:    tokens, state, context -> log-probabilities, state, attention's weights

where a step expects the keys and values of dot-product attention split by heads. A language
model's:

    step:    tokens, state -> log-probabilities, state

Inputs, outputs and weights have names; the sizes of batch and beam, or the number of texts, may
vary.
"""

from dataclasses import dataclass, replace
from functools import partial

import torch
from torch import Tensor, nn
from torch.export import Dim, ExportedProgram

from model.networks.attention import DotAttention
from model.networks.caption_network import CaptionNetwork
from model.networks.decoder import Decoder
from model.networks.folding import FoldedNorm, fold_output
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
    """A traced part of a network.

    The program's arguments are the weights and then the inputs, both by name with their shapes in
    this order; -1 is any size. `norms` are the normalisations that were folded into the weights.
    """

    name: str
    program: ExportedProgram
    weights: dict[str, Shape]
    inputs: dict[str, Shape]
    outputs: tuple[str, ...]
    norms: tuple[FoldedNorm, ...] = ()


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


class _Encoder(nn.Module):
    """An encoder whose weights have the names that they have in a bundle."""

    def __init__(self, encoder: nn.Module) -> None:
        super().__init__()
        self.encoder = encoder

    def forward(self, pixels: Tensor) -> Tensor:
        grid: Tensor = self.encoder(pixels)
        return grid


@torch.no_grad()
def captioner_graphs(network: CaptionNetwork, size: int) -> list[Graph]:
    """Trace the three graphs.

    Args:
        network: in evaluation, float32, on the CPU.
        size: of the pictures, in pixels.
    """
    decoder = network.decoder
    encoder, norms = inference_encoder(network.encoder, size)
    encoder = encoder.to(memory_format=torch.contiguous_format)
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
        _trace(
            "encode",
            _Encoder(encoder),
            (pixels,),
            (per_picture,),
            inputs=_with_any_size(1, pixels=pixels),
            outputs=("grid",),
            norms=tuple(
                FoldedNorm(f"encoder.{n.convolution}", f"encoder.{n.norm}", n.epsilon)
                for n in norms
            ),
        ),
        _trace(
            "context",
            ContextEncoder(decoder),
            (grid,),
            (per_picture,),
            inputs=_with_any_size(1, grid=grid),
            outputs=tuple(arrays),
        ),
        _trace(
            "step",
            DecoderStep(decoder, tuple(context)),
            (rows["tokens"], tuple(state), tuple(context.values())),
            (per_row, tuple(per_row for _ in state), tuple(per_picture for _ in context)),
            inputs=_with_any_size(2, **rows) | _with_any_size(1, **context),
            outputs=("logprobs", *(f"next.{i}" for i in range(len(state))), *with_weights),
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
    step = _trace(
        "step",
        _TextStep(network),
        (tokens, state),
        ({0: texts}, tuple({1: texts} for _ in state)),
        inputs={"tokens": (_ANY,), **states},
        outputs=("logprobs", *(f"next.{i}" for i in range(len(state)))),
    )
    # A bundle's names do not begin with `_TextStep`'s own.
    weights = {name.removeprefix("network."): shape for name, shape in step.weights.items()}
    return [replace(step, weights=weights)]


def _with_any_size(axes: int, **examples: Tensor) -> dict[str, Shape]:
    """Return the shapes of examples whose first `axes` axes may have any size."""
    return {
        name: (_ANY,) * axes + tuple(example.shape[axes:]) for name, example in examples.items()
    }


def _trace(
    name: str,
    module: nn.Module,
    example: tuple[object, ...],
    shapes: tuple[object, ...],
    *,
    inputs: dict[str, Shape],
    outputs: tuple[str, ...],
    norms: tuple[FoldedNorm, ...] = (),
) -> Graph:
    """Trace a module as a function of the weights that it uses, and then of its inputs."""
    state = module.eval().state_dict()
    program = _export(module, state, example, shapes)
    arguments = [node for node in program.graph.nodes if node.op == "placeholder"]  # weights first
    kept = {
        weight: tensor
        for (weight, tensor), argument in zip(state.items(), arguments, strict=False)
        if argument.users
    }
    if len(kept) < len(state):
        program = _export(module, kept, example, shapes)
    return Graph(
        name, program, {k: tuple(t.shape) for k, t in kept.items()}, inputs, outputs, norms
    )


class _Functional(nn.Module):
    """A module whose weights are arguments; it is no submodule, so that none of them is its own."""

    def __init__(self, module: nn.Module, names: tuple[str, ...]) -> None:
        super().__init__()
        self._call = partial(torch.func.functional_call, module)
        self._names = names

    def forward(self, weights: tuple[Tensor, ...], *inputs: object) -> object:
        return self._call(dict(zip(self._names, weights, strict=True)), inputs)


def _export(
    module: nn.Module,
    weights: dict[str, Tensor],
    example: tuple[object, ...],
    shapes: tuple[object, ...],
) -> ExportedProgram:
    return torch.export.export(
        _Functional(module, tuple(weights)),
        (tuple(weights.values()), *example),
        dynamic_shapes={"weights": tuple({} for _ in weights), "inputs": shapes},
    )
