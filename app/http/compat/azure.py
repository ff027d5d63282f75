"""The APIs of Azure's Image Analysis, 4.0 and 3.2, as far as captions and tags go."""

import math
from collections.abc import Collection
from dataclasses import dataclass
from typing import Annotated

from fastapi import APIRouter, Query, Request
from structlog.contextvars import bind_contextvars

from app.errors import InvalidParameter
from app.http.bodies import content_type
from app.http.compat.azure_schemas import (
    BODY,
    AnalyzeResponse,
    AzureCaption,
    AzureDenseCaption,
    AzureTag,
    BoundingBox,
    CaptionedTags,
    DenseCaptions,
    DescribeResponse,
    Description,
    ImageUrl,
    Size,
    SizeAndFormat,
    TagValues,
    azure_errors,
)
from app.http.compat.bodies import read_any_json, read_file
from app.http.compat.fetch import fetch_picture
from app.http.deps import EngineDep, RequestId
from app.http.disconnect import cancel_on_disconnect
from app.serving.engine import Engine
from app.serving.results import CaptionedPicture
from model.captioning.caption import Caption
from model.captioning.wording import WordingConfig, reword, reword_tags

__all__ = ["router"]

router = APIRouter(tags=["Azure Image Analysis"])

_CAPTIONS = {"caption", "densecaptions"}
_KNOWN_4 = {*_CAPTIONS, "tags", "objects", "people", "read", "smartcrops"}
_KNOWN_3 = {
    "adult", "brands", "categories", "color", "description", "faces", "imagetype", "objects",
    "tags",
}  # fmt: skip

# With 422, as which FastAPI documents bad parameters; `app.http.error_shapes` makes it a 400.
_STATUSES = (400, 403, 404, 408, 413, 415, 422, 429, 503)

Language = Annotated[str, Query(description="Only `en`.", examples=["en"])]
ModelVersion = Annotated[
    str, Query(alias="model-version", description="Ignored: there is one version.")
]


@router.post(
    "/computervision/imageanalysis:analyze",
    summary="Image Analysis 4.0: caption a picture and tag it",
    response_model_exclude_none=True,
    responses=azure_errors(*_STATUSES),
    openapi_extra=BODY,
)
async def analyze_4(
    *,
    request: Request,
    engine: EngineDep,
    features: Annotated[
        str,
        Query(
            description="`caption`, `denseCaptions` (one, of the whole picture) and `tags`, "
            "separated by commas. Azure's others are left out of the answer.",
            examples=["caption,tags"],
        ),
    ],
    language: Language = "en",
    gender_neutral: Annotated[
        bool,
        Query(alias="gender-neutral-caption", description="Say `person` for man and woman."),
    ] = False,
    api_version: Annotated[
        str, Query(alias="api-version", description="Ignored.", examples=["2024-02-01"])
    ] = "2024-02-01",
    model_version: ModelVersion = "latest",
) -> AnalyzeResponse:
    """Caption a picture, and tag it; clients of Azure's service only need another endpoint."""
    asked = _features(features, _KNOWN_4, {*_CAPTIONS, *_tags(engine)})
    answer = await _caption(request, engine, language, neutral=gender_neutral)
    picture = answer.picture
    response = AnalyzeResponse(
        modelVersion=answer.version, metadata=Size(width=picture.width, height=picture.height)
    )
    if "caption" in asked:
        response.captionResult = _azure_caption(answer.captions[0])
    if "densecaptions" in asked:
        whole = BoundingBox(x=0, y=0, w=picture.width, h=picture.height)
        best = _azure_caption(answer.captions[0])
        dense = AzureDenseCaption(text=best.text, confidence=best.confidence, boundingBox=whole)
        response.denseCaptionsResult = DenseCaptions(values=[dense])
    if "tags" in asked:
        response.tagsResult = TagValues(values=answer.tags)
    return response


@router.post(
    "/vision/v3.2/describe",
    summary="Image Analysis 3.2: caption a picture",
    responses=azure_errors(*_STATUSES),
    openapi_extra=BODY,
)
async def describe(
    *,
    request: Request,
    engine: EngineDep,
    request_id: RequestId,
    candidates: Annotated[
        int,
        Query(
            alias="maxCandidates",
            ge=1,
            le=10,
            description="Captions to return; a search finds at most as many as its beam holds.",
        ),
    ] = 1,
    language: Language = "en",
    model_version: ModelVersion = "latest",
) -> DescribeResponse:
    """Caption a picture; the tags are the words of the word detector."""
    answer = await _caption(request, engine, language, candidates=candidates)
    return answer.described(request_id)


@router.post(
    "/vision/v3.2/analyze",
    summary="Image Analysis 3.2: caption a picture and tag it",
    response_model_exclude_none=True,
    responses=azure_errors(*_STATUSES),
    openapi_extra=BODY,
)
async def analyze_3(
    *,
    request: Request,
    engine: EngineDep,
    request_id: RequestId,
    visual_features: Annotated[
        str,
        Query(
            alias="visualFeatures",
            description="`Description` and `Tags`, separated by commas. Azure's others are left "
            "out of the answer.",
            examples=["Description,Tags"],
        ),
    ],
    language: Language = "en",
    model_version: ModelVersion = "latest",
) -> CaptionedTags:
    """Caption a picture, and tag it."""
    asked = _features(visual_features, _KNOWN_3, {"description", *_tags(engine)})
    answer = await _caption(request, engine, language)
    described = answer.described(request_id)
    return CaptionedTags(
        description=described.description if "description" in asked else None,
        tags=answer.tags if "tags" in asked else None,
        requestId=described.requestId,
        metadata=described.metadata,
        modelVersion=described.modelVersion,
    )


@dataclass(frozen=True)
class _Answer:
    """A picture with its captions and tags, and the captioner's version."""

    picture: CaptionedPicture
    captions: list[Caption]
    tags: list[AzureTag]
    version: str

    def described(self, request_id: str) -> DescribeResponse:
        """Return it as 3.2 describes pictures."""
        picture = self.picture
        return DescribeResponse(
            description=Description(
                tags=[tag.name for tag in self.tags],
                captions=[_azure_caption(caption) for caption in self.captions],
            ),
            requestId=request_id,
            metadata=SizeAndFormat(
                width=picture.width, height=picture.height, format=picture.format.capitalize()
            ),
            modelVersion=self.version,
        )


async def _caption(
    request: Request, engine: Engine, language: str, *, neutral: bool = False, candidates: int = 1
) -> _Answer:
    captioner = engine.models.find_captioner()
    config, default = captioner.config, captioner.config.decoding
    if language.lower() != "en":
        raise InvalidParameter(f"language: {language[:20]!r} is not supported: captions are in en")
    decoding = default.merge(num_captions=candidates, beam_size=max(default.beam_size, candidates))
    engine.worker.refuse_if_full()
    data = await _read_picture(request, engine)
    captioned = await cancel_on_disconnect(
        request, engine.caption(captioner, data, decoding, tags=captioner.has_tags)
    )
    bind_contextvars(picture=f"{captioned.width}x{captioned.height} {captioned.format}")
    wording = WordingConfig(gender_neutral=neutral)
    return _Answer(
        captioned,
        [reword(caption, wording) for caption in captioned.captions],
        [
            AzureTag(name=tag.word, confidence=tag.probability)
            for tag in reword_tags(captioned.tags or (), wording)
        ],
        config.version,
    )


async def _read_picture(request: Request, engine: Engine) -> bytes:
    settings = engine.settings
    if content_type(request) == "application/json":
        url = (await read_any_json(request, ImageUrl)).url
        return await cancel_on_disconnect(request, fetch_picture(url, settings))
    return await read_file(request, settings.max_upload_bytes)


def _tags(engine: Engine) -> set[str]:
    """Return `tags` if the captioner has any: an empty list would say that there is nothing."""
    return {"tags"} if engine.models.find_captioner().has_tags else set()


def _features(text: str, known: Collection[str], supported: Collection[str]) -> set[str]:
    """Return which supported features are asked for, in small letters.

    Raises:
        InvalidParameter: one is not Azure's, or none is supported.
    """
    asked = {part.strip().lower() for part in text.split(",") if part.strip()}
    if unknown := sorted(asked - set(known)):
        raise InvalidParameter(f"features: {unknown[0][:40]!r} is not a feature of this API")
    if not asked & set(supported):
        raise InvalidParameter(
            f"features: none of them is supported here, ask for {' or '.join(sorted(supported))}"
        )
    return asked & set(supported)


def _azure_caption(caption: Caption) -> AzureCaption:
    """Return the calibrated confidence, or if there is none, the mean probability of the words."""
    confidence = caption.confidence
    if confidence is None:
        confidence = math.exp(caption.mean_logprob)
    return AzureCaption(text=caption.text, confidence=confidence)
