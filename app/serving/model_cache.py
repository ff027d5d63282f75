"""A least-recently-used cache of language models.

Every bundle is checked at startup, but a model's weights are only loaded at its first use. When
they would exceed the limit, the least recently used models are evicted.
"""

from __future__ import annotations

from collections import OrderedDict
from threading import Lock
from typing import TYPE_CHECKING

from app.serving.huge_pages import huge_pages
from model.bundle.format import BundleError
from model.bundle.read import count_parameters, load_text_bundle

if TYPE_CHECKING:
    from collections.abc import Iterable

    from model.bundle.read import Bundle
    from model.config import TextConfig
    from model.runtime.options import Runtime
    from model.text.language_model import LanguageModel

__all__ = ["ModelCache"]

_BYTES_PER_PARAMETER = 4  # in memory, whatever the precision on disk


class ModelCache:
    """Language models in memory, loaded on demand; may be used from several threads.

    Args:
        bundles: of all language models; names must be distinct.
        device: where they run.
        limit: most bytes that the weights in the cache may take. A request that is using an
            evicted model can finish with it.
        threads: CPU threads; None leaves it to the runtime.
        runtime: what runs their steps.

    Raises:
        ValueError: one model alone exceeds the limit.
    """

    def __init__(
        self,
        bundles: Iterable[Bundle[TextConfig]],
        device: str,
        limit: int,
        threads: int | None = None,
        runtime: Runtime = "torch",
    ) -> None:
        self.bundles = {bundle.config.name: bundle for bundle in bundles}
        self.device = device
        self._limit = limit
        self._threads = threads
        self._runtime = runtime
        self.parameters = {name: count_parameters(bundle) for name, bundle in self.bundles.items()}
        self._sizes = {
            name: _BYTES_PER_PARAMETER * count for name, count in self.parameters.items()
        }
        for name, size in self._sizes.items():
            if size > limit:
                raise ValueError(
                    f"{self.bundles[name].folder} needs {_megabytes(size)} MB of memory, more than "
                    f"the {_megabytes(limit)} MB for all language models: raise "
                    "UNROLLED_LANGUAGE_MODELS_MEGABYTES"
                )
        self._models: OrderedDict[str, LanguageModel] = OrderedDict()
        self._lock = Lock()

    @property
    def loaded(self) -> tuple[str, ...]:
        """The names of the models in memory, the most recently used last."""
        with self._lock:
            return tuple(self._models)

    def find(self, name: str) -> LanguageModel | None:
        """Return a language model if it is in memory."""
        with self._lock:
            if name in self._models:
                self._models.move_to_end(name)
            return self._models.get(name)

    def load(self, name: str) -> LanguageModel:
        """Return a language model, loading it and warming it up if needed.

        Raises:
            BundleError: its weights cannot be used.
        """
        if (language_model := self.find(name)) is not None:
            return language_model
        from model.text.language_model import LanguageModel  # noqa: PLC0415

        with self._lock:
            while self._models and self._bytes_in_use() + self._sizes[name] > self._limit:
                self._models.popitem(last=False)
        with huge_pages():
            language_model = LanguageModel.from_bundle(
                self._checked_bundle(name), self.device, self._runtime, self._threads
            )
            for _ in language_model.generate("a", max_tokens=3):
                pass
        with self._lock:
            self._models[name] = language_model
        return language_model

    def _checked_bundle(self, name: str) -> Bundle[TextConfig]:
        """Read a bundle once more, because its files may have changed since the start.

        Raises:
            BundleError: they have, or are damaged or gone.
        """
        known = self.bundles[name]
        bundle = load_text_bundle(known.folder)
        if bundle.config != known.config:
            raise BundleError(
                f"{bundle.folder} has changed since the service started: start it again"
            )
        return bundle

    def _bytes_in_use(self) -> int:
        return sum(self._sizes[name] for name in self._models)


def _megabytes(size: int) -> int:
    return -(-size // 10**6)
