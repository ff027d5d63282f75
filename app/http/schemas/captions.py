"""`POST /caption`: its response, from what the engine found."""

import base64
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from app.http.schemas.results import Result
from app.http.schemas.tokens import TokenResult
from app.http.schemas.traces import TraceResult
from app.serving.results import CaptionedPicture, ServedClip
from model.captioning.caption import Caption
from model.captioning.tags import Tag
from model.captioning.word_kinds import WordKind
from model.captioning.wording import MAX_ALT_TEXT, WordingConfig, reword, reword_tags
from model.pictures.formats import FORMATS

__all__ = [
    "CaptionResponse",
    "CaptionResult",
    "CaptionsResponse",
    "FailedPicture",
    "FrameResult",
    "PictureFailure",
    "PictureInfo",
    "PictureResult",
    "TagResult",
    "TimingResult",
    "describe",
    "describe_clip",
]


class CaptionResult(Result):
    """A caption, with its log-probability and how confident the model is."""

    text: str
    alt_text: str | None = Field(
        None,
        max_length=MAX_ALT_TEXT,
        description="With `style` `alt`: the text as a sentence, for people who do not see the "
        "picture. Empty if its confidence is below `min_confidence`.",
    )
    logprob: float = Field(le=0, description="Sum of the tokens' log-probabilities.")
    mean_logprob: float = Field(le=0, description="`logprob` over the number of tokens.")
    finished: bool = Field(description="False if the caption was cut off at `max_length`.")
    confidence: float | None = Field(
        None,
        ge=0,
        le=1,
        description="The probability that the caption is good, as defined by the model's "
        "calibration (see `GET /models/{name}`). Absent if the caption was cut off or drawn, or is "
        "that of a whole clip, or the model has no calibration.",
    )
    agreement: float | None = Field(
        None,
        ge=0,
        le=1,
        description="How well the caption agrees with the words that people would use of the "
        "picture, by a regression on its features: the cosine of TF-IDF vectors. Absent if the "
        "model has no consensus reranker.",
    )
    tokens: list[TokenResult]


class TagResult(Result):
    """A word that the picture suggests."""

    word: str
    probability: float = Field(
        ge=0,
        le=1,
        description="The chance that at least one of five people who describe the picture uses it.",
    )
    kind: WordKind = Field(description="noun (a thing), verb (an action) or other (a colour, ...).")


class PictureInfo(Result):
    """The picture as it was captioned, upright."""

    width: int = Field(ge=1)
    height: int = Field(ge=1)
    format: str = Field(
        description="Pillow's name of the file's format: one of "
        + ", ".join(FORMATS)
        + "; of films MP4 or WebM.",
        examples=["JPEG"],
    )
    length: int | None = Field(
        None, ge=1, description="Of a clip: how many frames or pages the file has."
    )
    duration: float | None = Field(
        None, ge=0, description="Of a clip: its duration in seconds, if the file says."
    )


class TimingResult(Result):
    """Time taken by each stage, in milliseconds."""

    decode: float = Field(description="Decoding and preparing the picture.")
    queue: float = Field(description="Waiting for a free thread or for the model.")
    encode: float = Field(description="The CNN.")
    search: float = Field(description="The decoder: search or drawing.")
    total: float = Field(description="From the complete request to the captions.")


# The response of the shipped captioner to examples/chelsea.jpg.
_CAPTION_EXAMPLE: dict[str, Any] = {
    "model": "captioner",
    "model_version": "5",
    "request_id": "0d5b9d4ec41841369068e80fe55d1b73",
    "captions": [
        {
            "text": "a cat is sitting on top of a couch",
            "logprob": -3.091,
            "mean_logprob": -0.3091,
            "finished": True,
            "confidence": 0.666,
            "agreement": 0.528,
            "tokens": [
                {"token": "a", "logprob": -0.0602},
                {"token": "cat", "logprob": -0.2624},
                {"token": "is", "logprob": -0.2876},
                {"token": "sitting", "logprob": -0.5125},
                {"token": "on", "logprob": -0.0595},
                {"token": "top", "logprob": -0.5551},
                {"token": "of", "logprob": -0.0096},
                {"token": "a", "logprob": -0.0550},
                {"token": "couch", "logprob": -1.2864},
                {"token": "<END>", "logprob": -0.0027},
            ],
        }
    ],
    "image": {"width": 451, "height": 300, "format": "JPEG"},
    "timing_ms": {
        "decode": 3.39,
        "queue": 0.54,
        "encode": 22.17,
        "search": 25.46,
        "total": 51.56,
    },
}


class FrameResult(BaseModel):
    """A frame of a clip, and its captions, best first."""

    index: int = Field(ge=0, description="Its place among the clip's frames or pages, from 0.")
    seconds: float | None = Field(
        None, ge=0, description="When it begins; absent for pages and still pictures."
    )
    captions: list[CaptionResult]
    tags: list[TagResult] | None = Field(
        None, description="With `tags`: words that the frame suggests, likeliest first."
    )


class PictureResult(BaseModel):
    """A picture's captions, best first."""

    captions: list[CaptionResult] = Field(
        description="Of a clip those of its frames that fit all of them best; their "
        "log-probabilities are then means over the frames."
    )
    frames: list[FrameResult] | None = Field(
        None, description="Of films, and with `frames` above 1: the frames that were captioned."
    )
    tags: list[TagResult] | None = Field(
        None, description="With `tags`: words that the picture suggests, likeliest first."
    )
    trace: TraceResult | None = Field(None, description="With `trace`: how captions were found.")
    image: PictureInfo
    timing_ms: TimingResult


class PictureFailure(BaseModel):
    """Why a picture has no captions."""

    code: str
    message: str


class FailedPicture(BaseModel):
    """One of several pictures, which could not be captioned."""

    error: PictureFailure


class _Response(BaseModel):
    model_config = ConfigDict(protected_namespaces=())

    model: str
    model_version: str
    request_id: str
    seed: int | None = Field(
        None, description="Of captions that were drawn: with it, the same request draws them again."
    )


class CaptionResponse(PictureResult, _Response):  # fields of `_Response` come first
    """A picture's captions, best first."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [_CAPTION_EXAMPLE]}, protected_namespaces=()
    )


class CaptionsResponse(_Response):
    """The captions of several pictures, in the order in which they were sent."""

    results: list[PictureResult | FailedPicture]


def describe(
    captioned: CaptionedPicture, wording: WordingConfig, *, attention: bool
) -> dict[str, Any]:
    """Return the fields of a `PictureResult`, put into words.

    Args:
        captioned: what was found.
        wording: how to put it.
        attention: whether to return the attention's weights.
    """
    captions = [reword(one, wording) for one in captioned.captions]
    if captioned.overlays is not None and not attention:
        captions = [
            replace(one, tokens=tuple(replace(token, attention=None) for token in one.tokens))
            for one in captions
        ]
    results = [CaptionResult.model_validate(one) for one in captions]
    if captioned.overlays is not None:
        best = results[0]
        drawn = [
            token.model_copy(update={"overlay": base64.b64encode(png).decode()})
            for token, png in zip(best.tokens, captioned.overlays, strict=True)
        ]
        results[0] = best.model_copy(update={"tokens": drawn})
    return {
        "captions": results,
        "tags": _describe_tags(captioned.tags, wording),
        "trace": None if captioned.trace is None else TraceResult.model_validate(captioned.trace),
        "image": PictureInfo.model_validate(captioned),
        "timing_ms": TimingResult.model_validate(captioned.timing),
    }


def describe_clip(served: ServedClip, wording: WordingConfig) -> dict[str, Any]:
    """Return the fields of a `PictureResult` of a clip, put into words."""
    captioned, clip = served.captioned, served.clip
    nothing: list[list[Tag] | None] = [None] * len(clip.frames)
    frames = [
        FrameResult(
            index=frame.number,
            seconds=frame.seconds,
            captions=_describe_captions(captions, wording),
            tags=_describe_tags(tags, wording),
        )
        for frame, captions, tags in zip(
            clip.frames, captioned.frames, captioned.tags or nothing, strict=True
        )
    ]
    return {
        "captions": _describe_captions(captioned.captions, wording),
        "frames": frames,
        "image": PictureInfo.model_validate(clip),
        "timing_ms": TimingResult.model_validate(served.timing),
    }


def _describe_captions(captions: Sequence[Caption], wording: WordingConfig) -> list[CaptionResult]:
    return [CaptionResult.model_validate(reword(one, wording)) for one in captions]


def _describe_tags(tags: Sequence[Tag] | None, wording: WordingConfig) -> list[TagResult] | None:
    if tags is None:
        return None
    return [TagResult.model_validate(tag) for tag in reword_tags(tags, wording)]
