"""Load the model that a command was given."""

from __future__ import annotations

from typing import TYPE_CHECKING

from app.cli.terminal import print_note
from model.bundle.discovery import bundle_folder

if TYPE_CHECKING:
    from app.settings import Settings
    from model.config import CaptionerConfig, TextConfig
    from model.text.language_model import LanguageModel

__all__ = ["load_language_model", "note_if_unfinished"]


def load_language_model(model: str, settings: Settings) -> LanguageModel:
    """Load a language model by its name in the weights folder, or by its path.

    Raises:
        ValueError: there is no such language model, or its bundle is invalid.
    """
    from model.text.language_model import LanguageModel  # noqa: PLC0415

    folder = bundle_folder(model, settings.weights)
    language_model = LanguageModel.load(folder, settings.device, settings.runtime)
    note_if_unfinished(language_model.config)
    return language_model


def note_if_unfinished(config: CaptionerConfig | TextConfig) -> None:
    """Print a note if a model comes from a training that has not ended."""
    if where := config.provenance.get("unfinished"):
        best = config.provenance.get("best_epoch")
        which = f"the best weights so far, of epoch {best}" if best else "the latest weights"
        print_note(f"{config.name} is unfinished, at {where} of its training: these are {which}")
