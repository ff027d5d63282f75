"""Study how far back each cell's gradient reaches, before and after training, and clipping.

See `model.studies.flow` for the measurement and `model.studies.clipping` for the training runs.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from model.config import RecurrentConfig
from model.data.corpus import Corpus
from model.networks.cells import CELLS
from model.networks.text_network import TextNetwork
from model.studies.cell_report import CellStudy
from model.studies.clipping import train_clipped
from model.studies.flow import gradient_flow, stretches, with_spectral_radius
from model.studies.gradient_curves import ClippingCurve, FlowCurve, MatrixFlow
from model.studies.gradient_report import GradientStudy
from model.studies.matching import check_cells, nearest_network
from model.studies.report import ReportProgress
from model.studies.settings import check_least
from model.studies.starts import flows_by_start, matrices
from model.text.language_model import LanguageModel
from model.vocabulary import Vocabulary

__all__ = ["GradientStudySettings", "study_gradients"]

Networks = Iterator[tuple[str, str, TextNetwork]]

BEFORE, AFTER = "at initialisation", "after training"

# The vanilla RNN that is scaled and trained: small, since the study is of norms, not of text.
_UNITS = 128
_CLIP = 1.0
# Tokens read before the furthest step, so that the state is one of running text.
_WARMUP = 50
_MOST_STEPS = 5000


@dataclass(frozen=True)
class GradientStudySettings:
    """Which networks are measured, and on which text.

    The networks are those of a study of cells (`runs`: its folder), before and after training; or
    that of one bundle (`weights`); or new, untrained ones.

    Attributes:
        corpus: its last `validation_share` is read. A study of cells has its own corpus; a bundle
            without a corpus reads text that it generates itself.
        runs, weights: see above; at most one of them.
        cells: which; None takes all.
        parameters, layers: of new networks, see `CellStudySettings`.
        steps: how far back.
        rows: how many places of the text to measure from.
        radii: spectral radii of the vanilla RNN's recurrent weights, of which the smallest and
            the largest are trained with and without clipping.
        training_steps: of these training runs (0: none).
        seeds: how many times each of them is repeated, with the weights of `seed`, `seed` + 1, ...
        seed: of new weights and of the places.
    """

    corpus: Path | None = None
    runs: Path | None = None
    weights: Path | None = None
    cells: tuple[str, ...] | None = None
    parameters: int = 350_000
    layers: int = 1
    steps: int = 100
    rows: int = 64
    radii: tuple[float, ...] = (0.5, 1.0, 1.5)
    training_steps: int = 200
    seeds: int = 10
    validation_share: float = 0.05
    seed: int = 1

    def __post_init__(self) -> None:
        if self.runs and self.weights:
            raise ValueError("give the runs of a study or a bundle, not both")
        if not (self.corpus or self.runs or self.weights):
            raise ValueError("there is nothing to read: give a corpus, a study's runs or a bundle")
        if self.cells is not None:
            check_cells(self.cells)
            if self.weights:
                raise ValueError("a bundle already has its cell: leave cells out")
        check_least(self, 1, "parameters", "layers", "steps", "rows", "seeds")
        if self.steps > _MOST_STEPS:
            raise ValueError(f"steps must be at most {_MOST_STEPS}, got {self.steps}")
        if self.training_steps < 0:
            raise ValueError(f"training_steps must not be negative, got {self.training_steps}")
        if not all(0 < radius <= 10 for radius in self.radii):
            raise ValueError(f"spectral radii must be above 0, up to 10, got {self.radii}")
        if not 0 < self.validation_share < 1:
            raise ValueError(f"validation_share must be in 0..1, got {self.validation_share}")


@dataclass(frozen=True)
class _Subject:
    """What a study reads, and the networks that it measures: (name, when, network)."""

    name: str
    vocabulary: Vocabulary
    rows: Tensor  # (rows, warm-up + steps + 1)
    train: Tensor | None
    networks: Networks


def study_gradients(
    settings: GradientStudySettings, *, report_progress: ReportProgress = print
) -> GradientStudy:
    """Measure the flow of the gradient in every network, and train with and without clipping.

    Args:
        settings: see `GradientStudySettings`.
        report_progress: called with a line about each measurement.

    Raises:
        FileNotFoundError: the corpus does not exist.
        ValueError: it is too short or not UTF-8; there is no such study or bundle, or it does not
            match the corpus or cells.
    """
    subject = _subject(settings)
    flows: list[FlowCurve] = []
    for name, when, network in subject.networks:
        measured = gradient_flow(network, subject.rows, settings.steps)
        flows += [FlowCurve.of(name, when, part, ratios) for part, ratios in measured.items()]
        report_progress(
            f"{name} {when}: measured {settings.steps} steps back from {settings.rows} places"
        )
    radii = tuple(sorted(set(settings.radii)))
    start = _vanilla_rnn(subject, settings.seed)
    scaled = tuple(
        MatrixFlow.of(one)
        for one in matrices(start, radii, subject.rows, settings.steps, seed=settings.seed)
    )
    report_progress(f"rnn scaled to {len(radii)} spectral radii: measured")
    starts = tuple(_starts(subject, settings))
    report_progress("initial weights: measured")
    clipping: list[ClippingCurve] = []
    if subject.train is not None and settings.training_steps:
        for radius in sorted({*radii[:1], *radii[-1:]}):
            for clip in (None, _CLIP):
                for seed in range(settings.seed, settings.seed + settings.seeds):
                    network = with_spectral_radius(_vanilla_rnn(subject, seed), radius)
                    run = train_clipped(
                        network,
                        subject.train,
                        start_id=subject.vocabulary.start_id,
                        steps=settings.training_steps,
                        clip=clip,
                        flow_tokens=subject.rows,
                        flow_steps=settings.steps,
                    )
                    clipping.append(ClippingCurve.of(run, spectral_radius=radius, seed=seed))
                report_progress(
                    f"rnn of spectral radius {radius:g} trained {clipping[-1].manner}, "
                    f"{settings.seeds} seeds"
                )
    return GradientStudy(
        text=subject.name,
        steps=settings.steps,
        rows=settings.rows,
        seed=settings.seed,
        units=_UNITS,
        flows=tuple(flows),
        scaled=scaled,
        starts=starts,
        clipping=tuple(clipping),
    )


def _vanilla_rnn(subject: _Subject, seed: int) -> TextNetwork:
    return _new(RecurrentConfig(cell="rnn", hidden_size=_UNITS), subject.vocabulary, seed)


def _starts(subject: _Subject, settings: GradientStudySettings) -> Iterator[FlowCurve]:
    """Measure small networks of each kind from every start; a bundle has its own."""
    if settings.weights:
        return
    for cell in ("rnn", "lstm", "gru"):
        config = RecurrentConfig(cell=cell, hidden_size=_UNITS)
        network = _new(config, subject.vocabulary, settings.seed)
        for when, part, ratios in flows_by_start(
            network, subject.rows, settings.steps, seed=settings.seed
        ):
            yield FlowCurve.of(cell, when, part, ratios)


def _subject(settings: GradientStudySettings) -> _Subject:
    if settings.weights:
        return _bundle(settings, LanguageModel.load(settings.weights, "cpu", "torch"))
    if settings.runs:
        return _study(settings, settings.runs, CellStudy.read(settings.runs))
    assert settings.corpus  # noqa: S101 - the settings have checked
    corpus = Corpus.read(settings.corpus, validation_share=settings.validation_share)
    size = len(corpus.vocabulary)
    configs = [
        nearest_network(cell, settings.parameters, size, layers=settings.layers)[0]
        for cell in check_cells(CELLS if settings.cells is None else settings.cells)
    ]
    networks = (
        (config.cell, BEFORE, _new(config, corpus.vocabulary, settings.seed)) for config in configs
    )
    return _read(settings, settings.corpus.stem, corpus, networks)


def _study(settings: GradientStudySettings, folder: Path, study: CellStudy) -> _Subject:
    """Take the networks of a study of cells: at its best learning rates, on its text."""
    known = study.best
    cells = check_cells(known if settings.cells is None else settings.cells)
    if missing := [cell for cell in cells if cell not in known]:
        raise ValueError(f"{folder} has no {missing[0]}: it has {', '.join(known)}")
    corpus = Corpus.read(
        settings.corpus or Path(study.corpus),
        characters=study.characters,
        validation_share=study.validation_share,
    )

    def networks() -> Networks:
        for cell in cells:
            language_model = LanguageModel.load(
                folder / known[cell].folder / "bundle", "cpu", "torch"
            )
            if language_model.vocabulary.tokens != corpus.vocabulary.tokens:
                raise ValueError(f"{study.corpus} is not the text that {cell} was trained on")
            yield cell, BEFORE, _new(language_model.config.network, corpus.vocabulary, study.seed)
            yield cell, AFTER, _trained(language_model)

    return _read(settings, study.name, corpus, networks())


def _trained(language_model: LanguageModel) -> TextNetwork:
    assert isinstance(language_model.network, TextNetwork)  # noqa: S101 - bundles hold no others
    return language_model.network


def _bundle(settings: GradientStudySettings, language_model: LanguageModel) -> _Subject:
    """Take the network of one bundle, on a corpus or on text that it generates itself."""
    name, network = language_model.config.name, language_model.config.network
    if language_model.config.ends:
        raise ValueError(
            f"{name} writes texts that end by themselves, which are too short to look back"
        )
    untrained = _new(network, language_model.vocabulary, settings.seed)
    networks = iter([(name, BEFORE, untrained), (name, AFTER, _trained(language_model))])
    length = _length(settings)
    if settings.corpus is None:
        written: list[list[int]] = [[] for _ in range(settings.rows)]
        deltas = language_model.generate(
            n=settings.rows,
            seed=settings.seed,
            max_tokens=length,
            temperature=1.0,
            top_k=0,
            top_p=1.0,
            no_repeat_ngram_size=0,
        )
        ids = {token: number for number, token in enumerate(language_model.vocabulary.tokens)}
        for delta in deltas:
            if delta.token is not None:
                written[delta.index].append(ids[delta.token])
        rows = torch.tensor([row[:length] for row in written])
        return _Subject(f"what {name} writes", language_model.vocabulary, rows, None, networks)
    corpus = Corpus.read(
        settings.corpus,
        level=language_model.config.level,
        validation_share=settings.validation_share,
    )
    text = torch.tensor(language_model.encode(corpus.validation_text))
    rows = stretches(text, settings.rows, length, seed=settings.seed)
    train = torch.tensor(language_model.encode(corpus.train_text))
    return _Subject(settings.corpus.stem, language_model.vocabulary, rows, train, networks)


def _read(
    settings: GradientStudySettings, name: str, corpus: Corpus, networks: Networks
) -> _Subject:
    rows = stretches(corpus.validation, settings.rows, _length(settings), seed=settings.seed)
    return _Subject(name, corpus.vocabulary, rows, corpus.train, networks)


def _length(settings: GradientStudySettings) -> int:
    return _WARMUP + settings.steps + 1


def _new(config: RecurrentConfig, vocabulary: Vocabulary, seed: int) -> TextNetwork:
    """Create a network as `LanguageModelTask` does."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return TextNetwork(config, len(vocabulary))
