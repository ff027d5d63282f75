"""`POST /score`: a text, with or without a picture, in; its log-probability out."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from anyio import to_thread
from fastapi import APIRouter, Request
from structlog.contextvars import bind_contextvars

from app.errors import (
    EmptyBody,
    InvalidParameter,
    MalformedBody,
    Unavailable,
    UnsupportedContentType,
)
from app.http.bodies import check_length, content_type, parse_json, read_body
from app.http.deps import EngineDep, NoQuery, RequestId, SettingsDep, error_responses
from app.http.disconnect import cancel_on_disconnect
from app.http.forms import read_form
from app.http.schemas.activations import GatesResult, UnitResult, rounded
from app.http.schemas.results import ModelTimingResult
from app.http.schemas.scores import ScoreRequest, ScoreResponse, TokenScore
from app.http.uploads import check_picture, from_base64
from app.serving.registry import ModelRegistry
from model.bundle.format import BundleError
from model.captioning.caption import MOST_TOP_LOGPROBS
from model.interpretation.caption_gates import caption_gates, caption_unit_name
from model.text.deltas import summarise

if TYPE_CHECKING:
    from collections.abc import Sequence

    from model.captioning.caption import Token
    from model.captioning.captioner import Captioner
    from model.captioning.scoring import CaptionStates
    from model.config import CaptionerConfig, TextConfig
    from model.text.scores import TextToken

__all__ = ["router"]

router = APIRouter(tags=["texts"], dependencies=[NoQuery])

_MAX_CAPTION_LENGTH = 1_000  # characters
_MAX_UNIT = 999_999  # more than any captioner has; which there are, the captioner says

_FORMS = (
    'send JSON {"text": ...}, with "image" for a caption, or a multipart form with the file '
    "`image` and the field `text`"
)

_BODY: dict[str, Any] = {
    "required": True,
    "description": "A text, and its picture if the text is a caption.",
    "content": {
        "application/json": {"schema": ScoreRequest.model_json_schema()},
        "multipart/form-data": {
            "schema": {
                "type": "object",
                "required": ["image", "text"],
                "additionalProperties": False,
                "properties": {
                    "image": {
                        "type": "string",
                        "format": "binary",
                        "description": "The picture file.",
                    },
                    "text": {"type": "string", "description": "What to score."},
                    "model": {"type": "string", "description": "The captioner's name."},
                    "top_logprobs": {
                        "type": "integer",
                        "minimum": 0,
                        "maximum": MOST_TOP_LOGPROBS,
                        "description": "How many of the likeliest tokens to return for each place.",
                    },
                    "unit": {
                        "type": "integer",
                        "minimum": 0,
                        "description": "A unit of the captioner whose gates to return.",
                    },
                },
            }
        },
    },
}


@router.post(
    "/score",
    summary="Score your own text",
    response_model_exclude_none=True,
    responses=error_responses(400, 404, 408, 413, 415, 422, 429, 503),
    openapi_extra={"requestBody": _BODY},
)
async def score(
    request: Request, engine: EngineDep, settings: SettingsDep, request_id: RequestId
) -> ScoreResponse:
    """Return the log-probability of a text, token by token.

    A language model scores a text; the captioner scores a caption of a picture, and shows the gates
    of one of its units if asked to.
    """
    models = engine.models
    body, picture = await _read(request)
    if picture is None:
        needless = {"top_logprobs": body.top_logprobs > 0, "unit": body.unit is not None}
        for name in (name for name, given in needless.items() if given):
            raise InvalidParameter(f"{name}: needs an image, whose caption is scored")
        _check_no_picture_needed(models, body.model)
        config: CaptionerConfig | TextConfig = models.find_language_model(body.model).config
        check_length("text", body.text, settings.max_text_length)
        bind_contextvars(model=config.name)
        language_model = await engine.language_model(config.name)
        _check_not_empty(await to_thread.run_sync(language_model.encode, body.text))
        score_, timing = await cancel_on_disconnect(
            request, engine.score(language_model, body.text)
        )
        scores = _summarise(score_.tokens) | {"bits_per_character": score_.bits_per_character}
    else:
        captioner = models.find_captioner(body.model)
        check_picture(picture, settings.max_upload_bytes)
        check_length("text", body.text, min(_MAX_CAPTION_LENGTH, settings.max_text_length))
        _check_not_empty(captioner.vocabulary.encode(body.text))
        bind_contextvars(model=captioner.config.name, bytes=len(picture))
        options = {"top_logprobs": body.top_logprobs}
        if body.unit is None:
            caption, timing = await cancel_on_disconnect(
                request, engine.score_caption(captioner, picture, body.text, **options)
            )
            scores = _summarise(caption.tokens)
        else:
            name = _unit_name(captioner, body.unit)
            (caption, states), timing = await cancel_on_disconnect(
                request, engine.score_caption_with_states(captioner, picture, body.text, **options)
            )
            unit = await to_thread.run_sync(_unit, models, states, body.unit, name)
            scores = _summarise(caption.tokens) | {"unit": unit}
        config = captioner.config
    return ScoreResponse(
        model=config.name,
        model_version=config.version,
        request_id=request_id,
        **scores,
        timing_ms=ModelTimingResult.model_validate(timing),
    )


def _unit_name(captioner: Captioner, unit: int) -> str:
    try:
        return caption_unit_name(captioner.config.decoder, unit)
    except ValueError as error:
        raise InvalidParameter(f"unit: {error}") from error


def _unit(models: ModelRegistry, states: CaptionStates, unit: int, name: str) -> UnitResult:
    """Compute what a unit of the captioner did while it read a caption."""
    config = models.find_captioner().config
    assert models.captioner_folder is not None  # noqa: S101 - there is a captioner
    try:
        gates = caption_gates(models.captioner_folder, config.decoder, states, unit)
    except BundleError as error:  # its file was damaged after the start
        raise Unavailable(f"the weights of {config.name!r} cannot be read", 60) from error
    return UnitResult(
        unit=unit,
        name=name,
        direction=None,
        score=None,
        activations=rounded(np.tanh(gates.c)),
        gates=GatesResult.of(gates),
    )


def _summarise(tokens: Sequence[Token | TextToken]) -> dict[str, Any]:
    token_scores = [TokenScore.model_validate(token) for token in tokens]
    return {"tokens": token_scores, **summarise([token.logprob for token in tokens])}


def _check_not_empty(tokens: Sequence[int]) -> None:
    if not tokens:
        raise InvalidParameter("text: has no word to score: send at least one")


def _check_no_picture_needed(models: ModelRegistry, name: str | None) -> None:
    captioner = models.captioner
    if captioner is not None and (
        name == captioner.config.name or not (name or models.language_models)
    ):
        raise InvalidParameter(
            f"image: is required, because {captioner.config.name!r} scores captions of pictures"
        )


async def _read(request: Request) -> tuple[ScoreRequest, bytes | None]:
    kind = content_type(request)
    if kind == "multipart/form-data":
        data, fields = await read_form(request, ("text", "model", "top_logprobs", "unit"))
        if "text" not in fields:
            raise MalformedBody("the form needs a field `text`: curl -F text='a cat' ...")
        name = fields.get("model")
        if name is not None and len(name) > 64:
            raise InvalidParameter("model: a name has at most 64 characters")
        unit = fields.get("unit")
        return (
            ScoreRequest(
                model=name,
                text=fields["text"],
                top_logprobs=_whole(
                    "top_logprobs", fields.get("top_logprobs", "0"), MOST_TOP_LOGPROBS
                ),
                unit=None if unit is None else _whole("unit", unit, _MAX_UNIT),
            ),
            data,
        )
    if kind and kind != "application/json":
        raise UnsupportedContentType(f"{kind!r} is not supported: {_FORMS}")
    content = await read_body(request)
    if not content:
        raise EmptyBody(f"the request has no body: {_FORMS}")
    if not kind:
        raise UnsupportedContentType(f"the request has no Content-Type: {_FORMS}")
    return await to_thread.run_sync(_parse, content)


def _whole(name: str, value: str, most: int) -> int:
    """Read a whole number from a form."""
    if value.isascii() and value.isdigit() and len(value) < 10 and int(value) <= most:
        return int(value)
    raise InvalidParameter(f"{name}: must be a whole number from 0 to {most:,}")


def _parse(content: bytes) -> tuple[ScoreRequest, bytes | None]:
    body = parse_json(content, ScoreRequest)
    return body, None if body.image is None else from_base64(body.image)
