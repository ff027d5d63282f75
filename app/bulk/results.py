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

__all__ = ["CaptionedFile", "FailedFile", "FileResult"]


@dataclass(frozen=True)
class CaptionedFile:
    """A picture file and its captions, best first; and its tags, if they were asked for."""

    path: Path
    captions: list[Caption]
    tags: tuple[Tag, ...] = ()

    def reworded(self, wording: WordingConfig) -> CaptionedFile:
        """Put each caption into words; one that is left empty loses its tokens, not its numbers."""
        captions = [reword(caption, wording) for caption in self.captions]
        return CaptionedFile(
            self.path,
            [one if one.text else replace(one, tokens=()) for one in captions],
            tuple(reword_tags(self.tags, wording)),
        )


@dataclass(frozen=True)
class FailedFile:
    """A path without captions, and the reason."""

    path: Path
    reason: str


FileResult = CaptionedFile | FailedFile
