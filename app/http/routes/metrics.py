"""`GET /metrics`: the service's metrics, for Prometheus."""

import os
from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import Response
from prometheus_client import CollectorRegistry
from prometheus_client.exposition import choose_encoder
from prometheus_client.multiprocess import MultiProcessCollector

from app.http.deps import EngineDep, NoQuery, error_responses

__all__ = ["router"]

router = APIRouter(tags=["operation"], dependencies=[NoQuery])

_TEXT: dict[int | str, dict[str, Any]] = {
    200: {"description": "The metrics.", "content": {"text/plain": {}}}
}


@router.get(
    "/metrics",
    summary="Metrics for Prometheus",
    response_class=Response,
    responses={**_TEXT, **error_responses(422)},
)
async def metrics(request: Request, engine: EngineDep) -> Response:
    """Show the metrics as text, or as OpenMetrics if that is accepted."""
    registry: CollectorRegistry = engine.metrics.registry
    if "PROMETHEUS_MULTIPROC_DIR" in os.environ:  # several processes: those of all together
        registry = CollectorRegistry()
        MultiProcessCollector(registry)  # type: ignore[no-untyped-call]
    encode, media_type = choose_encoder(request.headers.get("accept", ""))
    return Response(encode(registry), media_type=media_type)
