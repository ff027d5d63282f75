"""Load the model that a command was given."""

from __future__ import annotations

from typing import TYPE_CHECKING

from model.bundle.discovery import bundle_folder

if TYPE_CHECKING:
    from app.settings import Settings
    from model.text.language_model import LanguageModel

__all__ = ["load_language_model"]


def load_language_model(model: str, settings: Settings) -> LanguageModel:
    """Load a language model by its name in the weights folder, or by its path.

    Raises:
        ValueError: there is no such language model, or its bundle is invalid.
    """
    from model.text.language_model import LanguageModel  # noqa: PLC0415

    folder = bundle_folder(model, settings.weights)
    return LanguageModel.load(folder, settings.device, settings.runtime)
