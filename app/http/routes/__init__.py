"""The routes of our own API, one module per endpoint."""

from app.http.routes import (
    activations,
    caption,
    docs,
    generate_text,
    health,
    home,
    models,
    score,
    version,
)

__all__ = ["ROUTERS"]

ROUTERS = (
    home.router,
    docs.router,
    caption.router,
    generate_text.router,
    score.router,
    activations.router,
    models.router,
    version.router,
    health.router,
)
