"""Recurrent networks that caption photographs and generate text; usable without the service.

Start with `Captioner.load()` and `LanguageModel.load("shakespeare")`.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from model.captioning.captioner import Captioner
    from model.text.language_model import LanguageModel

__all__ = ["Captioner", "LanguageModel"]

_MODULES = {
    "Captioner": "model.captioning.captioner",
    "LanguageModel": "model.text.language_model",
}


def __getattr__(name: str) -> Any:
    """Import a class when it is first used: the service must start before PyTorch is loaded."""
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_MODULES[name]), name)
