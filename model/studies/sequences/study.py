"""Study sequences in and out: many to one, many to many in step, and sequence to sequence.

One to many is what a captioner does, which has a command of its own.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import cast

from model.bundle.discovery import SHIPPED_WEIGHTS, find_bundle_folders
from model.config import CellName
from model.studies.matching import check_cells
from model.studies.report import ReportProgress
from model.studies.sequences.labels import (
    LabelTask,
    moving_shape,
    next_character,
    which_writer,
)
from model.studies.sequences.report import SequenceStudy
from model.studies.sequences.rewrites import TASKS as REWRITES
from model.studies.sequences.rewrites import make_rewrite_task
from model.studies.sequences.training import (
    LabelRun,
    RewriteRun,
    train_labeller,
    train_rewriter,
)
from model.studies.settings import check_least
from model.text.language_model import LanguageModel

__all__ = ["SEQUENCE_TASKS", "SequenceStudySettings", "study_sequences", "written_texts"]

_ON_TEXTS = ("writer", "next")
SEQUENCE_TASKS = ("writer", "clip", "next", "frames", *REWRITES)

_AT_ONCE = 20  # texts that a writer writes together


@dataclass(frozen=True)
class SequenceStudySettings:
    """What is studied.

    Attributes:
        tasks: of `SEQUENCE_TASKS`.
        texts: files in UTF-8, each of another writer; without any, the shipped writers write.
        cell, units: of every network.
        steps: of training for rewriting; labels take half as many.
        seeds: how often everything is repeated, with `seed`, `seed` + 1, ...
        length: the most characters that are read at once.
        characters: of each writer's text, if they write.
    """

    tasks: tuple[str, ...] = SEQUENCE_TASKS
    texts: tuple[Path, ...] = ()
    cell: str = "lstm"
    units: int = 64
    steps: int = 600
    seeds: int = 3
    length: int = 64
    characters: int = 20_000
    seed: int = 1

    def __post_init__(self) -> None:
        check_cells((self.cell,))
        unknown = [task for task in self.tasks if task not in SEQUENCE_TASKS]
        if unknown or not self.tasks:
            raise ValueError(
                f"there is no task {unknown[0] if unknown else ''!r}: choose from "
                f"{', '.join(SEQUENCE_TASKS)}"
            )
        check_least(self, 1, "units", "seeds", "characters")
        check_least(self, 2, "steps", "length")


def study_sequences(
    settings: SequenceStudySettings, *, report_progress: ReportProgress = print
) -> SequenceStudy:
    """Train and test a network for each task, variant and seed.

    Args:
        settings: see `SequenceStudySettings`.
        report_progress: called with a line about each of them.

    Raises:
        OSError: a text cannot be read.
        ValueError: a text is too short or not UTF-8, or there are too few.
    """
    labelled: list[LabelRun] = []
    rewritten: list[RewriteRun] = []
    seeds = range(settings.seed, settings.seed + settings.seeds)
    cell = cast("CellName", settings.cell)
    for task in _label_tasks(settings, report_progress):
        for memory in (True, False):
            for seed in seeds:
                run = train_labeller(
                    task,
                    cell=cell,
                    units=settings.units,
                    steps=settings.steps // 2,
                    seed=seed,
                    memory=memory,
                )
                labelled.append(run)
                how = "with" if memory else "without"
                report_progress(f"{task.name} {how} memory, seed {seed}: {run.score:.1%} right")
    for name in [name for name in settings.tasks if name in REWRITES]:
        pairs = make_rewrite_task(name, REWRITES[name]())
        for backwards in (False, True):
            for attention in (False, True):
                for seed in seeds:
                    rewrite = train_rewriter(
                        pairs,
                        cell=cell,
                        units=settings.units,
                        steps=settings.steps,
                        seed=seed,
                        backwards=backwards,
                        attention=attention,
                    )
                    rewritten.append(rewrite)
                    report_progress(
                        f"{name}, {rewrite.manner}, seed {seed}: {rewrite.exact:.1%} right"
                    )
    return SequenceStudy(
        cell=settings.cell,
        units=settings.units,
        steps=settings.steps,
        seed=settings.seed,
        labelled=tuple(labelled),
        rewritten=tuple(rewritten),
    )


def written_texts(characters: int, seed: int, report_progress: ReportProgress) -> dict[str, str]:
    """Return what the shipped writers of characters write, by their names.

    Of writers that learned the same text only the largest writes, since nobody could tell whose
    text it is.

    Args:
        characters: of each.
        seed: of the drawing.
        report_progress: called with a line about each.
    """
    writers: dict[str, LanguageModel] = {}  # by what they learned
    for folder in find_bundle_folders(SHIPPED_WEIGHTS).language_models:
        writer = LanguageModel.load(folder, "cpu", threads=1)
        learned = str(writer.config.provenance.get("corpus", writer.config.name))
        known = writers.get(learned)
        if writer.config.level == "character" and (known is None or _units(writer) > _units(known)):
            writers[learned] = writer
    texts = {}
    for writer in writers.values():
        pieces = [""] * _AT_ONCE
        length = -(-characters // _AT_ONCE)
        for delta in writer.generate("", n=_AT_ONCE, seed=seed, max_tokens=length):
            pieces[delta.index] += delta.text
        texts[writer.config.name] = "\n".join(pieces)
        report_progress(
            f"{writer.config.name}: {len(texts[writer.config.name])} characters written"
        )
    return texts


def _units(language_model: LanguageModel) -> int:
    return language_model.config.network.layers * language_model.config.network.hidden_size


def _label_tasks(
    settings: SequenceStudySettings, report_progress: ReportProgress
) -> Iterator[LabelTask]:
    texts: dict[str, str] = {}
    if set(settings.tasks) & set(_ON_TEXTS):
        if settings.texts:
            texts = {path.stem: path.read_text("utf-8") for path in settings.texts}
            if len(texts) < len(settings.texts):
                raise ValueError("two texts have the same name: rename one of them")
        else:
            texts = written_texts(settings.characters, settings.seed, report_progress)
    for task in settings.tasks:
        match task:
            case "writer":
                yield which_writer(texts, settings.length)
            case "clip":
                yield moving_shape(in_step=False)
            case "next":
                yield next_character(texts, settings.length)
            case "frames":
                yield moving_shape(in_step=True)
