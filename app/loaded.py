"""The models in memory: loaded and warmed once, found by name.

Knows bundles and what a request may ask of which model; knows nothing of threads or HTTP bodies.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from app.bundles import find_folders
from app.errors import InvalidParameter, UnknownModel

if TYPE_CHECKING:
    from app.settings import Settings
    from model.captioner import Captioner
    from model.language_model import LanguageModel

__all__ = ["Models", "load"]


@dataclass(frozen=True)
class Models:
    """What is loaded: the captioner, if there is one, and the writers by name."""

    captioner: Captioner | None
    writers: dict[str, LanguageModel]

    @property
    def all(self) -> dict[str, Captioner | LanguageModel]:
        """Every model by name, the captioner first."""
        first = {} if self.captioner is None else {self.captioner.config.name: self.captioner}
        return {**first, **self.writers}

    def find(self, name: str) -> Captioner | LanguageModel:
        """Find any model.

        Raises:
            UnknownModel: none has this name.
        """
        if name not in self.all:
            raise UnknownModel(f"no model {name!r} is loaded: there is {_named(self.all)}")
        return self.all[name]

    def find_captioner(self, name: str | None = None) -> Captioner:
        """Find the captioner, which need not be named.

        Raises:
            UnknownModel: there is none, or none of this name.
            InvalidParameter: the name is a writer's.
        """
        if name is not None and self.find(name) is not self.captioner:
            raise InvalidParameter(f"model: {name!r} writes text and reads no pictures")
        if self.captioner is None:
            raise UnknownModel(f"no captioner is loaded: there is {_named(self.all)}")
        return self.captioner

    def find_writer(self, name: str | None = None) -> LanguageModel:
        """Find a writer; it need not be named where it is the only one.

        Raises:
            UnknownModel: there is none, or none of this name.
            InvalidParameter: the name is the captioner's, or is needed.
        """
        if name is not None:
            self.find(name)
        if not self.writers:
            raise UnknownModel("no model that writes text is loaded: see GET /models")
        if name is None:
            if len(self.writers) > 1:
                raise InvalidParameter(f"model: is required, one of {_named(self.writers)}")
            (name,) = self.writers
        if name not in self.writers:
            raise InvalidParameter(
                f"model: {name!r} is a captioner, and this needs a model that writes text: "
                f"there is {_named(self.writers)}"
            )
        return self.writers[name]


def load(settings: Settings) -> Models:
    """Load every bundle, and have each model work once, so that its first request is not slow.

    Raises:
        ValueError: a bundle cannot be used, there is none, two have one name, or there is no
            such device.
    """
    # PyTorch takes seconds to import: that too belongs into the background.
    import torch  # noqa: PLC0415
    from PIL import Image  # noqa: PLC0415

    from model.captioner import Captioner  # noqa: PLC0415
    from model.language_model import LanguageModel  # noqa: PLC0415

    if settings.threads is not None:
        torch.set_num_threads(settings.threads)
    folders = find_folders(settings.weights)
    captioner = None
    if folders.captioner is not None:
        captioner = Captioner.load(folders.captioner, device=settings.device)
        captioner.caption([Image.new("RGB", (640, 480), "white")])
    names = set() if captioner is None else {captioner.config.name}
    writers: dict[str, LanguageModel] = {}
    for folder in folders.writers:
        writer = LanguageModel.load(folder, device=settings.device)
        name = writer.config.name
        if name in names:
            raise ValueError(f"{folder}: its name {name!r} is another bundle's too: rename one")
        for _ in writer.generate("a", max_tokens=3):
            pass
        names.add(name)
        writers[name] = writer
    return Models(captioner, writers)


def _named(models: dict[str, LanguageModel] | dict[str, Captioner | LanguageModel]) -> str:
    return ", ".join(map(repr, models))
