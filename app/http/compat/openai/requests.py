"""What the requests for chats, responses and completions have in common."""

from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from app.http.compat.openai.captions import CaptionOptions
from app.http.compat.openai.forms import ResponseFormat
from app.http.compat.openai.messages import Messages
from app.http.schemas.texts import Stops

__all__ = [
    "ANY_NAME",
    "PICTURE",
    "PROMPTS",
    "ChatRequest",
    "DrawingOptions",
    "Limit",
    "StreamOptions",
    "positive",
]

ANY_NAME = (
    "The captioner answers whatever the name, so that of a tool's default model does as well."
)

# A black pixel, for the examples.
PICTURE = "data:image/gif;base64,R0lGODlhAQABAIAAAP///wAAACwAAAAAAQABAAACAkQBADs="

PROMPTS = (
    "The captioner describes pictures and does nothing else. It does not read the prompt: a "
    "question, a request for another language or for the text in a picture is answered by the "
    "same caption. Only a request for JSON is met."
)

_LEAST_TOP_P = 1e-9  # keeps the likeliest word alone, as 0 means in OpenAI's API

Limit = Annotated[
    int | None,
    Field(ge=-1, description="Most tokens of a caption; a larger number than the model's is none."),
]


def positive(limit: int | None) -> int | None:
    """Return a limit; tools send 0 or -1 for none."""
    return limit if limit is not None and limit > 0 else None


class StreamOptions(BaseModel):
    """What a stream contains."""

    include_usage: bool | None = None


class DrawingOptions(BaseModel):
    """How captions are found. Parameters that are not listed are ignored."""

    temperature: Annotated[
        float | None,
        Field(
            ge=0,
            le=10,
            allow_inf_nan=False,
            description="Above 0, captions are drawn at this temperature and have no confidence. "
            "Without it, or with 0, the likeliest are searched for.",
        ),
    ] = None
    top_p: Annotated[
        float | None,
        Field(ge=0, le=1, allow_inf_nan=False, description="With `temperature`."),
        AfterValidator(lambda top_p: None if top_p is None else max(top_p, _LEAST_TOP_P)),
    ] = None
    seed: Annotated[
        int | None,
        Field(
            ge=-(2**63),
            lt=2**63,
            description="With `temperature`: the same seed draws the same captions.",
        ),
        AfterValidator(lambda seed: None if seed is None else seed % 2**63),
    ] = None

    def caption_options(self, **others: Any) -> CaptionOptions:
        """Return these with what else a request says, by its names in `CaptionOptions`."""
        return CaptionOptions(
            temperature=self.temperature, top_p=self.top_p, seed=self.seed, **others
        )


_EXAMPLE: dict[str, Any] = {
    "model": "gpt-4o",
    "messages": [
        {
            "role": "user",
            "content": [
                {"type": "text", "text": "Describe this picture."},
                {"type": "image_url", "image_url": {"url": PICTURE}},
            ],
        }
    ],
}


class ChatRequest(DrawingOptions):
    """A conversation with pictures, as OpenAI's chat completions API has it."""

    model_config = ConfigDict(json_schema_extra={"examples": [_EXAMPLE]})

    messages: Messages
    model: Annotated[str | None, Field(max_length=256, description=ANY_NAME)] = None
    n: Annotated[int | None, Field(ge=1, le=10, description="Number of captions.")] = None
    max_completion_tokens: Limit = None
    max_tokens: Limit = None
    logprobs: Annotated[
        bool | None, Field(description="Return the log-probability of every token.")
    ] = None
    top_logprobs: Annotated[
        int | None,
        Field(ge=0, le=20, description="With `logprobs`: as many of the likeliest tokens."),
    ] = None
    response_format: ResponseFormat | None = None
    stream: Annotated[bool | None, Field(description="Send server-sent events.")] = None
    stream_options: StreamOptions | None = None
    stop: Annotated[
        Stops | None, Field(description="Up to 4 strings that end a language model's text.")
    ] = None

    @property
    def most_tokens(self) -> int | None:
        """The limit on tokens, by whichever name."""
        return positive(self.max_completion_tokens or self.max_tokens)

    @property
    def streams_usage(self) -> bool:
        """Whether a stream ends with the usage."""
        return self.stream_options is not None and bool(self.stream_options.include_usage)
