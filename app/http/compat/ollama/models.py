"""`GET /api/version`, `/api/tags` and `/api/ps`, `POST /api/show`: which models there are."""

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from fastapi import APIRouter, Request

from app.errors import InvalidParameter
from app.http.bodies import json_body
from app.http.compat.bodies import read_any_json
from app.http.compat.ollama.documentation import error_messages
from app.http.compat.ollama.names import find_model
from app.http.compat.ollama.schemas import (
    ModelList,
    RunningModels,
    ShowRequest,
    ShowResponse,
    Version,
)
from app.http.deps import EngineDep, SettingsDep
from model.config import CaptionerConfig

if TYPE_CHECKING:
    from app.serving.registry import ModelRegistry
    from app.settings import Settings
    from model.bundle.read import Bundle
    from model.captioning.captioner import Captioner
    from model.config import TextConfig

    Model = Captioner | Bundle[TextConfig]

__all__ = ["router"]

router = APIRouter(prefix="/api", tags=["Ollama"])

# Clients ask it whether they can send schemas, pictures or `logprobs`.
_OLLAMA_VERSION = "0.12.11"

_STARTED = datetime.now(UTC).isoformat()  # bundles have no dates, but clients need one
_NEVER = datetime(9999, 1, 1, tzinfo=UTC).isoformat()

_BYTES_PER_PARAMETER = 4


@router.get("/version", summary="Show the version")
async def version() -> Version:
    """Return the version of Ollama whose API this is."""
    return Version(version=_OLLAMA_VERSION)


@router.get("/tags", summary="List the models", responses=error_messages(503))
async def tags(engine: EngineDep) -> ModelList:
    """List all models."""
    models = engine.models
    return ModelList.model_validate(
        {
            "models": [
                _summary(models, model) | {"modified_at": _STARTED} for model in models.all.values()
            ]
        }
    )


@router.get("/ps", summary="List the models in memory", responses=error_messages(503))
async def ps(engine: EngineDep, settings: SettingsDep) -> RunningModels:
    """List the models in memory; the captioner always is."""
    models = engine.models
    running = []
    for name, model in models.all.items():
        if isinstance(model.config, CaptionerConfig) or name in models.cache.loaded:
            summary = _summary(models, model)
            on_cpu = models.cache.device == "cpu"
            running.append(
                summary
                | {
                    "expires_at": _NEVER,
                    "size_vram": 0 if on_cpu else summary["size"],
                    "context_length": _context_length(model, settings),
                }
            )
    return RunningModels.model_validate({"models": running})


@router.post(
    "/show",
    summary="Show a model",
    responses=error_messages(400, 404, 408, 413, 503),
    openapi_extra=json_body(ShowRequest, "Which model."),
)
async def show(request: Request, engine: EngineDep, settings: SettingsDep) -> ShowResponse:
    """Show a model: its card as the model file, its size, and whether it sees pictures."""
    models = engine.models
    body = await read_any_json(request, ShowRequest)
    if not (name := body.model or body.name):
        raise InvalidParameter("model: is required")
    model = find_model(models, name)
    config = model.config
    family = _family(model)
    sees = isinstance(config, CaptionerConfig)
    return ShowResponse.model_validate(
        {
            "license": str(config.provenance.get("licence", "")),
            "modelfile": model.card,
            "parameters": "",
            "template": "{{ .Prompt }}",
            "details": _summary(models, model)["details"],
            "model_info": {
                "general.architecture": family,
                "general.basename": config.name,
                "general.version": config.version,
                "general.parameter_count": models.parameters[config.name],
                f"{family}.context_length": _context_length(model, settings),
            },
            "capabilities": ["completion", "vision"] if sees else ["completion"],
            "modified_at": _STARTED,
        }
    )


def _summary(models: "ModelRegistry", model: "Model") -> dict[str, Any]:
    config = model.config
    parameters, family = models.parameters[config.name], _family(model)
    return {
        "name": f"{config.name}:latest",
        "model": f"{config.name}:latest",
        "size": parameters * _BYTES_PER_PARAMETER,
        "digest": config.sha256.get("model.safetensors", ""),
        "details": {
            "format": "safetensors",
            "family": family,
            "families": [family],
            "parameter_size": f"{parameters / 1e6:.3g}M",
            "quantization_level": "F32",
        },
    }


def _family(model: "Model") -> str:
    config = model.config
    return "captioner" if isinstance(config, CaptionerConfig) else config.network.cell


def _context_length(model: "Model", settings: "Settings") -> int:
    """Return the most tokens of a caption; of a text, which has no end, of a prompt."""
    config = model.config
    if isinstance(config, CaptionerConfig):
        return config.decoding.max_length
    return settings.max_text_length
