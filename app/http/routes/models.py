"""`GET /models`: the models, where they come from and how good they are."""

from typing import TYPE_CHECKING, Any, cast

from fastapi import APIRouter

from app.http.deps import EngineDep, NoQuery, error_responses
from app.http.schemas.models import (
    CaptionerDetail,
    CaptionOption,
    LanguageModelDetail,
    ModelList,
    ModelSummary,
)
from model.config import CaptionerConfig

if TYPE_CHECKING:
    from app.serving.registry import ModelRegistry
    from model.bundle.read import Bundle
    from model.captioning.captioner import Captioner
    from model.config import TextConfig

__all__ = ["router"]

router = APIRouter(prefix="/models", tags=["models"], dependencies=[NoQuery])


@router.get("", summary="List the models", responses=error_responses(422, 503))
async def list_models(engine: EngineDep) -> ModelList:
    """List the models; `GET /models/{name}` has the details of each."""
    models = engine.models
    return ModelList(models=[_summarise(models, model) for model in models.all.values()])


@router.get("/{name}", summary="Show a model's card", responses=error_responses(404, 422, 503))
async def show_model(name: str, engine: EngineDep) -> CaptionerDetail | LanguageModelDetail:
    """Show one model: its card, scores, provenance and defaults."""
    models = engine.models
    model = models.find(name)
    config = model.config
    common: dict[str, Any] = _summarise(models, model).model_dump() | {
        "card": model.card,
        "scores": config.scores,
        "provenance": config.provenance,
    }
    if isinstance(config, CaptionerConfig):
        return CaptionerDetail(
            **common,
            decoder=config.decoder,
            decoding=config.decoding,
            supports=_supported(cast("Captioner", model)),
            consensus=config.consensus,
            calibration=config.calibration,
            tagging=config.tagging,
        )
    return LanguageModelDetail(
        **common,
        level=config.level,
        ends=config.ends,
        network=config.network,
        sampling=config.sampling,
    )


def _supported(captioner: "Captioner") -> list[CaptionOption]:
    has: dict[CaptionOption, bool] = {
        "consensus": captioner.has_consensus,
        "image_gain": captioner.has_image_gain,
        "tags": captioner.has_tags,
    }
    return [option for option, supported in has.items() if supported]


def _summarise(models: "ModelRegistry", model: "Captioner | Bundle[TextConfig]") -> ModelSummary:
    config, cache = model.config, models.cache
    loaded = config.name not in cache.bundles or config.name in cache.loaded
    return ModelSummary(
        name=config.name,
        kind=config.kind,
        version=config.version,
        device=cache.device,
        parameters=models.parameters[config.name],
        loaded=loaded,
    )
