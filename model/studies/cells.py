"""Compare how well cells learn a text, each with the same number of parameters.

Every cell is trained by `model.training.language_model.task` itself, on the same text and
schedule, once with each learning rate; its best validation loss counts. One rate for all would
favour the cell that it suits: in Greff et al., "LSTM: a search space odyssey", 2015, the learning
rate matters most of all settings, and Jozefowicz et al., "An empirical exploration of recurrent
network architectures", 2015, tune every cell. N-grams of order 1 to 20 are the baseline, as in
Karpathy, Johnson and Fei-Fei, "Visualizing and understanding recurrent networks", 2015.

An interrupted study resumes: each run has its own folder, and finished runs are not repeated.
"""

import hashlib
import json
import math
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import torch

from model.bundle.format import CONFIG
from model.config import CellName, RecurrentConfig
from model.data.corpus import Corpus
from model.files import write_text
from model.networks.cells import CELLS
from model.studies.cell_report import CellRun, CellStudy, Epoch
from model.studies.matching import check_cells, nearest_network
from model.studies.report import ReportProgress
from model.studies.settings import check_least
from model.text.ngram import MAX_ORDER, NGram
from model.training.language_model.task import main

__all__ = ["CellStudySettings", "finished_epochs", "study_cells"]


@dataclass(frozen=True)
class CellStudySettings:
    """Which cells are compared, and how they are trained.

    Attributes:
        corpus: a text file in UTF-8, read character by character.
        cells, layers: of the networks, which read one-hot vectors.
        parameters: of each network, as closely as its hidden size allows.
        epochs, streams, steps, precision, device: see `TextRecipe`; there is no early stopping.
        learning_rates: each is tried with each cell.
        characters: train on only the first so many (None: all but the validation part).
        validation_share: the share of the text, at its end, used for validation.
        order: of the longest n-grams (0: none).
        seed: of the weights and of where streams start; the same for all runs.
    """

    corpus: Path
    cells: tuple[str, ...] = tuple(CELLS)
    parameters: int = 350_000
    layers: int = 1
    epochs: int = 10
    streams: int = 64
    steps: int = 64
    learning_rates: tuple[float, ...] = (3e-3, 1e-2)
    characters: int | None = None
    validation_share: float = 0.05
    order: int = MAX_ORDER
    precision: Literal["float32", "bfloat16", "float16"] = "float32"
    device: Literal["auto", "cpu"] = "auto"
    seed: int = 1

    def __post_init__(self) -> None:
        check_cells(self.cells)
        check_least(self, 1, "parameters", "layers", "epochs", "streams", "steps")
        if self.characters is not None and self.characters < 1:
            raise ValueError(f"characters must be at least 1, got {self.characters}")
        rates = self.learning_rates
        if not rates or len(set(rates)) < len(rates) or not all(0 < rate <= 1 for rate in rates):
            raise ValueError(f"learning rates must differ and be above 0, up to 1, got {rates}")
        if not 0 < self.validation_share < 1:
            raise ValueError(f"validation_share must be in 0..1, got {self.validation_share}")
        if not 0 <= self.order <= MAX_ORDER:
            raise ValueError(f"order must be in 0..{MAX_ORDER}, got {self.order}")


def study_cells(
    settings: CellStudySettings, output: Path, *, report_progress: ReportProgress = print
) -> CellStudy:
    """Train every cell, or resume an interrupted study with the same settings in that folder.

    Args:
        settings: see `CellStudySettings`.
        output: the study's folder; the runs are in `runs/`. `CellStudy.write` adds the report.
        report_progress: called with a line about each run.

    Raises:
        FileNotFoundError: the corpus does not exist.
        ValueError: it is too short or not UTF-8, there are too few parameters for a network, a
            training diverged, or the folder holds runs with other settings.
    """
    corpus = Corpus.read(
        settings.corpus,
        characters=settings.characters,
        validation_share=settings.validation_share,
    )
    size = len(corpus.vocabulary)
    networks: dict[CellName, tuple[RecurrentConfig, int]] = {}
    for cell in check_cells(settings.cells):
        networks[cell] = nearest_network(cell, settings.parameters, size, layers=settings.layers)
        config, count = networks[cell]
        report_progress(f"{cell}: {config.hidden_size} units a layer, {count:,} parameters")
    digest = hashlib.sha256(settings.corpus.read_bytes()).hexdigest()
    recipes = {
        (cell, rate): _recipe(settings, config, rate, characters=len(corpus.train), digest=digest)
        for cell, (config, _) in networks.items()
        for rate in settings.learning_rates
    }
    for (cell, rate), recipe in recipes.items():  # all of them, before hours are spent on the first
        _check_folder(output / _folder(cell, rate), recipe)
    start = time.perf_counter()
    ngrams: tuple[float, ...] = ()
    if settings.order:
        ngram = NGram.train(corpus.train.numpy(), size, settings.order)
        ngrams = tuple(ngram.orders(corpus.validation.numpy()).tolist())
        report_progress(f"n-grams: {min(ngrams):.4f} nats per character at best")
    ngram_seconds = time.perf_counter() - start
    runs: list[CellRun] = []
    for (cell, rate), recipe in recipes.items():
        folder = _folder(cell, rate)
        epochs = _train(output / folder, recipe, report_progress)
        config, count = networks[cell]
        run = CellRun(
            cell, rate, config.hidden_size, config.layers, count, len(corpus.train), folder, epochs
        )
        report_progress(f"{folder}: {run.nats:.4f} nats per character, {run.seconds:.0f} s")
        runs.append(run)
    return CellStudy(
        corpus=str(settings.corpus.resolve()),
        corpus_sha256=digest,
        training_characters=len(corpus.train),
        validation_characters=len(corpus.validation),
        characters=settings.characters,
        validation_share=settings.validation_share,
        seed=settings.seed,
        schedule=(
            f"{settings.epochs} epochs of {settings.streams} streams, {settings.steps} steps at a "
            f"time, {settings.precision}"
        ),
        threads=torch.get_num_threads(),
        runs=tuple(runs),
        ngrams=ngrams,
        ngram_seconds=ngram_seconds,
    )


def finished_epochs(run: Path) -> tuple[Epoch, ...]:
    """Read a run's epochs from its `curve.json`, with cumulative seconds."""
    epochs: list[Epoch] = []
    seconds = loss = 0.0
    for point in json.loads((run / "curve.json").read_text(encoding="utf-8")):
        if "seconds" in point:
            seconds += point["seconds"]
            loss = point["loss"]
        if "validation_loss" in point:
            epochs.append(Epoch(loss, point["validation_loss"], seconds))
    return tuple(epochs)


def _folder(cell: str, rate: float) -> str:
    return f"runs/{cell}-{rate:g}"


def _recipe(
    settings: CellStudySettings,
    config: RecurrentConfig,
    rate: float,
    *,
    characters: int,
    digest: str,
) -> str:
    """Build a run's recipe: everything that it depends on, including the corpus's digest."""
    steps = settings.epochs * math.ceil(characters / settings.streams / settings.steps)
    recipe: dict[str, Any] = {
        "name": f"{config.cell}-{rate:g}",
        "seed": settings.seed,
        "corpus": str(settings.corpus.resolve()),
        "validation_share": settings.validation_share,
        "network": {
            "cell": config.cell,
            "hidden_size": config.hidden_size,
            "layers": config.layers,
        },
        "optimisation": {
            "epochs": settings.epochs,
            "streams": settings.streams,
            "steps": settings.steps,
            "learning_rate": rate,
            "patience": settings.epochs,
            "warmup": min(100, steps // 10),
        },
        "device": settings.device,
        "precision": settings.precision,
        # By time alone, see `TextRecipe`.
        "checkpoint_steps": 2**40,
    }
    if settings.characters is not None:
        recipe["characters"] = settings.characters
    lines = [f"{name} = {_toml(value)}" for name, value in recipe.items()]
    return "\n".join([f"# Written by `unrolled study cells`; corpus: sha256 {digest}", *lines, ""])


def _toml(value: object) -> str:
    if isinstance(value, dict):
        return f"{{{', '.join(f'{name} = {_toml(inner)}' for name, inner in value.items())}}}"
    return json.dumps(value, ensure_ascii=False)


def _check_folder(folder: Path, recipe: str) -> None:
    known = folder / "recipe.toml"
    if known.exists() and known.read_text(encoding="utf-8") != recipe:
        raise ValueError(
            f"{folder} is a run with other settings or of another corpus: give another "
            "folder or the same settings"
        )


def _train(folder: Path, recipe: str, report_progress: ReportProgress) -> tuple[Epoch, ...]:
    """Train one network, unless it is already trained."""
    path = folder / "recipe.toml"
    if (folder / "bundle" / CONFIG).exists() and path.exists():
        report_progress(f"{folder.name} is already finished")
        return finished_epochs(folder)
    write_text(path, recipe)
    try:
        main(path, folder)
    except ValueError as error:
        raise ValueError(f"{folder.name}: {error}") from error
    return finished_epochs(folder)
