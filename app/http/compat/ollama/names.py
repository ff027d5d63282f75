"""Models by the names that Ollama's clients use."""

from __future__ import annotations

from typing import TYPE_CHECKING

from app.errors import UnknownModel

if TYPE_CHECKING:
    from app.serving.registry import ModelRegistry
    from model.bundle.read import Bundle
    from model.captioning.captioner import Captioner
    from model.config import TextConfig

__all__ = ["find_model", "has_model"]


def has_model(models: ModelRegistry, name: str) -> bool:
    """Return whether there is a model of this name, with or without `:latest`."""
    return _plain(name) in models.all


def find_model(models: ModelRegistry, name: str) -> Captioner | Bundle[TextConfig]:
    """Return the model of this name, with or without `:latest`.

    Raises:
        UnknownModel: there is none.
    """
    if not has_model(models, name):  # in Ollama's words, which some clients look for
        known = ", ".join(models.all)
        raise UnknownModel(f"model '{name[:80]}' not found: there are {known}")
    return models.find(_plain(name))


def _plain(name: str) -> str:
    return name.removesuffix(":latest")
