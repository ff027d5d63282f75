"""Load the model that a command was given."""

from __future__ import annotations

from typing import TYPE_CHECKING

from app.cli.terminal import exit_on, print_note, show_log
from app.cores import usable_cores
from model.bundle.discovery import bundle_folder, captioner_folder

if TYPE_CHECKING:
    from app.settings import Settings
    from model.captioning.captioner import Captioner
    from model.config import CaptionerConfig, TextConfig
    from model.text.language_model import LanguageModel

__all__ = ["load_captioner", "load_language_model", "note_if_unfinished"]


def load_captioner(settings: Settings) -> Captioner:
    """Load the captioner that the settings name; exit with a message if it cannot be."""
    from app.serving.huge_pages import huge_pages  # noqa: PLC0415
    from model.captioning.captioner import Captioner  # noqa: PLC0415

    show_log("model.runtime.export")  # exporting takes a while, the first time
    with exit_on(ValueError), huge_pages():
        captioner = Captioner.load(
            captioner_folder(settings.weights),
            settings.device,
            runtime=settings.runtime,
            threads=settings.threads or usable_cores(),
            precision=settings.precision,
        )
    note_if_unfinished(captioner.config)
    return captioner


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
