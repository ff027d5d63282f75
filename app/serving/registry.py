"""The models by name: checked, loaded and warmed up at startup."""

from __future__ import annotations

from dataclasses import dataclass
from tempfile import TemporaryFile
from typing import TYPE_CHECKING

import structlog

from app.cores import usable_cores
from app.errors import InvalidParameter, UnknownModel
from app.serving.huge_pages import huge_pages
from app.serving.model_cache import ModelCache
from model.bundle.discovery import find_bundle_folders

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from app.settings import Settings
    from model.bundle.read import Bundle
    from model.captioning.captioner import Captioner
    from model.config import CaptionerConfig, TextConfig

__all__ = ["ModelRegistry", "load_models", "read_bundles"]

_log = structlog.get_logger("app")


@dataclass(frozen=True)
class ModelRegistry:
    """The captioner, if any, and the language models, which are loaded on demand."""

    captioner: Captioner | None
    cache: ModelCache
    captioner_parameters: int = 0
    captioner_folder: Path | None = None  # of its bundle

    @property
    def language_models(self) -> dict[str, Bundle[TextConfig]]:
        """The language models by name, whether in memory or not."""
        return self.cache.bundles

    @property
    def all(self) -> dict[str, Captioner | Bundle[TextConfig]]:
        """Every model by name, the captioner first."""
        first = {} if self.captioner is None else {self.captioner.config.name: self.captioner}
        return {**first, **self.language_models}

    @property
    def runtime(self) -> str | None:
        """What executes the captioner, if there is one."""
        return None if self.captioner is None else self.captioner.runner.name

    @property
    def parameters(self) -> dict[str, int]:
        """The number of learned parameters of each model, by name."""
        if self.captioner is None:
            return self.cache.parameters
        return {self.captioner.config.name: self.captioner_parameters, **self.cache.parameters}

    def find(self, name: str) -> Captioner | Bundle[TextConfig]:
        """Return the model of this name.

        Raises:
            UnknownModel: there is none.
        """
        if name not in self.all:
            raise UnknownModel(f"unknown model {name!r}: the models are {_quoted(self.all)}")
        return self.all[name]

    def find_captioner(self, name: str | None = None) -> Captioner:
        """Return the captioner; its name is optional.

        Raises:
            UnknownModel: there is no captioner, or no model of this name.
            InvalidParameter: the name is a language model's.
        """
        if name is not None and self.find(name) is not self.captioner:
            raise InvalidParameter(
                f"model: {name!r} is a language model, and this needs a captioner"
            )
        if self.captioner is None:
            raise UnknownModel(f"no captioner is loaded: the models are {_quoted(self.all)}")
        return self.captioner

    def find_language_model(self, name: str | None = None) -> Bundle[TextConfig]:
        """Return the bundle of a language model; its name is optional if there is only one.

        Raises:
            UnknownModel: there is no language model, or no model of this name.
            InvalidParameter: the name is the captioner's, or is required.
        """
        if name is not None:
            self.find(name)
        if not self.language_models:
            raise UnknownModel("no language model is loaded: see GET /models")
        if name is None:
            if len(self.language_models) > 1:
                raise InvalidParameter(
                    f"model: is required, one of {_quoted(self.language_models)}"
                )
            (name,) = self.language_models
        if name not in self.language_models:
            raise InvalidParameter(
                f"model: {name!r} is a captioner, and this needs a language model, one of "
                f"{_quoted(self.language_models)}"
            )
        return self.language_models[name]


def read_bundles(
    weights: Path,
) -> tuple[list[Bundle[CaptionerConfig]], list[Bundle[TextConfig]]]:
    """Read and check the bundles in a folder: the captioner's, if any, and the language models'.

    Raises:
        ValueError: there is no bundle, or one cannot be used; the message says why.
    """
    from model.bundle.read import load_bundle, load_text_bundle  # noqa: PLC0415
    from model.config import CaptionerConfig  # noqa: PLC0415

    folders = find_bundle_folders(weights)
    captioners = [] if folders.captioner is None else [folders.captioner]
    return (
        [load_bundle(path, CaptionerConfig) for path in captioners],
        [load_text_bundle(path) for path in folders.language_models],
    )


def load_models(settings: Settings) -> ModelRegistry:
    """Load and warm up the captioner, and check every language model.

    A captioner with golden pictures is warmed up by its self-test.

    Raises:
        ValueError: there is no bundle, one cannot be used or fails its self-test, two have the
            same name, or this machine lacks the device.
    """
    # These take long to import, so they too are loaded in the background.
    from PIL import Image  # noqa: PLC0415

    from model.bundle.read import count_parameters  # noqa: PLC0415
    from model.captioning.captioner import Captioner  # noqa: PLC0415
    from model.runtime.device import choose_device  # noqa: PLC0415
    from model.runtime.export import ExportError, cache_folder, export  # noqa: PLC0415
    from model.runtime.select import takes_openvino  # noqa: PLC0415

    threads = settings.threads or usable_cores()
    device = choose_device(settings.device)
    captioners, language_models = read_bundles(settings.weights)
    _check_names(*captioners, *language_models)
    if takes_openvino(settings.runtime, device):
        try:
            export(*captioners, *language_models)
        except ExportError:  # reported where the graphs are needed
            _warn_if_unwritable(cache_folder())
    captioner, parameters, folder = None, 0, None
    for bundle in captioners:
        with huge_pages():
            captioner = Captioner.from_bundle(
                bundle,
                device,
                runtime=settings.runtime,
                threads=threads,
                precision=settings.precision,
            )
            white = Image.new("RGB", (640, 480), "white")
            if not (settings.self_test and captioner.self_test()):
                captioner.caption([white])
            for size in captioner.runner.captured_sizes:  # in the background
                captioner.caption([white] * min(size, settings.batch_size))
                if size >= settings.batch_size:
                    break
        parameters, folder = count_parameters(bundle), bundle.folder
    limit = settings.language_models_megabytes * 10**6
    cache = ModelCache(language_models, device, limit, threads, settings.runtime)
    if settings.load_language_models == "at_start":
        for name in cache.bundles:
            cache.load(name)
        if missing := set(cache.bundles) - set(cache.loaded):
            raise ValueError(
                f"the language models do not all fit in memory, {_quoted(sorted(missing))} were "
                "evicted: raise UNROLLED_LANGUAGE_MODELS_MEGABYTES, or set "
                "UNROLLED_LOAD_LANGUAGE_MODELS=on_first_use"
            )
    return ModelRegistry(captioner, cache, parameters, folder)


def _warn_if_unwritable(cache: Path) -> None:
    try:
        cache.mkdir(parents=True, exist_ok=True)
        with TemporaryFile(dir=cache):
            pass
    except OSError as error:
        _log.warning(
            "the models' graphs cannot be kept: set UNROLLED_CACHE to a folder that can be written",
            folder=str(cache),
            reason=error.strerror,
        )


def _check_names(*bundles: Bundle[CaptionerConfig] | Bundle[TextConfig]) -> None:
    names = set()
    for bundle in bundles:
        if (name := bundle.config.name) in names:
            raise ValueError(f"{bundle.folder}: another bundle is also named {name!r}: rename one")
        names.add(name)


def _quoted(names: Iterable[str]) -> str:
    return ", ".join(map(repr, names))
