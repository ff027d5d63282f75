"""The requests and answers of Ollama's API, as far as they mean anything here.

Clients send many fields for large models, such as `keep_alive` or `num_ctx`: unknown ones are
ignored, as Ollama does.
"""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from app.http.uploads import Base64Picture

__all__ = [
    "ChatRequest",
    "ChatResponse",
    "ErrorMessage",
    "GenerateRequest",
    "GenerateResponse",
    "Logprob",
    "Message",
    "ModelList",
    "Options",
    "RunningModels",
    "ShowRequest",
    "ShowResponse",
    "Version",
]

_PICTURE = "R0lGODlhAQABAIAAAP///wAAACwAAAAAAQABAAACAkQBADs="


class ErrorMessage(BaseModel):
    """What is wrong."""

    error: str


class Options(BaseModel):
    """Options of Ollama that are followed; others are ignored."""

    temperature: Annotated[
        float | None,
        Field(
            ge=0,
            le=10,
            allow_inf_nan=False,
            description="For a picture: below 1 the likeliest caption is searched for, from 1 on "
            "captions are drawn. For a text as in `POST /generate-text`.",
        ),
    ] = None
    seed: Annotated[
        int | None,
        Field(description="The same seed draws the same caption or text. Below 0: a random one."),
    ] = None
    num_predict: Annotated[
        int | None,
        Field(description="Most tokens; as many as allowed if it is more, or below 1."),
    ] = None
    top_k: Annotated[int | None, Field(ge=0, description="Draw from the likeliest k tokens.")] = (
        None
    )
    top_p: Annotated[
        float | None,
        Field(ge=0, le=1, description="Draw from the likeliest tokens that reach this together."),
    ] = None
    stop: Annotated[
        list[Annotated[str, Field(min_length=1, max_length=100)]] | None,
        BeforeValidator(lambda value: [value] if isinstance(value, str) else value),
        Field(max_length=16, description="Texts that end a text; captions never have them."),
    ] = None


class _Request(BaseModel):
    model: Annotated[
        str,
        Field(
            min_length=1,
            max_length=256,
            description="A name from `GET /api/tags`, with or without `:latest`. With a picture, "
            "any other name is the captioner's too.",
        ),
    ]
    options: Options | None = None
    format: Annotated[
        Literal["", "json"] | dict[str, Any] | None,
        Field(
            description='`"json"` or a JSON schema: the caption as JSON. With `"json"`, an example '
            "or a schema in the prompt is followed."
        ),
    ] = None
    stream: Annotated[bool | None, Field(description="Send lines of JSON; the default.")] = None
    keep_alive: Annotated[
        float | str | None, Field(description="Ignored, but for 0 without a prompt.")
    ] = None
    logprobs: Annotated[
        bool | None, Field(description="Return the log-probability of every token.")
    ] = None
    top_logprobs: Annotated[
        int | None,
        Field(ge=0, le=20, description="With `logprobs`: and of this many likeliest tokens."),
    ] = None


class GenerateRequest(_Request):
    """A picture to caption, or a prompt for a language model to continue."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "model": "captioner",
                    "prompt": "Describe the picture.",
                    "images": [_PICTURE],
                    "stream": False,
                },
                {
                    "model": "shakespeare",
                    "prompt": "ROMEO:",
                    "options": {"num_predict": 100, "seed": 1},
                },
            ]
        }
    )

    prompt: Annotated[
        str | None,
        Field(description="The text to continue; with a picture it changes nothing but JSON."),
    ] = None
    system: Annotated[str | None, Field(description="Ignored, but for JSON.")] = None
    images: Annotated[
        list[Base64Picture] | None,
        Field(description="Pictures: one caption for each, a line each."),
    ] = None


class Message(BaseModel):
    """A message of a conversation."""

    role: str = Field(examples=["user"])
    content: str | None = ""
    images: list[Base64Picture] | None = None


class ChatRequest(_Request):
    """A conversation, whose latest pictures are captioned."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "model": "captioner",
                    "messages": [
                        {"role": "user", "content": "What is this?", "images": [_PICTURE]}
                    ],
                    "format": {
                        "type": "object",
                        "properties": {"description": {"type": "string"}},
                        "required": ["description"],
                    },
                    "stream": False,
                }
            ]
        }
    )

    messages: list[Message] = Field(
        default_factory=list,
        description="The pictures after the last answer count, or else the latest ones.",
    )


class _TopLogprob(BaseModel):
    token: str
    logprob: float
    bytes: list[int]


class Logprob(_TopLogprob):
    """The log-probability of a token, and of the likeliest ones in its place."""

    top_logprobs: list[_TopLogprob] | None = None


class _Response(BaseModel):
    model: str = Field(description="The name that was asked for.")
    created_at: str
    done: bool = Field(description="Whether this is the last or only part.")
    done_reason: Literal["stop", "length", "load", "unload"] | None = None
    logprobs: list[Logprob] | None = None
    total_duration: int | None = Field(None, description="In nanoseconds, as all durations.")
    load_duration: int | None = None
    prompt_eval_count: int | None = Field(None, description="Tokens of the prompt, or pictures.")
    prompt_eval_duration: int | None = None
    eval_count: int | None = Field(None, description="Tokens written, end tokens included.")
    eval_duration: int | None = None


class GenerateResponse(_Response):
    """A caption or a text, or a part of it."""

    response: str


class ChatResponse(_Response):
    """An answer, or a part of it."""

    message: Message


class Version(BaseModel):
    """The version of Ollama whose API this is."""

    version: str


class _Details(BaseModel):
    parent_model: str = ""
    format: str
    family: str
    families: list[str]
    parameter_size: str = Field(examples=["13.2M"])
    quantization_level: str


class _Model(BaseModel):
    name: str
    model: str
    size: int = Field(description="Bytes of the weights in memory.")
    digest: str
    details: _Details


class _LocalModel(_Model):
    modified_at: str


class ModelList(BaseModel):
    """All models."""

    models: list[_LocalModel]


class _RunningModel(_Model):
    expires_at: str
    size_vram: int
    context_length: int


class RunningModels(BaseModel):
    """The models in memory."""

    models: list[_RunningModel]


class ShowRequest(BaseModel):
    """A model's name; `name` is what older clients call it."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"model": "captioner"}], "required": ["model"]}
    )

    model: str | None = Field(None, max_length=256)
    name: str | None = Field(None, max_length=256)


class ShowResponse(BaseModel):
    """What a model is."""

    license: str = ""
    modelfile: str
    parameters: str
    template: str
    details: _Details
    model_info: dict[str, Any]
    capabilities: list[Literal["completion", "vision"]]
    modified_at: str
