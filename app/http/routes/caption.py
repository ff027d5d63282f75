"""`POST /caption`: a picture in, its most likely captions out."""

import asyncio
from collections import Counter
from collections.abc import Callable, Coroutine, Sequence
from typing import Annotated, Any

from fastapi import APIRouter, Query, Request
from structlog.contextvars import bind_contextvars

from app.errors import InvalidParameter, MalformedBody, ServiceError
from app.http.deps import EngineDep, RequestId, SettingsDep, error_responses
from app.http.disconnect import cancel_on_disconnect
from app.http.schemas.caption_parameters import CaptionParameters
from app.http.schemas.captions import (
    CaptionResponse,
    CaptionsResponse,
    FailedPicture,
    PictureFailure,
    PictureResult,
    describe,
    describe_clip,
)
from app.http.uploads import MAX_PICTURES, JsonUpload, JsonUploads, check_picture, read_uploads
from app.pictures.clips import is_video
from app.serving.results import CaptionedPicture, ServedClip
from app.settings import Settings
from model.seeds import draw_seed

__all__ = ["router"]

router = APIRouter(tags=["captions"])

_Captioned = CaptionedPicture | ServedClip

_AT_ONCE = 4  # pictures of one request in flight, so that it does not fill the queue

_BINARY = {"schema": {"type": "string", "format": "binary"}}

_BODY: dict[str, Any] = {
    "required": True,
    "description": "A picture, or several: JPEG, PNG, WebP, GIF, BMP, TIFF or AVIF; of animations "
    "the first frame, or as many as `frames` says. With the extra `video`, also MP4 and WebM.",
    "content": {
        "multipart/form-data": {
            "schema": {
                "type": "object",
                "required": ["image"],
                "additionalProperties": False,
                "properties": {
                    "image": {
                        **_BINARY["schema"],
                        "description": "The picture file; several fields of this name are up to "
                        f"{MAX_PICTURES} pictures.",
                    }
                },
            }
        },
        "image/*": _BINARY,
        "video/*": _BINARY,
        "application/octet-stream": _BINARY,
        "application/json": {
            "schema": {"anyOf": [one.model_json_schema() for one in (JsonUpload, JsonUploads)]}
        },
    },
}


@router.post(
    "/caption",
    summary="Caption a picture",
    response_model_exclude_none=True,
    responses=error_responses(400, 404, 408, 413, 415, 422, 429, 503),
    openapi_extra={"requestBody": _BODY},
)
async def caption(
    request: Request,
    parameters: Annotated[CaptionParameters, Query()],
    engine: EngineDep,
    settings: SettingsDep,
    request_id: RequestId,
) -> CaptionResponse | CaptionsResponse:
    """Caption a picture, with the log-probability of every caption and every word.

    Send the picture as the file `image` of a multipart form, as raw bytes, or as base64 in JSON.
    Several pictures, as several files `image` or as `images` in JSON, get `results`, one for each.
    With `frames`, so many frames of an animation, a film or the pages of a TIFF have captions, and
    `captions` are those that fit the whole of it best.
    """
    captioner = engine.models.find_captioner()
    config = captioner.config
    _refuse_repeated(request)
    _check_frames(parameters, settings)
    try:
        wording = parameters.wording()
        decoding = config.decoding.merge(**parameters.decoding())
        if decoding.sampled and decoding.seed is None:
            decoding = decoding.merge(seed=draw_seed())
        captioner.check_support(
            decoding,
            image_gain=parameters.image_gain,
            tags=parameters.tags,
            trace=parameters.trace,
            min_confidence=wording.min_confidence is not None,
        )
    except ValueError as error:
        raise InvalidParameter(str(error)) from error
    bind_contextvars(beam_size=decoding.beam_size)
    engine.worker.refuse_if_full()  # before the upload is read, so that refusing is cheap
    uploads = await read_uploads(request)
    sizes = [len(data) for data in uploads.pictures if isinstance(data, bytes)]
    bind_contextvars(bytes=sum(sizes))

    def caption_one(data: bytes | MalformedBody) -> Coroutine[Any, Any, _Captioned]:
        if isinstance(data, MalformedBody):
            raise data
        data = check_picture(data, settings.max_upload_bytes)
        if parameters.frames > 1 or is_video(data):
            _refuse_of_clips(parameters)
            return engine.caption_clip(
                captioner,
                data,
                decoding,
                frames=parameters.frames,
                attention=parameters.attention,
                image_gain=parameters.image_gain,
                top_logprobs=parameters.top_logprobs,
                tags=parameters.tags,
            )
        return engine.caption(
            captioner,
            data,
            decoding,
            attention=parameters.attention,
            image_gain=parameters.image_gain,
            top_logprobs=parameters.top_logprobs,
            tags=parameters.tags,
            trace=parameters.trace,
            overlay=parameters.overlay,
        )

    def put(captioned: _Captioned) -> dict[str, Any]:
        if isinstance(captioned, ServedClip):
            return describe_clip(captioned, wording)
        return describe(captioned, wording, attention=parameters.attention)

    shared: dict[str, Any] = {
        "model": config.name,
        "model_version": config.version,
        "request_id": request_id,
        "seed": decoding.seed,
    }
    if uploads.several:
        found = await cancel_on_disconnect(request, _each(caption_one, uploads.pictures))
        results = [
            FailedPicture(error=PictureFailure(code=one.code, message=one.message))
            if isinstance(one, ServiceError)
            else PictureResult(**put(one))
            for one in found
        ]
        return CaptionsResponse(**shared, results=results)
    captioned = await cancel_on_disconnect(request, caption_one(uploads.pictures[0]))
    described = put(captioned)
    info = described["image"]
    bind_contextvars(picture=f"{info.width}x{info.height} {info.format}")
    return CaptionResponse(**shared, **described)


async def _each(
    caption_one: Callable[[bytes | MalformedBody], Coroutine[Any, Any, _Captioned]],
    pictures: Sequence[bytes | MalformedBody],
) -> list[_Captioned | ServiceError]:
    """Caption pictures, a few at a time; one that fails does not lose the others."""
    places = asyncio.Semaphore(_AT_ONCE)

    async def attempt(data: bytes | MalformedBody) -> _Captioned | ServiceError:
        async with places:
            try:
                return await caption_one(data)
            except ServiceError as error:
                return error

    return await asyncio.gather(*map(attempt, pictures))


def _check_frames(parameters: CaptionParameters, settings: Settings) -> None:
    """Check that so many frames may be captioned, and that clips have what else is asked for."""
    if parameters.frames > settings.max_frames:
        raise InvalidParameter(f"frames: at most {settings.max_frames} are captioned here")
    if parameters.frames > 1:
        _refuse_of_clips(parameters)
        if parameters.min_confidence is not None:
            raise InvalidParameter(
                "min_confidence does not go with frames: the caption of a clip has no confidence, "
                "which is calibrated for pictures"
            )


def _refuse_of_clips(parameters: CaptionParameters) -> None:
    """Refuse what only pictures have."""
    if parameters.trace or parameters.overlay:
        raise InvalidParameter("trace and overlay are of pictures: leave them out for a clip")


def _refuse_repeated(request: Request) -> None:
    """Refuse an option that is given twice: one of its values would be ignored."""
    counts = Counter(name for name, _ in request.query_params.multi_items())
    repeated = [name for name, count in counts.items() if count > 1 and name != "no_echo_words"]
    if repeated:
        raise InvalidParameter(f"{repeated[0]}: is given more than once: give it once")
