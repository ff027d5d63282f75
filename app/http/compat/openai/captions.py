"""The pictures of a conversation, captioned."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass

from anyio import to_thread
from fastapi import Request
from structlog.contextvars import bind_contextvars

from app.errors import EmptyBody, InvalidParameter
from app.http.compat.fetch import fetch_picture
from app.http.disconnect import cancel_on_disconnect
from app.http.uploads import check_picture, from_base64
from app.serving.engine import Engine
from app.serving.results import CaptionedPicture
from app.settings import Settings
from model.captioning.captioner import Captioner
from model.config import DecodingConfig

__all__ = ["CaptionOptions", "caption_pictures"]

_MAX_PICTURES = 16

# Pictures of one request in flight at once: more would leave no room for other requests.
_AT_ONCE = 4


@dataclass(frozen=True)
class CaptionOptions:
    """What a request says of how its pictures are captioned.

    Attributes:
        n: captions of each picture.
        temperature: above 0, captions are drawn; otherwise the likeliest are searched for.
        top_p: with a temperature, see `DecodingConfig`.
        seed: with a temperature: the same one draws the same captions.
        max_tokens: most tokens of a caption; None leaves the bundle's own.
        top_logprobs: how many of the likeliest tokens to report at each place.
        tags: whether tags are wanted, if the captioner has a word detector.
    """

    n: int = 1
    temperature: float | None = None
    top_p: float | None = None
    seed: int | None = None
    max_tokens: int | None = None
    top_logprobs: int = 0
    tags: bool = False

    def decoding(self, default: DecodingConfig) -> DecodingConfig:
        """Merge these into a captioner's own options.

        Raises:
            InvalidParameter: an option is out of range.
        """
        max_length = default.max_length
        if self.max_tokens is not None:
            max_length = min(max_length, self.max_tokens)
        try:
            if not self.temperature:
                beam_size = max(default.beam_size, self.n)
                return default.merge(
                    num_captions=self.n, beam_size=beam_size, max_length=max_length
                )
            return default.merge(
                num_captions=self.n,
                temperature=self.temperature,
                top_p=self.top_p,
                seed=self.seed,
                max_length=max_length,
            )
        except ValueError as error:
            raise InvalidParameter(str(error)) from error


async def caption_pictures(
    request: Request,
    engine: Engine,
    captioner: Captioner,
    urls: Sequence[str],
    options: CaptionOptions,
) -> list[CaptionedPicture]:
    """Caption the pictures at these URLs, in their order.

    Raises:
        InvalidParameter: there are too many, or an option is out of range.
        Overloaded, DeadlineExceeded, PictureError: as in `Engine.caption`.
    """
    if len(urls) > _MAX_PICTURES:
        raise InvalidParameter(
            f"{len(urls)} pictures are too many: a request may have {_MAX_PICTURES}"
        )
    decoding = options.decoding(captioner.config.decoding)
    bind_contextvars(pictures=len(urls), beam_size=decoding.beam_size)
    places = asyncio.Semaphore(_AT_ONCE)

    async def caption(url: str) -> CaptionedPicture:
        async with places:
            data = await _read(url, engine.settings)
            return await engine.caption(
                captioner,
                data,
                decoding,
                top_logprobs=options.top_logprobs,
                tags=options.tags and captioner.has_tags,
            )

    async def caption_all() -> list[CaptionedPicture]:
        tasks = [asyncio.create_task(caption(url)) for url in urls]
        try:
            return await asyncio.gather(*tasks)
        finally:  # after an error, for the others
            for task in tasks:
                task.cancel()

    return await cancel_on_disconnect(request, caption_all())


async def _read(url: str, settings: Settings) -> bytes:
    """Return the bytes of a picture: of a data URI, of base64 alone, or fetched.

    Raises:
        MalformedBody: the base64 is broken.
        EmptyBody: there is nothing.
        BodyTooLarge: as in `check_picture`.
        FetchRefused, FetchFailed: as in `fetch_picture`.
    """
    if url[:8].lower().startswith(("http://", "https://")):
        return await fetch_picture(url, settings)
    data = await to_thread.run_sync(from_base64, url)
    if not data:
        raise EmptyBody("`image_url` holds no picture: send a data URI, data:image/jpeg;base64,...")
    return check_picture(data, settings.max_upload_bytes)
