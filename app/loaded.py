"""The models: checked, loaded and warmed at the start, found by name.

Knows bundles and what a request may ask of which model; knows nothing of threads or HTTP bodies.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from app.bundles import find_folders
from app.cores import usable_cores
from app.errors import InvalidParameter, UnknownModel
from app.shelf import Shelf

if TYPE_CHECKING:
    from collections.abc import Iterable

    from app.settings import Settings
    from model.bundle import Bundle
    from model.captioner import Captioner
    from model.config import TextConfig

__all__ = ["Models", "load"]


@dataclass(frozen=True)
class Models:
    """The captioner, if there is one, and the writers, which are loaded as they are needed."""

    captioner: Captioner | None
    shelf: Shelf
    captioner_parameters: int = 0

    @property
    def writers(self) -> dict[str, Bundle[TextConfig]]:
        """The writers by name, whether they are in memory or not."""
        return self.shelf.bundles

    @property
    def all(self) -> dict[str, Captioner | Bundle[TextConfig]]:
        """Every model by name, the captioner first."""
        first = {} if self.captioner is None else {self.captioner.config.name: self.captioner}
        return {**first, **self.writers}

    @property
    def parameters(self) -> dict[str, int]:
        """How many numbers each model learned, by name."""
        if self.captioner is None:
            return self.shelf.parameters
        return {self.captioner.config.name: self.captioner_parameters, **self.shelf.parameters}

    def find(self, name: str) -> Captioner | Bundle[TextConfig]:
        """Find any model.

        Raises:
            UnknownModel: none has this name.
        """
        if name not in self.all:
            raise UnknownModel(f"there is no model {name!r}: there is {_named(self.all)}")
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

    def find_writer(self, name: str | None = None) -> Bundle[TextConfig]:
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
    """Load the captioner, and check every writer; have each model that is loaded work once.

    For a captioner with golden pictures that work is its self-test.

    Raises:
        ValueError: a bundle cannot be used or fails its self-test, there is none, two have one
            name, or there is no such device.
    """
    # What takes long to import belongs into the background too.
    from PIL import Image  # noqa: PLC0415

    from model.bundle import count_parameters, load_bundle  # noqa: PLC0415
    from model.captioner import Captioner  # noqa: PLC0415
    from model.config import CaptionerConfig  # noqa: PLC0415
    from model.device import choose_device  # noqa: PLC0415
    from model.text_bundle import load_text_bundle  # noqa: PLC0415

    threads = settings.threads or usable_cores()
    device = choose_device(settings.device)
    folders = find_folders(settings.weights)
    captioner, learned = None, 0
    if folders.captioner is not None:
        captioner = Captioner.load(
            folders.captioner,
            device,
            runtime=settings.runtime,
            threads=threads,
            precision=settings.precision,
        )
        learned = count_parameters(load_bundle(folders.captioner, CaptionerConfig))
        if not (settings.self_test and captioner.self_test()):
            captioner.caption([Image.new("RGB", (640, 480), "white")])
    names = set() if captioner is None else {captioner.config.name}
    bundles = []
    for folder in folders.writers:
        bundle = load_text_bundle(folder)
        name = bundle.config.name
        if name in names:
            raise ValueError(f"{folder}: its name {name!r} is another bundle's too: rename one")
        names.add(name)
        bundles.append(bundle)
    shelf = Shelf(bundles, device, settings.writers_megabytes * 10**6, threads)
    if settings.load_writers == "at_start":
        for name in shelf.bundles:
            shelf.load(name)
        if missing := set(shelf.bundles) - set(shelf.kept):
            raise ValueError(
                f"{_named(sorted(missing))} had to make room for other writers: raise "
                "UNROLLED_WRITERS_MEGABYTES, or set UNROLLED_LOAD_WRITERS=on_first_use"
            )
    return Models(captioner, shelf, learned)


def _named(names: Iterable[str]) -> str:
    return ", ".join(map(repr, names))
