"""`POST /caption`: a picture in, its most likely captions out."""

from collections import Counter
from typing import Annotated, Any

from fastapi import APIRouter, Query, Request
from structlog.contextvars import bind_contextvars

from app.errors import InvalidParameter
from app.http.deps import EngineDep, RequestId, SettingsDep, error_responses
from app.http.disconnect import cancel_on_disconnect
from app.http.schemas.captions import (
    CaptionParameters,
    CaptionResponse,
    CaptionResult,
    PictureInfo,
    TagResult,
    TimingResult,
    TraceResult,
)
from app.http.uploads import JsonUpload, read_upload
from model.captioning.wording import reword, reword_tags
from model.seeds import draw_seed

__all__ = ["router"]

router = APIRouter(tags=["captions"])

_BINARY = {"schema": {"type": "string", "format": "binary"}}

_BODY: dict[str, Any] = {
    "required": True,
    "description": "One picture: JPEG, PNG, WebP, GIF (first frame), BMP, TIFF or AVIF.",
    "content": {
        "multipart/form-data": {
            "schema": {
                "type": "object",
                "required": ["image"],
                "additionalProperties": False,
                "properties": {"image": {**_BINARY["schema"], "description": "The picture file."}},
            }
        },
        "image/*": _BINARY,
        "application/octet-stream": _BINARY,
        "application/json": {"schema": JsonUpload.model_json_schema()},
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
) -> CaptionResponse:
    """Caption a picture, with the log-probability of every caption and every word.

    Send the picture as the file `image` of a multipart form, as raw bytes, or as base64 in JSON.
    """
    captioner = engine.models.find_captioner()
    config = captioner.config
    _refuse_repeated(request)
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
    data = await read_upload(request, settings.max_upload_bytes)
    bind_contextvars(bytes=len(data))
    captioned = await cancel_on_disconnect(
        request,
        engine.caption(
            captioner,
            data,
            decoding,
            attention=parameters.attention,
            image_gain=parameters.image_gain,
            top_logprobs=parameters.top_logprobs,
            tags=parameters.tags,
            trace=parameters.trace,
        ),
    )
    bind_contextvars(picture=f"{captioned.width}x{captioned.height} {captioned.format}")
    return CaptionResponse(
        model=config.name,
        model_version=config.version,
        request_id=request_id,
        seed=decoding.seed,
        captions=[CaptionResult.model_validate(reword(one, wording)) for one in captioned.captions],
        tags=None
        if captioned.tags is None
        else [TagResult.model_validate(tag) for tag in reword_tags(captioned.tags, wording)],
        trace=None if captioned.trace is None else TraceResult.model_validate(captioned.trace),
        image=PictureInfo.model_validate(captioned),
        timing_ms=TimingResult.model_validate(captioned.timing),
    )


def _refuse_repeated(request: Request) -> None:
    """Refuse an option that is given twice: one of its values would be ignored."""
    counts = Counter(name for name, _ in request.query_params.multi_items())
    repeated = [name for name, count in counts.items() if count > 1 and name != "no_echo_words"]
    if repeated:
        raise InvalidParameter(f"{repeated[0]}: is given more than once: give it once")
