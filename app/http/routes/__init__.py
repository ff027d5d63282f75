"""The routes: thin, one module each."""

from app.http.routes import activations, caption, health, home, models, score
from app.http.routes import generate_text as text

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
