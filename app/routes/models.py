"""`GET /models`: what is loaded, where it comes from and how good it is."""

from typing import TYPE_CHECKING

from fastapi import APIRouter

from app.deps import EngineDep, error_responses
from app.errors import UnknownModel
from app.schemas import ModelDetail, ModelList, ModelSummary

if TYPE_CHECKING:
    from model.captioner import Captioner

__all__ = ["router"]

router = APIRouter(prefix="/models", tags=["models"])


@router.get("", summary="List the loaded models", responses=error_responses(503))
async def list_models(engine: EngineDep) -> ModelList:
    """List what is loaded; `GET /models/{name}` says more of each."""
    return ModelList(models=[_summarise(engine.captioner)])


@router.get("/{name}", summary="Show a model's card", responses=error_responses(404, 422, 503))
async def show_model(name: str, engine: EngineDep) -> ModelDetail:
    """Show one model: its card, scores, provenance and default decoding."""
    captioner = engine.captioner
    config = captioner.config
    if name != config.name:
        raise UnknownModel(f"no model {name!r} is loaded: there is {config.name!r}")
    return ModelDetail(
        **_summarise(captioner).model_dump(),
        card=captioner.card,
        scores=config.scores,
        provenance=config.provenance,
        decoding=config.decoding,
    )


def _summarise(captioner: "Captioner") -> ModelSummary:
    config = captioner.config
    return ModelSummary(
        name=config.name,
        kind=config.kind,
        version=config.version,
        device=str(captioner.device),
        parameters=sum(weights.numel() for weights in captioner.network.parameters()),
    )
