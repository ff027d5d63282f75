"""Captions a split of a data set and scores what comes out, for several beam sizes.

What `unrolled evaluate captioner` runs. Knows what a captioner and a data set can be asked; knows
nothing of networks, nor of where reports are written.
"""

import time
from collections.abc import Collection, Iterator, Sequence
from typing import Protocol, TypeVar

from PIL import Image
from rich.console import Console
from rich.progress import MofNCompleteColumn, Progress, TimeRemainingColumn

from model.evaluation.diversity import find_known, measure_diversity
from model.evaluation.meteor import NAME as METEOR
from model.evaluation.metrics import Scorer
from model.evaluation.report import PictureCaptions, Report, Result

__all__ = ["Captioner", "Dataset", "evaluate"]


class _Text(Protocol):
    @property
    def text(self) -> str: ...


class _Named(Protocol):
    @property
    def name(self) -> str: ...
    @property
    def version(self) -> str: ...


class _Entry(Protocol):
    @property
    def filename(self) -> str: ...
    @property
    def captions(self) -> tuple[str, ...]: ...


EntryT = TypeVar("EntryT", bound=_Entry)


class Captioner(Protocol):
    """Anything that captions pictures, best caption first, such as `model.captioner.Captioner`."""

    @property
    def config(self) -> _Named:
        """Its name and version."""

    def caption(
        self, pictures: Sequence[Image.Image], *, beam_size: int
    ) -> Sequence[Sequence[_Text]]:
        """One list of captions for each picture."""


class Dataset(Protocol[EntryT]):
    """Anything with captioned pictures, such as `model.data.karpathy.CaptionDataset`."""

    @property
    def name(self) -> str:
        """What reports call it."""

    def split(self, name: str, /) -> Sequence[EntryT]:
        """The entries of one split, each with a `filename` and `captions`."""

    def picture(self, entry: EntryT, /) -> Image.Image:
        """The picture of an entry, RGB."""


def evaluate(
    captioner: Captioner,
    dataset: Dataset[EntryT],
    *,
    split: str,
    beam_sizes: Sequence[int] = (1, 3, 5),
    batch_size: int = 32,
    java: bool | None = None,
    training_captions: Collection[str] | None = None,
    progress: bool = True,
) -> Report:
    """Captions every picture of a split once for each beam size, and scores the best captions.

    Args:
        captioner: the model.
        dataset: the pictures and their reference captions.
        split: which of the data set's splits.
        beam_sizes: distinct, each at least 1.
        batch_size: how many pictures are read and captioned together.
        java: whether to use Stanford's tokenizer and METEOR; None means "where they are there".
        training_captions: what the model learnt from, to find copies.
        progress: whether to show how far it is, on standard error.

    Raises:
        ValueError: the split is unknown or empty, a picture has no captions, or a beam size or
            the batch size is out of range.
        JavaError: `java` is True and Java is missing, or Java failed.
    """
    _check(beam_sizes, batch_size)
    start = time.perf_counter()
    entries = dataset.split(split)
    if not entries:
        raise ValueError(f"{dataset.name} has no pictures in its split {split!r}")
    # Before hours of captioning: references that cannot be scored, and a Java that is not there.
    scorer = Scorer([entry.captions for entry in entries], java=java)

    known = None if training_captions is None else find_known(training_captions)

    found: dict[int, list[str]] = {beam_size: [] for beam_size in beam_sizes}
    for batch in _batches(entries, batch_size, show=progress):
        pictures = [dataset.picture(entry) for entry in batch]
        for beam_size, texts in found.items():
            captions = captioner.caption(pictures, beam_size=beam_size)
            texts.extend(best.text for best, *_ in captions)

    results = tuple(
        Result(beam_size, scorer.score(texts), measure_diversity(texts, known))
        for beam_size, texts in found.items()
    )
    return Report(
        model=captioner.config.name,
        version=captioner.config.version,
        dataset=dataset.name,
        split=split,
        pictures=len(entries),
        tokenizer=results[0].scores.tokenizer,
        meteor=None if results[0].scores.meteor is None else METEOR,
        seconds=time.perf_counter() - start,
        results=results,
        captions=tuple(
            PictureCaptions(
                filename=entry.filename,
                captions={beam_size: texts[index] for beam_size, texts in found.items()},
                references=tuple(entry.captions),
            )
            for index, entry in enumerate(entries)
        ),
    )


def _check(beam_sizes: Sequence[int], batch_size: int) -> None:
    if not beam_sizes or min(beam_sizes) < 1 or len(set(beam_sizes)) < len(beam_sizes):
        raise ValueError(f"beam sizes must be distinct and at least 1, got {list(beam_sizes)}")
    if batch_size < 1:
        raise ValueError(f"the batch size must be at least 1, got {batch_size}")


def _batches(
    entries: Sequence[EntryT], batch_size: int, *, show: bool
) -> Iterator[Sequence[EntryT]]:
    columns = (*Progress.get_default_columns()[:2], MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True), disable=not show) as bar:
        task = bar.add_task("Captioning", total=len(entries))
        for start in range(0, len(entries), batch_size):
            batch = entries[start : start + batch_size]
            yield batch
            bar.advance(task, len(batch))
