"""Writers that are in memory while they are used, within a bound.

All of their bundles are checked at the start; weights take memory when a writer is first asked
for, and the one that was not asked for the longest makes room. Knows bundles and bytes; knows
nothing of threads but that several may ask, nor of HTTP.
"""

from __future__ import annotations

from collections import OrderedDict
from threading import Lock
from typing import TYPE_CHECKING

from model.bundle.read import count_parameters

if TYPE_CHECKING:
    from collections.abc import Iterable

    from model.bundle.read import Bundle
    from model.config import TextConfig
    from model.runtime.options import Runtime
    from model.text.language_model import LanguageModel

__all__ = ["ModelCache"]

_BYTES = 4  # of a number in memory, whatever it takes on disk


class ModelCache:
    """Loads writers when they are asked for, and keeps those that were asked for last.

    Args:
        bundles: of all writers that there are; names are distinct.
        device: where they run.
        limit: bytes that the weights of those kept may take together. Whoever still uses one
            that had to make room goes on with it.
        threads: on a CPU; None leaves it to the runtime.
        runtime: what takes their steps.

    Raises:
        ValueError: one alone takes more.
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
        self.parameters = {name: count_parameters(b) for name, b in self.bundles.items()}
        self._bytes = {name: _BYTES * count for name, count in self.parameters.items()}
        for name, size in self._bytes.items():
            if size > limit:
                raise ValueError(
                    f"{self.bundles[name].folder} takes {_megabytes(size)} MB in memory, and all "
                    f"writers together may take {_megabytes(limit)}: raise "
                    "UNROLLED_LANGUAGE_MODELS_MEGABYTES"
                )
        self._kept: OrderedDict[str, LanguageModel] = OrderedDict()
        self._lock = Lock()

    @property
    def loaded(self) -> tuple[str, ...]:
        """The names of those in memory, the one asked for last at the end."""
        with self._lock:
            return tuple(self._kept)

    def find(self, name: str) -> LanguageModel | None:
        """Give a writer if it is in memory."""
        with self._lock:
            if name in self._kept:
                self._kept.move_to_end(name)
            return self._kept.get(name)

    def load(self, name: str) -> LanguageModel:
        """Give a writer; where it is not in memory, load it and have it work once.

        Raises:
            BundleError: its weights cannot be used.
        """
        if (language_model := self.find(name)) is not None:
            return language_model
        # PyTorch takes seconds to import, and who only captions never needs it.
        import torch  # noqa: PLC0415

        from model.text.language_model import LanguageModel  # noqa: PLC0415

        if self._threads is not None:
            torch.set_num_threads(self._threads)
        with self._lock:
            while self._kept and self._taken() + self._bytes[name] > self._limit:
                self._kept.popitem(last=False)
        language_model = LanguageModel.of(
            self.bundles[name], self.device, self._runtime, self._threads
        )
        for _ in language_model.generate("a", max_tokens=3):
            pass
        with self._lock:
            self._kept[name] = language_model
        return language_model

    def _taken(self) -> int:
        return sum(self._bytes[name] for name in self._kept)


def _megabytes(size: int) -> int:
    return -(-size // 10**6)
