"""`POST /score`: a text in, or a picture and a text; how likely the text is out."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from anyio import to_thread
from fastapi import APIRouter, Request
from structlog.contextvars import bind_contextvars

from app.errors import EmptyBody, InvalidParameter, MalformedBody, UnsupportedContentType
from app.http.bodies import check_length, content_type, parse_json
from app.http.deps import EngineDep, RequestId, SettingsDep, error_responses
from app.http.disconnect import cancel_on_disconnect
from app.http.schemas.texts import ModelTimingResult, ScoreRequest, ScoreResponse, TokenScore
from app.http.uploads import check_picture, from_base64, read_form
from app.serving.registry import ModelRegistry
from model.text.assembler import summarise

if TYPE_CHECKING:
    from collections.abc import Sequence

    from model.captioning.captioner import Token
    from model.config import CaptionerConfig, TextConfig
    from model.text.scores import TextToken

__all__ = ["router"]

router = APIRouter(tags=["texts"])

_LONGEST_CAPTION = 1_000  # characters

_FORMS = (
    'send JSON {"text": ...}, with "image" for a caption, or a multipart form with the file '
    "`image` and the field `text`"
)

_BODY: dict[str, Any] = {
    "required": True,
    "description": "A text, and the picture it is about if it is a caption.",
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
                },
            }
        },
    },
}


@router.post(
    "/score",
    summary="Score a text that you bring",
    response_model_exclude_none=True,
    responses=error_responses(400, 404, 413, 415, 422, 429, 503),
    openapi_extra={"requestBody": _BODY},
)
async def score(
    request: Request, engine: EngineDep, settings: SettingsDep, request_id: RequestId
) -> ScoreResponse:
    """Give the log-probability of a text, token by token.

    A model that writes text scores a text; the captioner scores a caption of a picture.
    """
    models = engine.models
    asked, picture = await _read(request)
    if picture is None:
        _need_no_picture(models, asked.model)
        config: CaptionerConfig | TextConfig = models.find_language_model(asked.model).config
        check_length("text", asked.text, settings.max_text_length)
        bind_contextvars(model=config.name)
        language_model = await engine.language_model(config.name)
        text, timing = await cancel_on_disconnect(request, engine.score(language_model, asked.text))
        scored = _sum(text.tokens) | {"bits_per_character": text.bits_per_character}
    else:
        captioner = models.find_captioner(asked.model)
        check_picture(picture, settings.max_upload_bytes)
        check_length("text", asked.text, min(_LONGEST_CAPTION, settings.max_text_length))
        bind_contextvars(model=captioner.config.name, bytes=len(picture))
        caption, timing = await cancel_on_disconnect(
            request, engine.score_caption(captioner, picture, asked.text)
        )
        scored = _sum(caption.tokens)
        config = captioner.config
    return ScoreResponse(
        model=config.name,
        model_version=config.version,
        request_id=request_id,
        **scored,
        timing_ms=ModelTimingResult.model_validate(timing),
    )


def _sum(tokens: Sequence[Token | TextToken]) -> dict[str, Any]:
    scored: list[TokenScore] = [TokenScore.model_validate(token) for token in tokens]
    return {"tokens": scored, **summarise([token.logprob for token in tokens])}


def _need_no_picture(models: ModelRegistry, name: str | None) -> None:
    captioner = models.captioner
    if captioner is not None and (
        name == captioner.config.name or not (name or models.language_models)
    ):
        raise InvalidParameter(
            f"image: is required, for {captioner.config.name!r} scores a text about a picture"
        )


async def _read(request: Request) -> tuple[ScoreRequest, bytes | None]:
    kind = content_type(request)
    if kind == "multipart/form-data":
        data, fields = await read_form(request, ("text", "model"))
        if "text" not in fields:
            raise MalformedBody("the form needs a field `text`: curl -F text='a cat' ...")
        name = fields.get("model")
        if name is not None and len(name) > 64:
            raise InvalidParameter("model: no name has more than 64 characters")
        return ScoreRequest(model=name, text=fields["text"]), data
    if kind and kind != "application/json":
        raise UnsupportedContentType(f"{kind!r} is not taken here: {_FORMS}")
    body = await request.body()
    if not body:
        raise EmptyBody(f"the request brings nothing: {_FORMS}")
    if not kind:
        raise UnsupportedContentType(f"the request has no Content-Type: {_FORMS}")
    return await to_thread.run_sync(_from_json, body)


def _from_json(body: bytes) -> tuple[ScoreRequest, bytes | None]:
    asked = parse_json(body, ScoreRequest)
    return asked, None if asked.image is None else from_base64(asked.image)
