"""`GET /health/live` and `/health/ready`, for whatever watches over the process."""

from fastapi import APIRouter

from app.http.deps import EngineDep, error_responses
from app.http.schemas.health import Health

__all__ = ["router"]

router = APIRouter(prefix="/health", tags=["health"])


@router.get("/live", summary="Is the process alive?")
async def live() -> Health:
    """Answer at once, whether or not the models are loaded."""
    return Health(status="live")


@router.get("/ready", summary="Can the models be used?", responses=error_responses(503))
async def ready(engine: EngineDep) -> Health:
    """Answer 503 until every model is loaded and has worked once."""
    _ = engine.models
    return Health(status="ready")
