"""Caption clips in order, the frames of one together; a bad file does not stop the rest.

While the model works on one clip, threads read and decode the next.
"""

from __future__ import annotations

from contextlib import closing
from dataclasses import dataclass
from typing import TYPE_CHECKING

from app.bulk.files import MAX_THREADS, attempt, is_likely_noun
from app.bulk.prefetch import prefetch
from app.bulk.reading import max_file_bytes, read_file
from app.bulk.results import CaptionedFile, CaptionedFrame, FailedFile, FileResult
from app.cores import usable_cores
from app.pictures.clips import DecodedClip, decode_clip, open_clip_upload
from model.captioning.clip import CaptionedClip, caption_clip
from model.preprocessing import resize
from model.text.prefill import run_to_end

if TYPE_CHECKING:
    from collections.abc import Generator, Iterable
    from pathlib import Path

    from model.captioning.captioner import Captioner
    from model.captioning.tags import Tag
    from model.captioning.wording import WordingConfig
    from model.config import DecodingConfig

__all__ = ["caption_clips"]

_AHEAD = 4  # clips that are decoded beyond the one that the model works on


@dataclass(frozen=True)
class _Clip:
    path: Path
    decoded: DecodedClip


def caption_clips(
    captioner: Captioner,
    paths: Iterable[Path | FailedFile],
    decoding: DecodingConfig,
    *,
    frames: int,
    max_pixels: int,
    image_gain: bool = False,
    tags: bool = False,
    wording: WordingConfig | None = None,
) -> Generator[FileResult, None, None]:
    """Caption `frames` frames of each file and the whole of it; yield a result for each, in order.

    A picture is a clip of one frame. The other arguments are as in `caption_files`; with `tags`,
    results have the likely nouns of all frames. Close the generator to stop early.

    Raises:
        ValueError: the captioner lacks what `image_gain` or `tags` needs.
    """
    captioner.check_support(decoding, image_gain=image_gain, tags=tags)
    config = captioner.preprocessing.config

    def prepare(path: Path | FailedFile) -> _Clip | FailedFile:
        if isinstance(path, FailedFile):
            return path

        def decode() -> _Clip:
            data = read_file(path, max_file_bytes(max_pixels))
            opened = open_clip_upload(data, frames, max_pixels)
            shrink = lambda image: resize(image, config.size, config.resize)  # noqa: E731
            return _Clip(path, decode_clip(opened, shrink))

        return attempt(path, decode)

    prepared = prefetch(prepare, paths, threads=min(usable_cores(), MAX_THREADS), ahead=_AHEAD)
    with closing(prepared):
        for entry in prepared:
            if isinstance(entry, FailedFile):
                yield entry
                continue
            work = caption_clip(
                captioner,
                captioner.prepare([frame.image for frame in entry.decoded.frames]),
                decoding,
                weights=[frame.weight for frame in entry.decoded.frames],
                image_gain=image_gain,
                tags=tags,
            )
            result = _combine(entry, run_to_end(work))
            yield result if wording is None else result.reworded(wording)


def _combine(clip: _Clip, captioned: CaptionedClip) -> CaptionedFile:
    frames = tuple(
        CaptionedFrame(frame.number, frame.seconds, captions)
        for frame, captions in zip(clip.decoded.frames, captioned.frames, strict=True)
    )
    # What is in one of the frames is in the clip.
    likeliest: dict[str, Tag] = {}
    for tag in (tag for tags in captioned.tags or () for tag in tags if is_likely_noun(tag)):
        known = likeliest.get(tag.word)
        if known is None or tag.probability > known.probability:
            likeliest[tag.word] = tag
    nouns = sorted(likeliest.values(), key=lambda tag: tag.probability, reverse=True)
    return CaptionedFile(clip.path, captioned.captions, tuple(nouns), frames)
