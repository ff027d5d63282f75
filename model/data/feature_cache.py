"""A cache on disk of a frozen encoder's features.

A frozen encoder computes the same grid for the same picture in every epoch, so it runs once. The
cache is a folder of small parts, each written whole or not at all, so that an interrupted run
continues where it stopped. The folder's name is a digest of everything that the features depend
on, so caches cannot be confused.
"""

import hashlib
import shutil
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from rich.filesize import decimal
from torch import Tensor

from model.data.augmentation import USUAL_CROPS, CropConfig, augment
from model.data.karpathy import CaptionDataset, Entry
from model.files import atomic_write
from model.networks.encoder import Encoder
from model.preprocessing import Preprocessing

__all__ = ["FeatureCache", "check_space"]

_FORMAT = 2  # raise it when pictures are read differently
_PART = 256  # pictures in a file: at 7 x 7 x 1280 in half precision, 32 MB


@dataclass(frozen=True)
class _Part:
    path: Path
    entries: Sequence[Entry]
    view: int


class FeatureCache:
    """The features of some pictures of one set, in half precision.

    `compute` must be called before any are read.

    Args:
        folder: of all caches.
        dataset, entries: the pictures.
        views: how many views of each picture (see `model.data.augmentation`).
        crops: how much its crops differ.
        encoder, preprocessing: compute the features; the encoder must be frozen.
        device, dtype: where and how it runs (bfloat16 is several times faster on some CPUs).

    Raises:
        ValueError: the encoder is not frozen.
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
        crops: CropConfig = USUAL_CROPS,
        device: torch.device | None = None,
        dtype: torch.dtype = torch.float32,
    ) -> None:
        if not encoder.frozen:
            raise ValueError(
                "only a frozen encoder's features can be cached: call encoder.tune(None)"
            )
        self.views = views
        self._dataset = dataset
        self._encoder, self._preprocessing = encoder, preprocessing
        self._device, self._dtype = device or torch.device("cpu"), dtype
        self._crops = crops
        settings = str(dtype)
        if views > 2 and crops != USUAL_CROPS:  # others depend on no crops, or on the usual ones
            settings += f" {crops}"
        digest = _digest(dataset, entries, encoder, preprocessing, settings)
        self._parts = [
            _Part(
                folder / digest / f"view{view}-{start:06d}.npy",
                entries[start : start + _PART],
                view,
            )
            for view in range(views)
            for start in range(0, len(entries), _PART)
        ]
        self._parts_per_view = len(self._parts) // views if views else 0

    @property
    def missing(self) -> int:
        """How many views of pictures must still be computed."""
        return sum(len(part.entries) for part in self._missing_parts())

    def missing_bytes(self) -> int:
        """Return the disk space that `compute` will take."""
        if not self.missing:
            return 0
        size = self._preprocessing.config.size
        with torch.inference_mode():
            grid = self._encoder.to(self._device)(
                torch.zeros(1, 3, size, size, device=self._device)
            )
        return self.missing * int(grid.numel()) * 2  # in half precision

    def compute(self, advance: Callable[[int], None] | None = None) -> None:
        """Compute the features that are not on disk yet.

        Args:
            advance: called after each part with the number of its pictures.
        """
        for part in self._missing_parts():
            _write(
                part,
                self._dataset,
                self._encoder.to(self._device),
                self._preprocessing,
                crops=self._crops,
                device=self._device,
                dtype=self._dtype,
            )
            if advance:
                advance(len(part.entries))

    def _missing_parts(self) -> list[_Part]:
        return [part for part in self._parts if not part.path.exists()]

    @cached_property
    def _arrays(self) -> list[npt.NDArray[np.float16]]:
        return [np.load(part.path, mmap_mode="r", allow_pickle=False) for part in self._parts]

    def __call__(self, indices: Sequence[int], views: Sequence[int]) -> Tensor:
        """Return the features of some views of some pictures.

        Returns:
            float16 (len(indices), rows, columns, channels)
        """
        rows: list[npt.NDArray[np.float16]] = [
            self._arrays[view * self._parts_per_view + index // _PART][index % _PART]
            for index, view in zip(indices, views, strict=True)
        ]
        return torch.from_numpy(np.stack(rows))


def check_space(folder: Path, needed: int) -> int:
    """Check that a folder's disk has room for so many bytes.

    Returns:
        The free bytes.

    Raises:
        OSError: it has not; the message says what to do.
    """
    there = next(path for path in (folder, *folder.absolute().parents) if path.exists())
    free = shutil.disk_usage(there).free
    if needed > free:
        raise OSError(
            f"the encoder's features take {decimal(needed)} in {folder}, where {decimal(free)} are "
            "free: make room, set the recipe's feature_cache to a folder on another disk, or lower "
            "its views"
        )
    return free


def _digest(
    dataset: CaptionDataset,
    entries: Sequence[Entry],
    encoder: Encoder,
    preprocessing: Preprocessing,
    settings: str,
) -> str:
    digest = hashlib.sha256(f"{_FORMAT} {asdict(preprocessing.config)} {settings} {_PART}".encode())
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
    crops: CropConfig,
    device: torch.device,
    dtype: torch.dtype,
    batch_size: int = 32,
) -> None:
    encoder.eval()
    grids = []
    for start in range(0, len(part.entries), batch_size):
        pictures = [
            augment(dataset.picture(entry), part.view, entry.filename, crops)
            for entry in part.entries[start : start + batch_size]
        ]
        pixels = torch.from_numpy(preprocessing(pictures))
        pixels = pixels.to(device, memory_format=torch.channels_last)
        with torch.autocast(device.type, dtype, enabled=dtype != torch.float32):
            grids.append(encoder(pixels).half().cpu().numpy())
    with atomic_write(part.path) as temporary, temporary.open("wb") as file:
        np.save(file, np.concatenate(grids), allow_pickle=False)
