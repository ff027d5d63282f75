"""A CNN that turns pictures into a grid of features.

Any convolutional network of timm or torchvision, by name, without its classifier; parts of it may
be frozen.
"""

from collections import OrderedDict
from collections.abc import Iterator
from typing import Self

import timm
import torch
import torchvision
from torch import Tensor, nn

from model.config import EncoderConfig

__all__ = ["Encoder"]

# Modules of torchvision's networks that come after the last grid.
_AFTER_THE_GRID = {"avgpool", "fc", "classifier", "head", "heads", "dropout", "flatten"}

_BatchNorm = nn.modules.batchnorm._BatchNorm


class Encoder(nn.Module):
    """A CNN without its classifier: (batch, 3, height, width) -> a grid of features.

    A new encoder is frozen; `tune` chooses what is trained.

    Args:
        config: names the network.
        pretrained: load the library's ImageNet weights, which may download them; otherwise the
            weights are random.

    Raises:
        ValueError: the library has no such network, or its output is no grid (a transformer's).
    """

    def __init__(self, config: EncoderConfig, *, pretrained: bool = False) -> None:
        super().__init__()
        library, name = config.name.split("/", 1)
        self.trunk = (_timm if library == "timm" else _torchvision)(name, pretrained)
        self.channels, self._stages = _probe(self.trunk, config.name)
        self._update_batch_norm = False
        self.tune(None)

    def forward(self, pixels: Tensor) -> Tensor:
        """Encode preprocessed pictures.

        Returns:
            (batch, rows, columns, channels)
        """
        grid: Tensor = self.trunk(pixels)  # (batch, channels, rows, columns)
        return grid.permute(0, 2, 3, 1).contiguous()

    def stages(self) -> list[nn.Module]:
        """List the network's stages from the pixels to the grid, as `tune` counts them."""
        return list(self._stages)

    def tune(self, first_stage: int | None, *, update_batch_norm: bool = False) -> Self:
        """Choose what is trained: `first_stage` and all later stages; None freezes everything.

        A frozen stage always runs in evaluation mode: no dropout, and batch normalisation with
        ImageNet's statistics. Trained stages keep these statistics too (scale and shift are
        trained), since small batches would estimate them worse, unless `update_batch_norm`.

        Args:
            first_stage: counted from the pixels; negative counts from the grid (-1: only the last).

        Raises:
            ValueError: there is no such stage.
        """
        stages = self.stages()
        if first_stage is not None and not -len(stages) <= first_stage < len(stages):
            raise ValueError(f"first_stage must be in {-len(stages)}..{len(stages) - 1}")
        self.requires_grad_(False)
        self._trained = [] if first_stage is None else stages[first_stage:]
        self._update_batch_norm = update_batch_norm
        for stage in self._trained:
            stage.requires_grad_(True)
        return self.train(self.training)

    def train(self, mode: bool = True) -> Self:
        """Set training mode where `tune` allows it; frozen parts stay in evaluation."""
        super().train(False)
        self.training = mode
        for stage in self._trained if mode else ():
            stage.train()
            if not self._update_batch_norm:
                for module in stage.modules():
                    if isinstance(module, _BatchNorm):
                        module.eval()
        return self

    @property
    def frozen(self) -> bool:
        """Whether no parameter is trained, so that features may be computed once and cached."""
        return not self._trained


class _TimmTrunk(nn.Module):
    """A timm network up to its last grid."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, pixels: Tensor) -> Tensor:
        grid: Tensor = self.network.forward_features(pixels)  # type: ignore[operator]
        return grid


def _timm(name: str, pretrained: bool) -> nn.Module:
    if not timm.is_model(name):
        raise ValueError(f"timm has no network {name!r}: choose one from timm.list_models()")
    return _TimmTrunk(timm.create_model(name, pretrained=pretrained, num_classes=0))


def _torchvision(name: str, pretrained: bool) -> nn.Module:
    if name not in torchvision.models.list_models(module=torchvision.models):
        raise ValueError(
            f"torchvision has no network {name!r}: choose one from torchvision.models.list_models()"
        )
    options = {"init_weights": True} if name in ("googlenet", "inception_v3") else {}
    network = torchvision.models.get_model(
        name, weights="DEFAULT" if pretrained else None, **options
    )
    features = getattr(network, "features", None)
    if isinstance(features, nn.Module):
        return features
    return nn.Sequential(
        OrderedDict(
            (child_name, child)
            for child_name, child in network.named_children()
            if child_name not in _AFTER_THE_GRID and "aux" not in child_name.lower()
        )
    )


def _probe(trunk: nn.Module, name: str) -> tuple[int, list[nn.Module]]:
    """Run a blank picture to find the number of features and the stages that are used.

    Some networks have modules after the grid (MobileNetV3's last convolution, say).
    """
    trunk.eval()
    stages, ran = list(_stages(trunk)), set[nn.Module]()
    hooks = [stage.register_forward_hook(lambda stage, *_: ran.add(stage)) for stage in stages]
    try:
        with torch.inference_mode():
            grid = trunk(torch.zeros(1, 3, 96, 96))
    except (AssertionError, AttributeError, RuntimeError, TypeError) as error:
        raise ValueError(f"{name} has no grid of features: choose a CNN ({error})") from error
    finally:
        for hook in hooks:
            hook.remove()
    # A square picture has a square grid, unless the channels come last (Swin).
    if grid.ndim != 4 or grid.shape[2] != grid.shape[3]:
        raise ValueError(f"{name} has no grid of features, but {tuple(grid.shape)}: choose a CNN")
    return int(grid.shape[1]), [stage for stage in stages if stage in ran]


def _stages(module: nn.Module) -> Iterator[nn.Module]:
    """Yield children in order, and those of lists of repeated blocks one by one."""
    for child in module.children():
        if isinstance(child, nn.Sequential | nn.ModuleList | _TimmTrunk) or (
            isinstance(module, _TimmTrunk)
        ):
            yield from _stages(child)
        elif next(child.parameters(), None) is not None:
            yield child
