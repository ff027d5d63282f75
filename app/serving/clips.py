"""Prepare the frames of a clip for the encoder, in a thread if that costs little."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from app.pictures.clips import DecodedClip, decode_clip, is_video, open_clip_upload
from app.serving.jobs import fits_thread
from model.pictures.cost import Cost
from model.preprocessing import resize

if TYPE_CHECKING:
    from model.captioning.captioner import Captioner
    from model.preprocessing import Pixels

__all__ = ["PreparedClip", "prepare_clip", "prepare_decoded_clip"]

# FFmpeg has too many decoders to be trusted in a thread, and to tell beforehand what they take.
_VIDEO_COST = Cost(30.0, 640e6)


@dataclass(frozen=True)
class PreparedClip:
    """A clip as the encoder expects it.

    Attributes:
        clip: what the file says of it and of its frames.
        pixels: of its frames, see `model.preprocessing`.
        seconds: how long it took to decode and prepare.
    """

    clip: DecodedClip
    pixels: Pixels
    seconds: float


def prepare_clip(
    captioner: Captioner, data: bytes, frames: int, max_pixels: int
) -> PreparedClip | Cost:
    """Decode frames of an untrusted file into the array that the encoder expects.

    Returns:
        The clip; or what it would cost to decode, if that is too much for a thread, which cannot be
        stopped.

    Raises:
        PictureError: the file is not a valid clip or picture.
    """
    if is_video(data):
        return _VIDEO_COST
    started = time.perf_counter()
    opened = open_clip_upload(data, frames, max_pixels)
    if not fits_thread(opened.cost):
        return opened.cost
    config = captioner.preprocessing.config
    clip = decode_clip(opened, lambda image: resize(image, config.size, config.resize))
    return prepare_decoded_clip(captioner, clip, started)


def prepare_decoded_clip(captioner: Captioner, clip: DecodedClip, started: float) -> PreparedClip:
    """Turn the frames of a clip into the array that the encoder expects."""
    pixels = captioner.prepare([frame.image for frame in clip.frames])
    return PreparedClip(clip, pixels, time.perf_counter() - started)
