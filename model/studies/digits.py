"""Classify scikit-learn's handwritten digits with small dense networks.

1,797 pictures of 8 x 8 pixels, 0 to 16, of the digits 0 to 9 (Alpaydin and Kaynak 1998). They come
with scikit-learn, so that a study needs no download, and a network learns them in a second.
"""

import math
from dataclasses import dataclass, replace
from functools import cache

import torch
from sklearn.datasets import load_digits
from torch import Tensor, nn

__all__ = ["CLASSES", "PIXELS", "Digits", "Learning", "accuracy", "digits", "learn", "scaled"]

PIXELS, CLASSES = 64, 10
_TRAIN, _VALIDATION = 1_000, 297
_BATCH = 50


@dataclass(frozen=True)
class Digits:
    """Pictures (pictures, 64), float32, and what they show (pictures,)."""

    train: Tensor
    train_labels: Tensor
    validation: Tensor
    validation_labels: Tensor
    test: Tensor
    test_labels: Tensor


@dataclass(frozen=True)
class Learning:
    """A training run.

    Attributes:
        losses: the mean of each epoch, in nats; fewer than epochs if the loss was not finite.
        validation, test: the share of pictures classified rightly, at the end.
    """

    losses: tuple[float, ...]
    validation: float
    test: float

    @property
    def last_loss(self) -> float:
        """Return the loss of the last epoch; infinite if there is none."""
        return self.losses[-1] if self.losses else math.inf

    def epochs_to(self, loss: float) -> int | None:
        """Return after how many epochs the loss was at most `loss`; None: never."""
        return next((i for i, one in enumerate(self.losses, start=1) if one <= loss), None)


@cache
def digits() -> Digits:
    """Return the digits as they are (0 to 16): 1,000 to train on, 297 to choose by, 500 to test."""
    pictures, labels = load_digits(return_X_y=True)
    order = torch.randperm(len(labels), generator=torch.Generator().manual_seed(0))
    pictures, labels = torch.tensor(pictures).float()[order], torch.tensor(labels)[order]
    cuts = [_TRAIN, _TRAIN + _VALIDATION]
    parts = zip(pictures.tensor_split(cuts), labels.tensor_split(cuts), strict=True)
    return Digits(*(tensor for part in parts for tensor in part))


def learn(network: nn.Module, data: Digits, *, rate: float, epochs: int, seed: int) -> Learning:
    """Train a network by plain stochastic gradient descent, in batches of 50.

    Args:
        network: (pictures, 64) -> scores (pictures, 10); changed, and left in evaluation mode.
        data: see `Digits`.
        rate: the learning rate.
        epochs: how many.
        seed: of the order of the pictures.
    """
    chance = torch.Generator().manual_seed(seed)
    parameters = list(network.parameters())
    losses: list[float] = []
    network.train()
    for _ in range(epochs):
        total = 0.0
        for chosen in torch.split(torch.randperm(len(data.train), generator=chance), _BATCH):
            loss = nn.functional.cross_entropy(
                network(data.train[chosen]), data.train_labels[chosen]
            )
            gradients = torch.autograd.grad(loss, parameters)
            with torch.no_grad():
                for parameter, gradient in zip(parameters, gradients, strict=True):
                    parameter.sub_(gradient, alpha=rate)
            total += float(loss.detach()) * len(chosen) / len(data.train)
        if not math.isfinite(total):
            break
        losses.append(total)
    network.eval()
    return Learning(
        tuple(losses),
        accuracy(network, data.validation, data.validation_labels),
        accuracy(network, data.test, data.test_labels),
    )


def accuracy(network: nn.Module, pictures: Tensor, labels: Tensor) -> float:
    """Return the share of pictures for which the right class has the highest score."""
    with torch.no_grad():
        return float((network(pictures).argmax(-1) == labels).double().mean())


def scaled(data: Digits) -> Digits:
    """Bring the pixels to -1 to 1."""
    return replace(
        data,
        train=data.train / 8 - 1,
        validation=data.validation / 8 - 1,
        test=data.test / 8 - 1,
    )
