"""The API of Ollama: captions for whatever sends a picture to a vision model, and texts."""

from app.http.compat.ollama import chat, models

__all__ = ["ROUTERS"]

ROUTERS = (models.router, chat.router)
