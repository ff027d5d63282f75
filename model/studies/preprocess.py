"""Ways to preprocess pictures, each fitted on the training pictures alone.

With X the pictures as rows (pictures, values), after the mean picture is subtracted:

    covariance = X' X / pictures = U S U'
    decorrelated (PCA)   = X U           its covariance is S, which is diagonal
    whitened             = X U / sqrt(S + epsilon)    its covariance is the identity

Rotated back by U', reduced and whitened pictures can be looked at again.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

__all__ = ["METHODS", "Preprocessor", "Spread", "fit", "spread"]

METHODS = (
    "raw",
    "centred, mean picture",
    "centred, mean by channel",
    "scaled",
    "PCA",
    "whitened",
)
# Added to each variance, as a share of their mean: a value that never varies stays finite.
_EPSILON = 1e-3


@dataclass(frozen=True)
class Preprocessor:
    """A fitted method: (x - mean) @ matrix.

    Attributes:
        method: of `METHODS`.
        mean: (values,)
        matrix: (values, kept)
        back: (kept, values), what turns a result into something to look at.
    """

    method: str
    mean: Tensor
    matrix: Tensor
    back: Tensor

    def __call__(self, x: Tensor) -> Tensor:
        """Preprocess pictures: (pictures, values) -> (pictures, kept)."""
        return (x - self.mean) @ self.matrix

    def to_look_at(self, x: Tensor) -> Tensor:
        """Preprocess pictures, and rotate them back: (pictures, values)."""
        return self(x) @ self.back


def fit(method: str, x: Tensor, *, channels: int = 1, keep: float = 1.0) -> Preprocessor:
    """Fit a method.

    Args:
        method: of `METHODS`.
        x: training pictures (pictures, values); the channels of a pixel lie side by side.
        channels: of a pixel.
        keep: the share of the variance that PCA and whitening keep.

    Raises:
        ValueError: there is no such method.
    """
    values = x.shape[1]
    eye, mean = torch.eye(values, dtype=x.dtype), x.mean(dim=0)
    if method == "raw":
        return Preprocessor(method, torch.zeros_like(mean), eye, eye)
    if method == "centred, mean picture":
        return Preprocessor(method, mean, eye, eye)
    if method == "centred, mean by channel":
        by_channel = mean.view(-1, channels).mean(dim=0)
        return Preprocessor(method, by_channel.repeat(values // channels), eye, eye)
    centred = x - mean
    variances = centred.square().mean(dim=0)
    if method == "scaled":
        return Preprocessor(method, mean, torch.diag(_inverse_root(variances)), eye)
    if method not in METHODS:
        raise ValueError(f"unknown method {method!r}: choose from {', '.join(METHODS)}")
    along, rotation = torch.linalg.eigh(centred.T @ centred / len(x))  # in rising order
    along, rotation = along.flip(0).clamp(min=0), rotation.flip(1)
    kept = min(int((along.cumsum(0) < keep * along.sum()).sum()) + 1, values)
    rotation, along = rotation[:, :kept], along[:kept]
    matrix = rotation if method == "PCA" else rotation * _inverse_root(along)
    return Preprocessor(method, mean, matrix, rotation.T)


def _inverse_root(variances: Tensor) -> Tensor:
    return 1 / torch.sqrt(variances + _EPSILON * variances.mean())


@dataclass(frozen=True)
class Spread:
    """How values of pictures are distributed.

    Attributes:
        mean: the largest mean of a value, without its sign.
        deviations: the smallest and the largest standard deviation of a value.
        correlation: the mean of the correlations of two values, without their signs.
        condition: the largest over the smallest eigenvalue of X' X / pictures, on whose root
            gradient descent depends; eigenvalues below a millionth of the largest are left out.
    """

    mean: float
    deviations: tuple[float, float]
    correlation: float
    condition: float


def spread(x: Tensor) -> Spread:
    """Measure pictures (pictures, values)."""
    centred = x - x.mean(dim=0)
    covariance = centred.T @ centred / len(x)
    deviations = covariance.diagonal().sqrt()
    alive = deviations > 1e-6 * deviations.max()
    scaled = covariance[alive][:, alive] / torch.outer(deviations[alive], deviations[alive])
    count = len(scaled)
    off = (scaled.abs().sum() - count) / max(count * (count - 1), 1)
    eigenvalues = torch.linalg.eigvalsh(x.T @ x / len(x))
    eigenvalues = eigenvalues[eigenvalues > 1e-6 * eigenvalues.max()]
    return Spread(
        float(x.mean(dim=0).abs().max()),
        (float(deviations.min()), float(deviations.max())),
        float(off),
        float(eigenvalues.max() / eigenvalues.min()),
    )
