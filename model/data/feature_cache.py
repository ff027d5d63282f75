"""A cache on disk of a frozen encoder's features.

A frozen encoder computes the same grid for the same picture in every epoch, so it runs once. The
cache is a folder of small parts, each written whole or not at all, so that an interrupted run
continues where it stopped. The folder's name is a digest of everything that the features depend
on, so caches cannot be confused.
"""

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from model.data.augmentation import augment
from model.data.karpathy import CaptionDataset, Entry
from model.files import atomic_write
from model.networks.encoder import Encoder
from model.preprocessing import Preprocessing

__all__ = ["FeatureCache", "Progress"]

_FORMAT = 2  # raise it when pictures are read differently
_PART = 256  # pictures in a file: at 7 x 7 x 1280 in half precision, 32 MB


# Called with the number of pictures encoded so far, and of all.
Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class _Part:
    path: Path
    entries: Sequence[Entry]
    view: int


class FeatureCache:
    """The features of some pictures of one set, in half precision.

    Args:
        folder: of all caches.
        dataset, entries: the pictures.
        views: how many views of each picture (see `model.data.augmentation`).
        encoder, preprocessing: compute the features; the encoder must be frozen.
        device, dtype: where and how it runs (bfloat16 is several times faster on some CPUs).
        progress: called after each part.
    """

    def __init__(
        self,
        folder: Path,
        dataset: CaptionDataset,
        entries: Sequence[Entry],
        *,
        encoder: Encoder,
        preprocessing: Preprocessing,
        views: int = 1,
        device: torch.device | None = None,
        dtype: torch.dtype = torch.float32,
        progress: Progress | None = None,
    ) -> None:
        if not encoder.frozen:
            raise ValueError(
                "only a frozen encoder's features can be cached: call encoder.tune(None)"
            )
        self.views = views
        device = device or torch.device("cpu")
        digest = _digest(dataset, entries, encoder, preprocessing, dtype)
        parts = [
            _Part(
                folder / digest / f"view{view}-{start:06d}.npy",
                entries[start : start + _PART],
                view,
            )
            for view in range(views)
            for start in range(0, len(entries), _PART)
        ]
        done, total = 0, views * len(entries)
        for part in parts:
            if not part.path.exists():
                _write(part, dataset, encoder.to(device), preprocessing, device=device, dtype=dtype)
            done += len(part.entries)
            if progress:
                progress(done, total)
        self._parts = [np.load(part.path, mmap_mode="r", allow_pickle=False) for part in parts]
        self._parts_per_view = len(parts) // views if views else 0

    def __call__(self, indices: Sequence[int], views: Sequence[int]) -> Tensor:
        """Return the features of some views of some pictures.

        Returns:
            float16 (len(indices), rows, columns, channels)
        """
        rows: list[npt.NDArray[np.float16]] = [
            self._parts[view * self._parts_per_view + index // _PART][index % _PART]
            for index, view in zip(indices, views, strict=True)
        ]
        return torch.from_numpy(np.stack(rows))


def _digest(
    dataset: CaptionDataset,
    entries: Sequence[Entry],
    encoder: Encoder,
    preprocessing: Preprocessing,
    dtype: torch.dtype,
) -> str:
    digest = hashlib.sha256(f"{_FORMAT} {asdict(preprocessing.config)} {dtype} {_PART}".encode())
    for name, tensor in encoder.state_dict().items():
        digest.update(name.encode())
        digest.update(tensor.detach().cpu().float().numpy().tobytes())
    for entry in entries:
        digest.update(f"{entry.filename}\n".encode())
    return f"{dataset.name}-{digest.hexdigest()[:16]}"


@torch.inference_mode()
def _write(
    part: _Part,
    dataset: CaptionDataset,
    encoder: Encoder,
    preprocessing: Preprocessing,
    *,
    device: torch.device,
    dtype: torch.dtype,
    batch_size: int = 32,
) -> None:
    encoder.eval()
    grids = []
    for start in range(0, len(part.entries), batch_size):
        pictures = [
            augment(dataset.picture(entry), part.view, entry.filename)
            for entry in part.entries[start : start + batch_size]
        ]
        pixels = torch.from_numpy(preprocessing(pictures))
        pixels = pixels.to(device, memory_format=torch.channels_last)
        with torch.autocast(device.type, dtype, enabled=dtype != torch.float32):
            grids.append(encoder(pixels).half().cpu().numpy())
    with atomic_write(part.path) as temporary, temporary.open("wb") as file:
        np.save(file, np.concatenate(grids), allow_pickle=False)
