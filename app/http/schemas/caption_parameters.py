"""`POST /caption`: its parameters."""

from typing import Annotated, Any

from pydantic import ConfigDict, Field, create_model

from app.http.schemas.options import optional_fields
from model.captioning.caption import MOST_TOP_LOGPROBS
from model.captioning.wording import WordingConfig
from model.config import MOST_FRAMES, DecodingConfig

__all__ = ["CaptionParameters"]

_DECODING, _WORDING = optional_fields(DecodingConfig), optional_fields(WordingConfig)
_ConfigParameters: Any = create_model("_ConfigParameters", **_DECODING, **_WORDING)


class CaptionParameters(_ConfigParameters):  # type: ignore[misc] # made from configurations
    """Captioning options; those left out take the model's defaults, see `GET /models/{name}`."""

    model_config = ConfigDict(extra="forbid")

    attention: Annotated[
        bool, Field(description="Return for each token where in the picture the model looked.")
    ] = False
    image_gain: Annotated[
        bool,
        Field(
            description="Return for each token how much the picture raises its log-probability; "
            "needs a model with a mean picture."
        ),
    ] = False
    top_logprobs: Annotated[
        int,
        Field(
            ge=0,
            le=MOST_TOP_LOGPROBS,
            description="Return for each token this many of the likeliest ones at its place.",
        ),
    ] = 0
    tags: Annotated[
        bool,
        Field(
            description="Return words that the picture suggests, with their probabilities; needs a "
            "model with a calibrated word detector."
        ),
    ] = False
    overlay: Annotated[
        bool,
        Field(
            description="Return for each token of the best caption a picture of where the model "
            "looked."
        ),
    ] = False
    trace: Annotated[
        bool,
        Field(description="Return every step of the search; not with `temperature`."),
    ] = False

    frames: Annotated[
        int,
        Field(
            ge=1,
            le=MOST_FRAMES,
            description="Caption this many frames, spread over an animation, a film or the pages "
            "of a TIFF, and the whole of it; at most as many as the service is set to. 1: the "
            "first.",
        ),
    ] = 1

    def decoding(self) -> dict[str, Any]:
        """Return the changes to the model's `DecodingConfig`."""
        return {name: getattr(self, name) for name in _DECODING}

    def wording(self) -> WordingConfig:
        """Return how captions are put into words.

        Raises:
            ValueError: the options contradict each other.
        """
        return WordingConfig().merge(**{name: getattr(self, name) for name in _WORDING})
