"""Report how a captioner was finalized as JSON, Markdown and reliability curves."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from model.config import (
    CalibrationConfig,
    ConsensusConfig,
    FeatureName,
    GoldenConfig,
    TaggingConfig,
)
from model.evaluation.reliability import Reliability
from model.files import write_text
from model.reporting.plots import COLOURS, Line, Panel, draw
from model.reporting.tables import table

__all__ = ["FinalizeReport", "SetReport"]

_FEW_PICTURES = 1000  # measured: docs/recipes.md, version 4.3


@dataclass(frozen=True)
class SetReport:
    """The reliability of the confidence on a set (`flickr8k/val`) at one beam size."""

    name: str
    beam_size: int
    reliability: Reliability


@dataclass(frozen=True)
class FinalizeReport:
    """How a captioner was finalized.

    Attributes:
        model, version: of the captioner.
        calibration: the fit.
        losses: held-out log-loss, in nats, for each set of features that was tried.
        sets: the confidence on each set at each beam size; each caption's by a fit without its
            picture.
        training_pictures: how many the mean context, and the consensus if there is one,
            were computed from.
        consensus: how captions are reranked; None: not at all.
        tagging: how probable tags are; None without a word detector.
        golden: pictures of the self-test.
        golden_given: how many pictures were offered for it; the captions of the others depend on
            rounding.
    """

    model: str
    version: str
    calibration: CalibrationConfig
    losses: Mapping[tuple[FeatureName, ...], float]
    sets: tuple[SetReport, ...]
    training_pictures: int
    consensus: ConsensusConfig | None
    golden: tuple[GoldenConfig, ...]
    golden_given: int
    tagging: TaggingConfig | None = None

    def as_dict(self) -> dict[str, Any]:
        """Return everything, ready for JSON."""
        losses = {", ".join(features): loss for features, loss in self.losses.items()}
        return asdict(self) | {"losses": losses}

    def as_markdown(self) -> str:
        """Return the fit, and its reliability on each set."""
        fitted = self.calibration
        terms = " ".join(
            f"{coefficient:+.4g} {name}"
            for coefficient, name in zip(fitted.coefficients, fitted.features, strict=True)
        )
        rows = [
            [
                one.name,
                str(one.beam_size),
                str(one.reliability.count),
                f"{100 * fitted.cider[one.name]:.1f}",
                *(
                    f"{100 * value:.1f}"
                    for value in (
                        one.reliability.good,
                        one.reliability.confidence,
                        one.reliability.ece,
                        one.reliability.ece_equal_mass,
                        one.reliability.ece_by_chance,
                        one.reliability.brier,
                    )
                ),
            ]
            for one in self.sets
        ]
        header = (
            "set,beam,captions,good from CIDEr,good,confidence,ECE,ECE equal mass,ECE by chance"
        )
        return "\n".join(
            [
                f"# {self.model} {self.version}, finalized",
                "",
                f"confidence = sigmoid({fitted.intercept:.4g} {terms})",
                "",
                f"is the chance that a caption is closer to people's captions, by CIDEr-D, than "
                f"{100 * fitted.level:.0f}% of people's own are to each other. For each caption "
                "below, it was fitted without its picture. All numbers are times 100; ECE has ten "
                "bins of equal width, or of equal mass, and by chance is what it would be if every "
                "confidence were true.",
                "",
                table([*header.split(","), "Brier"], rows),
                "",
                f"The mean context is of {self.training_pictures} pictures. {self._order()} Golden "
                f"pictures, {len(self.golden)} of the {self.golden_given} given (the others' "
                "captions change when pixels change by one grey level):",
                "",
                *(f"- {one.file}: {one.text} ({one.logprob:.3f})" for one in self.golden),
                "",
            ]
        )

    def write(self, folder: Path) -> None:
        """Write `calibration.json`, `calibration.md` and `reliability.png`.

        Raises:
            OSError: a file cannot be written.
        """
        text = json.dumps(self.as_dict(), indent=2, ensure_ascii=False) + "\n"
        write_text(folder / "calibration.json", text)
        write_text(folder / "calibration.md", self.as_markdown())
        draw(self._panels(), folder / "reliability.png")

    def _order(self) -> str:
        if self.consensus is None:
            return "Captions are ordered by their log-probabilities."
        order = (
            "Captions are reranked by agreement with the words that people would use, by a "
            "regression on these."
        )
        if self.training_pictures < _FEW_PICTURES:
            order += (
                f" With fewer than {_FEW_PICTURES:,} it may do more harm than good: compare with "
                "a bundle that is finalized with `--no-consensus`."
            )
        return order

    def _panels(self) -> list[Panel]:
        colours = [colour for name, colour in COLOURS.items() if name != "rnn"]
        names = dict.fromkeys(one.name for one in self.sets)
        panels = []
        for name in names:
            lines = [Line("", [0, 1], [0, 1], COLOURS["rnn"], style="--", width=1)]
            reports = [one for one in self.sets if one.name == name]
            for number, one in enumerate(reports):
                bins = one.reliability.equal_mass
                # Two standard errors of each share.
                spread = [2 * (b.good * (1 - b.good) / b.count) ** 0.5 for b in bins]
                lines.append(
                    Line(
                        f"beam {one.beam_size}, ECE {100 * one.reliability.ece:.1f}",
                        [b.confidence for b in bins],
                        [b.good for b in bins],
                        colours[number % len(colours)],
                        marker="o",
                        low=[b.good - s for b, s in zip(bins, spread, strict=True)],
                        high=[b.good + s for b, s in zip(bins, spread, strict=True)],
                    )
                )
            panels.append(Panel(name, "confidence", "share that is good", lines, counts=False))
        return panels
