"""The routes: thin, one module each."""

from app.routes import caption, health, home, models

__all__ = ["ROUTERS"]

ROUTERS = (home.router, caption.router, models.router, health.router)
