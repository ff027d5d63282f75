"""The API of Ollama: captions for whatever sends a picture to a vision model, and texts."""

from fastapi import APIRouter

from app.http.compat.ollama import chat, models

__all__ = ["router"]

router = APIRouter(prefix="/api", tags=["Ollama"])
router.include_router(models.router)
router.include_router(chat.router)
