"""What the engine returns: results, and how long each stage took."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from app.pictures.clips import DecodedClip
    from app.serving.jobs import CaptionJobResult, PreparedPicture
    from app.serving.worker import Admission
    from model.captioning.caption import Caption
    from model.captioning.clip import CaptionedClip
    from model.captioning.tags import Tag
    from model.decoding.search_trace import SearchTrace
    from model.text.deltas import TextDelta

__all__ = ["CaptionedPicture", "GenerationChunk", "ModelTiming", "ServedClip", "Timing"]


@dataclass(frozen=True)
class Timing:
    """The time taken by each stage of a caption request, in milliseconds.

    `decode` is from file to array, `queue` all waiting for a thread or for the model, `total` from
    the complete request to the captions.
    """

    decode: float
    queue: float
    encode: float
    search: float
    total: float

    @classmethod
    def of(cls, admitted: float, picture: PreparedPicture, result: CaptionJobResult) -> Timing:
        """Return the timing of a finished request that was admitted at this time."""
        seconds = {
            "decode": picture.ended - picture.started,
            "queue": picture.started - admitted + result.started - picture.ended,
            "encode": result.encoded - result.started,
            "search": result.ended - result.encoded,
            "total": result.ended - admitted,
        }
        return cls(**{stage: _milliseconds(duration) for stage, duration in seconds.items()})

    @classmethod
    def of_clip(cls, admitted: float, decoding: float, captioned: CaptionedClip) -> Timing:
        """Return the timing of a clip, admitted at this time, that took so long to decode."""
        total = time.perf_counter() - admitted
        encode, search = captioned.encode_seconds, captioned.search_seconds
        stages = (decoding, total - decoding - encode - search, encode, search, total)
        return cls(*map(_milliseconds, stages))


@dataclass(frozen=True)
class ModelTiming:
    """How long the model worked on a request, and how long the request took; in milliseconds."""

    model: float
    total: float

    @classmethod
    def of(cls, admission: Admission) -> ModelTiming:
        """Return the timing of a request so far."""
        return cls(
            _milliseconds(admission.model_seconds),
            _milliseconds(time.perf_counter() - admission.started),
        )


@dataclass(frozen=True)
class CaptionedPicture:
    """A picture's captions, best first, with the size of the upright picture.

    `tags` are words that it suggests, likeliest first, `trace` every step of the search, and
    `overlays` PNG files of where the captioner looked for each token of the best caption; all are
    None unless asked for.
    """

    captions: list[Caption]
    width: int
    height: int
    format: str
    timing: Timing
    tags: list[Tag] | None = None
    trace: SearchTrace | None = None
    overlays: list[bytes] | None = None


@dataclass(frozen=True)
class ServedClip:
    """The captions of a clip, and what its file says of it and of its frames."""

    captioned: CaptionedClip
    clip: DecodedClip
    timing: Timing


@dataclass(frozen=True)
class GenerationChunk:
    """The text deltas of one time slice, and the timing so far."""

    deltas: list[TextDelta]
    timing: ModelTiming


def _milliseconds(seconds: float) -> float:
    return round(1000 * seconds, 2)
