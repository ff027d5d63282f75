"""`GET /health/live` and `/health/ready`, for whatever watches over the process."""

from fastapi import APIRouter

from app.deps import EngineDep, error_responses
from app.schemas import Health

__all__ = ["router"]

router = APIRouter(prefix="/health", tags=["health"])


@router.get("/live", summary="Is the process alive?")
async def live() -> Health:
    """Answer at once, whether or not the model is loaded."""
    return Health(status="live")


@router.get("/ready", summary="Can it caption?", responses=error_responses(503))
async def ready(engine: EngineDep) -> Health:
    """Answer 503 until the model is loaded and has captioned a picture."""
    _ = engine.captioner
    return Health(status="ready")
