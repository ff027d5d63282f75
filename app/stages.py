"""What runs in threads, never in the event loop: load, decode, infer. Each is timed.

Knows pictures and the captioner; knows nothing of threads, queues or HTTP.
"""

from __future__ import annotations

import time
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

from app.bundles import captioner_folder
from app.images import decode_picture

if TYPE_CHECKING:
    from torch import Tensor

    from app.settings import Settings
    from model.captioner import Caption, Captioner
    from model.config import DecodingConfig

__all__ = ["Decoded", "Inferred", "decode", "infer", "load"]


@dataclass(frozen=True)
class Decoded:
    """A picture as the encoder expects it; times by `time.perf_counter`, in seconds."""

    pixels: Tensor
    width: int
    height: int
    format: str
    began: float
    ended: float


@dataclass(frozen=True)
class Inferred:
    """A picture's captions, best first; times by `time.perf_counter`, in seconds."""

    captions: list[Caption]
    began: float
    encoded: float
    ended: float


def load(settings: Settings) -> Captioner:
    """Load the captioner and have it caption a blank picture, so that the first is not slow.

    Raises:
        ValueError: the bundle cannot be used, or there is no such device.
    """
    # PyTorch takes seconds to import: that too belongs into the background.
    import torch  # noqa: PLC0415
    from PIL import Image  # noqa: PLC0415

    from model.captioner import Captioner  # noqa: PLC0415

    if settings.threads is not None:
        torch.set_num_threads(settings.threads)
    captioner = Captioner.load(captioner_folder(settings.weights), device=settings.device)
    captioner.caption([Image.new("RGB", (640, 480), "white")])
    return captioner


def decode(captioner: Captioner, data: bytes, max_pixels: int) -> Decoded:
    """Turn an untrusted file into the tensor that the encoder expects.

    Raises:
        PictureError: the bytes are no sound picture.
    """
    began = time.perf_counter()
    picture = decode_picture(data, max_pixels)
    pixels = captioner.prepare([picture.image])
    ended = time.perf_counter()
    return Decoded(pixels, picture.width, picture.height, picture.format, began, ended)


def infer(
    captioner: Captioner, pixels: Tensor, decoding: DecodingConfig, attention: bool
) -> Inferred:
    """Find one picture's captions."""
    began = time.perf_counter()
    grid = captioner.encode(pixels)
    if captioner.device.type != "cpu":
        import torch  # noqa: PLC0415

        # Let the GPU finish, so that time is put down to the stage that took it.
        torch.accelerator.synchronize(captioner.device)
    encoded = time.perf_counter()
    (captions,) = captioner.search(grid, **asdict(decoding), attention=attention)
    return Inferred(captions, began, encoded, time.perf_counter())
