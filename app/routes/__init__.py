"""The routes: thin, one module each."""

from app.routes import activations, caption, health, home, models, score, text

__all__ = ["ROUTERS"]

ROUTERS = (
    home.router,
    caption.router,
    text.router,
    score.router,
    activations.router,
    models.router,
    health.router,
)
