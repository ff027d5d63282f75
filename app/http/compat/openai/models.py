"""`GET /v1/models`: the models by name."""

import time

from fastapi import APIRouter

from app.http.compat.openai.schemas import ErrorBody, ListedModels, Model, error_responses
from app.http.deps import EngineDep

__all__ = ["router"]

router = APIRouter(tags=["OpenAI's API"])

_STARTED = int(time.time())


@router.get("/v1/models", summary="List the models (OpenAI)", responses=error_responses(503))
async def list_models(engine: EngineDep) -> ListedModels:
    """List the models. `GET /models` says more of each."""
    models = engine.models.all.values()
    return ListedModels(data=[_describe(m.config.name, m.config.kind) for m in models])


@router.get(
    "/v1/models/{model}",
    summary="Show a model (OpenAI)",
    responses={**error_responses(404, 503), "4XX": {"model": ErrorBody}},
)
async def show_model(model: str, engine: EngineDep) -> Model:
    """Show one model."""
    config = engine.models.find(model).config
    return _describe(config.name, config.kind)


@router.get("/readyz", summary="Are the models ready? (LocalAI)", responses=error_responses(503))
async def ready(engine: EngineDep) -> None:
    """Answer as LocalAI does, for tools that know a server of this API by that name."""
    _ = engine.models


def _describe(name: str, kind: str) -> Model:
    return Model.model_validate({"id": name, "created": _STARTED, "kind": kind})
