"""What becomes of each file: captions, or the reason why there are none."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from model.captioning.wording import reword, reword_tags

if TYPE_CHECKING:
    from pathlib import Path

    from model.captioning.caption import Caption
    from model.captioning.tags import Tag
    from model.captioning.wording import WordingConfig

__all__ = ["CaptionedFile", "CaptionedFrame", "FailedFile", "FileResult"]


@dataclass(frozen=True)
class CaptionedFrame:
    """A frame of a clip and its captions, best first; `seconds` is None if it is a page."""

    number: int
    seconds: float | None
    captions: list[Caption]


@dataclass(frozen=True)
class CaptionedFile:
    """A picture file and its captions, best first; and its tags, if they were asked for.

    `frames` are those of a clip, whose captions are those of the whole.
    """

    path: Path
    captions: list[Caption]
    tags: tuple[Tag, ...] = ()
    frames: tuple[CaptionedFrame, ...] = ()

    def reworded(self, wording: WordingConfig) -> CaptionedFile:
        """Put each caption into words; one that is left empty loses its tokens, not its numbers."""
        return CaptionedFile(
            self.path,
            _reword(self.captions, wording),
            tuple(reword_tags(self.tags, wording)),
            tuple(replace(one, captions=_reword(one.captions, wording)) for one in self.frames),
        )


@dataclass(frozen=True)
class FailedFile:
    """A path without captions, and the reason."""

    path: Path
    reason: str


FileResult = CaptionedFile | FailedFile


def _reword(captions: list[Caption], wording: WordingConfig) -> list[Caption]:
    worded = [reword(caption, wording) for caption in captions]
    return [one if one.text else replace(one, tokens=()) for one in worded]
