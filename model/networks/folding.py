"""Two layers folded into one, for inference: the same network with fewer passes over memory.

In evaluation a batch normalisation is an affine map of each channel, and so is part of the
convolution whose output it reads: a fifth of an EfficientNet-Lite's time on a CPU. Of the two
products that write a word where word vectors are tied, the first is part of the second. Knows
convolutional networks and decoders' outputs; knows nothing of what is seen or said.
"""

from collections import Counter
from copy import deepcopy
from dataclasses import replace
from typing import Any, TypeVar

import torch
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_weights

from model.networks.decoder import Decoder

__all__ = ["fold_batch_norm", "fold_output"]

Network = TypeVar("Network", bound=nn.Module)

_TOLERANCE = 1e-3  # of the largest output: folding rounds otherwise, and depth adds it up


@torch.no_grad()
def fold_batch_norm(network: Network, example: Tensor) -> Network:
    """Give a copy in evaluation, in which no normalisation is left that reads a convolution.

    Which ones do is seen by running the example through. A network in which that is not the whole
    truth (a convolution with a second reader, say), so that folded it would give something else,
    is copied as it is.

    Args:
        network: left as it is.
        example: an input of it.
    """
    folded, original = deepcopy(network).eval(), deepcopy(network).eval()
    for convolution, name in _pairs(folded, example):
        norm = folded.get_submodule(name)
        assert isinstance(norm, nn.BatchNorm2d)  # noqa: S101 - as `_pairs` found it
        assert norm.running_mean is not None and norm.running_var is not None  # noqa: S101, PT018
        convolution.weight, convolution.bias = fuse_conv_bn_weights(
            convolution.weight,
            convolution.bias,
            norm.running_mean,
            norm.running_var,
            norm.eps,
            norm.weight,
            norm.bias,
        )
        parent, _, leaf = name.rpartition(".")
        # timm's normalisations hold the activation that follows.
        setattr(folded.get_submodule(parent), leaf, getattr(norm, "act", nn.Identity()))
    expected, given = original(example), folded(example)
    same = torch.allclose(given, expected, rtol=0, atol=_TOLERANCE * float(expected.abs().max()))
    return folded if same else original


@torch.no_grad()
def fold_output(decoder: Decoder) -> Decoder:
    """Give a copy that writes words by one product: E (W h + b) + c = (E W) h + (E b + c).

    Where h is larger than word vectors are, or there is one product anyway, it is the decoder
    itself.

    Args:
        decoder: left as it is.
    """
    config = decoder.config
    if not config.tie_output or config.hidden_size > config.embedding_size:
        return decoder
    folded, words = deepcopy(decoder), decoder.embedding.weight
    folded.config = replace(config, tie_output=False)
    folded.to_word = nn.Linear(
        config.hidden_size, len(words), device=words.device, dtype=words.dtype
    )
    folded.to_word.weight.copy_(words @ decoder.to_word.weight)
    folded.to_word.bias.copy_(words @ decoder.to_word.bias + decoder.output_bias)
    return folded


def _pairs(network: nn.Module, example: Tensor) -> list[tuple[nn.Conv2d, str]]:
    """Find each convolution that runs once, and whose very output a normalisation reads."""
    runs = Counter[nn.Module]()
    made: dict[int, tuple[nn.Conv2d, Tensor]] = {}  # held, so that no two outputs share an id
    found: dict[str, nn.Conv2d] = {}

    def note(convolution: nn.Conv2d, _: Any, output: Tensor) -> None:
        runs[convolution] += 1
        made[id(output)] = convolution, output

    def look(name: str, norm: nn.BatchNorm2d, inputs: tuple[Tensor]) -> None:
        runs[norm] += 1
        if norm.running_mean is not None and id(inputs[0]) in made:
            found[name] = made[id(inputs[0])][0]

    hooks = []
    for name, module in network.named_modules():
        if isinstance(module, nn.Conv2d):
            hooks.append(module.register_forward_hook(note))
        elif isinstance(module, nn.BatchNorm2d):
            hooks.append(
                module.register_forward_pre_hook(
                    lambda norm, inputs, name=name: look(name, norm, inputs)
                )
            )
    network(example)
    for hook in hooks:
        hook.remove()
    once = {module for module, times in runs.items() if times == 1}
    return [
        (convolution, name)
        for name, convolution in found.items()
        if convolution in once and network.get_submodule(name) in once
    ]
