"""`GET /models`: what is loaded, where it comes from and how good it is."""

from typing import TYPE_CHECKING, Any

from fastapi import APIRouter

from app.deps import EngineDep, error_responses
from app.schemas import CaptionerDetail, ModelList, ModelSummary, WriterDetail
from model.config import CaptionerConfig

if TYPE_CHECKING:
    from model.captioner import Captioner
    from model.language_model import LanguageModel

__all__ = ["router"]

router = APIRouter(prefix="/models", tags=["models"])


@router.get("", summary="List the loaded models", responses=error_responses(503))
async def list_models(engine: EngineDep) -> ModelList:
    """List what is loaded; `GET /models/{name}` says more of each."""
    return ModelList(models=[_summarise(model) for model in engine.models.all.values()])


@router.get("/{name}", summary="Show a model's card", responses=error_responses(404, 422, 503))
async def show_model(name: str, engine: EngineDep) -> CaptionerDetail | WriterDetail:
    """Show one model: its card, scores, provenance and defaults."""
    model = engine.models.find(name)
    config = model.config
    common: dict[str, Any] = _summarise(model).model_dump() | {
        "card": model.card,
        "scores": config.scores,
        "provenance": config.provenance,
    }
    if isinstance(config, CaptionerConfig):
        return CaptionerDetail(**common, decoding=config.decoding)
    return WriterDetail(
        **common,
        level=config.level,
        ends=config.ends,
        network=config.network,
        sampling=config.sampling,
    )


def _summarise(model: "Captioner | LanguageModel") -> ModelSummary:
    config = model.config
    return ModelSummary(
        name=config.name,
        kind=config.kind,
        version=config.version,
        device=str(model.device),
        parameters=sum(weights.numel() for weights in model.network.parameters()),
    )
