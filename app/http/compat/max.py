"""The API of IBM's MAX Image Caption Generator, so that what was built on it keeps working."""

import math
from typing import Any, Literal

from fastapi import APIRouter, Request
from pydantic import BaseModel, Field
from structlog.contextvars import bind_contextvars

from app.errors import UnsupportedContentType
from app.http.bodies import content_type
from app.http.deps import EngineDep, NoQuery, SettingsDep, error_responses
from app.http.disconnect import cancel_on_disconnect
from app.http.forms import read_form
from app.http.uploads import check_picture

__all__ = ["MaxError", "MaxMetadata", "MaxPrediction", "MaxPredictions", "router"]

router = APIRouter(prefix="/model", tags=["MAX Image Caption Generator"], dependencies=[NoQuery])

_CAPTIONS = 3  # as many as MAX has


class MaxPrediction(BaseModel):
    """A caption."""

    index: str = Field(description="Its rank, from 0.", examples=["0"])
    caption: str
    probability: float = Field(ge=0, le=1, description="Of the whole sentence: exp(`logprob`).")


class MaxPredictions(BaseModel):
    """The captions, best first."""

    status: Literal["ok"]
    predictions: list[MaxPrediction]


class MaxMetadata(BaseModel):
    """What the model is."""

    id: str
    name: str
    description: str
    type: str
    license: str
    source: str


class MaxError(BaseModel):
    """What is wrong."""

    status: Literal["error"]
    message: str


_FORM: dict[str, Any] = {
    "requestBody": {
        "required": True,
        "content": {
            "multipart/form-data": {
                "schema": {
                    "type": "object",
                    "required": ["image"],
                    "properties": {
                        "image": {
                            "type": "string",
                            "format": "binary",
                            "description": "The picture file.",
                        }
                    },
                }
            }
        },
    }
}


def _errors(*statuses: int) -> dict[int | str, dict[str, Any]]:
    documented = error_responses(*statuses)
    return {status: entry | {"model": MaxError} for status, entry in documented.items()}


@router.post(
    "/predict",
    summary="Caption a picture",
    responses=_errors(400, 404, 408, 413, 415, 422, 429, 503),
    openapi_extra=_FORM,
)
async def predict(request: Request, engine: EngineDep, settings: SettingsDep) -> MaxPredictions:
    """Return a picture's likeliest captions with their probabilities."""
    captioner = engine.models.find_captioner()
    decoding = captioner.config.decoding
    decoding = decoding.merge(num_captions=min(_CAPTIONS, decoding.beam_size))
    engine.worker.refuse_if_full()
    if content_type(request) != "multipart/form-data":
        raise UnsupportedContentType(
            "send a multipart form with the file `image`: curl -F image=@photo.jpg"
        )
    data, _ = await read_form(request)
    check_picture(data, settings.max_upload_bytes)
    captioned = await cancel_on_disconnect(request, engine.caption(captioner, data, decoding))
    bind_contextvars(picture=f"{captioned.width}x{captioned.height} {captioned.format}")
    predictions = [
        MaxPrediction(index=str(i), caption=one.text, probability=math.exp(one.logprob))
        for i, one in enumerate(captioned.captions)
    ]
    return MaxPredictions(status="ok", predictions=predictions)


@router.get("/metadata", summary="Describe the model", responses=_errors(404, 422, 503))
async def metadata(engine: EngineDep) -> MaxMetadata:
    """Describe the captioner."""
    config = engine.models.find_captioner().config
    return MaxMetadata(
        id=config.name,
        name=f"Unrolled {config.name}, version {config.version}",
        description=f"{config.encoder.name} and a decoder of {config.decoder.cell.upper()} cells",
        type="Image-to-Text Translation",
        license=str(config.provenance.get("licence", "")),
        source="GET /models/" + config.name,
    )
