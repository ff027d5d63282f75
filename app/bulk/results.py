"""What becomes of each file: captions, or the reason why there are none."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

    from model.captioning.caption import Caption

__all__ = ["CaptionedFile", "FailedFile", "FileResult"]


@dataclass(frozen=True)
class CaptionedFile:
    """A picture file and its captions, best first."""

    path: Path
    captions: list[Caption]

    def without_weak(self, min_confidence: float) -> CaptionedFile:
        """Empty each caption whose confidence is lower, or unknown; its numbers stay."""
        captions = [
            caption
            if caption.confidence is not None and caption.confidence >= min_confidence
            else replace(caption, text="", tokens=())
            for caption in self.captions
        ]
        return CaptionedFile(self.path, captions)


@dataclass(frozen=True)
class FailedFile:
    """A path without captions, and the reason."""

    path: Path
    reason: str


FileResult = CaptionedFile | FailedFile
