"""`GET /health/live` and `GET /health/ready`, for monitoring."""

from fastapi import APIRouter

from app.http.deps import EngineDep, NoQuery, error_responses
from app.http.schemas.health import Health

__all__ = ["router"]

router = APIRouter(prefix="/health", tags=["health"], dependencies=[NoQuery])


@router.get("/live", summary="Is the process alive?", responses=error_responses(422))
async def live() -> Health:
    """Respond at once, whether or not the models are loaded."""
    return Health(status="live")


@router.get("/ready", summary="Are the models ready?", responses=error_responses(422, 503))
async def ready(engine: EngineDep) -> Health:
    """Respond with 503 until the models are loaded and warmed up, and from SIGTERM on."""
    engine.check_ready()
    return Health(status="ready")
