"""`GET /version`: which version of what is running."""

import platform

from fastapi import APIRouter

from app.http.deps import EngineDep, NoQuery, error_responses
from app.http.schemas.version import ModelVersion, Version
from app.version import VERSION
from model.runtime.device import choose_precision

__all__ = ["router"]

router = APIRouter(tags=["operation"], dependencies=[NoQuery])


@router.get("/version", summary="What is running", responses=error_responses(422, 503))
async def version(engine: EngineDep) -> Version:
    """Show the version of the service, of its models, and what executes them."""
    models = engine.models
    return Version(
        version=VERSION,
        python=platform.python_version(),
        runtime=models.runtime,
        device=models.cache.device,
        precision=choose_precision(engine.settings.precision, models.cache.device),
        models=[
            ModelVersion(name=model.config.name, version=model.config.version)
            for model in models.all.values()
        ],
    )
