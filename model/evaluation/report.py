"""Report an evaluation as JSON and as a Markdown table."""

import json
import random
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from model.evaluation.diversity import Diversity
from model.evaluation.metrics import Scores
from model.evaluation.reliability import Reliability
from model.evaluation.tags import TagThreshold
from model.files import write_text
from model.reporting.tables import table

__all__ = ["PictureCaptions", "Report", "Result", "error_table", "tag_table"]

_SCORES = {
    "bleu_1": "BLEU-1",
    "bleu_2": "BLEU-2",
    "bleu_3": "BLEU-3",
    "bleu_4": "BLEU-4",
    "rouge_l": "ROUGE-L",
    "meteor": "METEOR",
    "cider": "CIDEr",
}
_SHARES = {"copied": "copied", "repeating": "repeating", "ending_badly": "ending badly"}
_CALIBRATION = {"ece": "ECE", "ece_by_chance": "ECE by chance", "brier": "Brier"}
_COUNTS = {"distinct": "distinct captions", "vocabulary": "distinct words"}

_EXAMPLES = 12


@dataclass(frozen=True)
class Result:
    """The scores and diversity of the captions of one `beam_size`.

    `calibration` measures the confidence of those that have one; None if there are none.
    """

    beam_size: int
    scores: Scores
    diversity: Diversity
    calibration: Reliability | None = None


@dataclass(frozen=True)
class PictureCaptions:
    """A picture's captions by beam size, and its `references`, all raw sentences."""

    filename: str
    captions: Mapping[int, str]
    references: tuple[str, ...]

    def as_dict(self) -> dict[str, Any]:
        """Return everything ready for JSON, whose keys must be text: beam sizes become strings."""
        captions = {str(beam_size): text for beam_size, text in self.captions.items()}
        return {
            "filename": self.filename,
            "captions": captions,
            "references": list(self.references),
        }


@dataclass(frozen=True)
class Report:
    """The results of one model on one split of one data set, by beam size.

    Attributes:
        model, version: what was evaluated.
        dataset, split, pictures: what it was evaluated on; `pictures` is their number.
        tokenizer: the tokenizer of all captions.
        meteor: the program that computed METEOR; None if there was none.
        seconds: for captioning and scoring together.
        results: one for each beam size.
        good_cider: the CIDEr-D, 0 to 10, from which a caption is good, where confidence is
            measured.
        tags: what is left of the tags at each threshold, and how much of it is true.
        captions: of each picture; written to a file of their own.
    """

    model: str
    version: str
    dataset: str
    split: str
    pictures: int
    tokenizer: str
    meteor: str | None
    seconds: float
    results: tuple[Result, ...]
    good_cider: float | None = None
    tags: tuple[TagThreshold, ...] = ()
    captions: tuple[PictureCaptions, ...] = ()

    def as_dict(self) -> dict[str, Any]:
        """Return everything except the captions, ready for JSON."""
        found = asdict(self)
        del found["captions"]
        return found | {
            "results": [asdict(result) for result in self.results],
            "tags": [asdict(threshold) for threshold in self.tags],
        }

    def as_markdown(self) -> str:
        """Return a table with a row for each beam size, how scores were computed, and examples.

        Scores and shares are printed times a hundred, as papers do. The dozen example pictures
        are drawn at random, the same ones at every evaluation of the split.
        """
        calibrated = self.good_cider is not None
        names = ["beam", *_SCORES.values(), "words", *_COUNTS.values(), *_SHARES.values()]
        names += _CALIBRATION.values() if calibrated else ()
        lines = [
            f"# {self.model} {self.version} on {self.dataset} {self.split}",
            "",
            table(names, [_cells(one, calibrated=calibrated) for one in self.results], text=0),
            "",
            f"{self.pictures} pictures in {self.seconds:.1f} s. Scores and shares are times 100; "
            "CIDEr is CIDEr-D, as coco-caption computes it. "
            f"Tokenizer: {self.tokenizer}. METEOR: {self.meteor or 'not computed'}.",
        ]
        if self.good_cider is not None:
            lines[-1] += (
                " ECE (ten bins of equal width; by chance is what it would be if every confidence "
                "were true) and Brier score are of the confidence that CIDEr is "
                f"{100 * self.good_cider:.1f} or more."
            )
        return "\n".join([*lines, *self._errors(), *self._tags(), *self._examples()]) + "\n"

    def write(self, path: str | Path) -> tuple[Path, ...]:
        """Write `path.json`, `path.md` and, where there are captions, `path-captions.json`.

        Each file appears whole or not at all.

        Args:
            path: the files' common path, without an extension; folders are created.

        Returns:
            The files written.

        Raises:
            OSError: a file cannot be written.
        """
        path = Path(path)
        contents = {
            path.with_name(f"{path.name}.json"): _json(self.as_dict()),
            path.with_name(f"{path.name}.md"): self.as_markdown(),
        }
        if self.captions:
            captions = [picture.as_dict() for picture in self.captions]
            contents[path.with_name(f"{path.name}-captions.json")] = _json(captions)
        for file, text in contents.items():
            write_text(file, text)
        return tuple(contents)

    def _errors(self) -> list[str]:
        measured = [one for one in self.results if one.calibration is not None]
        if not measured:
            return []
        header, rows = error_table(asdict(self))
        return [
            "",
            "Captions that are kept at each `min_confidence`, and how many of those are wrong, "
            "times 100:",
            "",
            table(header, rows, text=0),
        ]

    def _tags(self) -> list[str]:
        if not self.tags:
            return []
        header, rows = tag_table(asdict(self))
        return ["", "Tags of each probability or more:", "", table(header, rows, text=0)]

    def _examples(self) -> list[str]:
        if not self.captions:
            return []
        best = max(self.results, key=lambda result: result.scores.cider).beam_size
        count = min(_EXAMPLES, len(self.captions))
        drawn = random.Random(0).sample(self.captions, count)  # noqa: S311 - no secret
        return [
            "",
            f"Some of the pictures, drawn at random; beam {best}:",
            "",
            table(
                ["picture", "caption", "a person's"],
                [[one.filename, one.captions[best], one.references[0]] for one in drawn],
                text=3,
            ),
        ]


def _cells(result: Result, *, calibrated: bool) -> list[str]:
    return [
        str(result.beam_size),
        *(_hundredfold(getattr(result.scores, name)) for name in _SCORES),
        f"{result.diversity.mean_length:.1f}",
        *(str(getattr(result.diversity, name)) for name in _COUNTS),
        *(_hundredfold(getattr(result.diversity, name)) for name in _SHARES),
        *(
            _hundredfold(getattr(result.calibration, name, None))
            for name in _CALIBRATION
            if calibrated
        ),
    ]


def error_table(report: Mapping[str, Any]) -> tuple[list[str], list[list[str]]]:
    """Return the header and rows of a table of wrong captions at each `min_confidence`.

    Args:
        report: a `Report.as_dict`, or the JSON that was written of it.
    """
    results = [one for one in report["results"] if one["calibration"]]
    header = ["min_confidence"]
    for one in results:
        header += [f"beam {one['beam_size']}, kept", "wrong"]
    rows = []
    for place, first in enumerate(results[0]["calibration"]["thresholds"]):
        row = [f"{first['min_confidence']:.1f}"]
        for one in results:
            threshold = one["calibration"]["thresholds"][place]
            row += [_hundredfold(threshold["kept"]), _hundredfold(threshold["wrong"])]
        rows.append(row)
    return header, rows


def tag_table(report: Mapping[str, Any]) -> tuple[list[str], list[list[str]]]:
    """Return the header and rows of a table of tags at each probability; see `error_table`."""
    header = ["probability", "tags a picture", "true", "nouns", "true", "verbs", "true"]
    by_kind = {
        kind: {one["min_probability"]: one for one in report["tags"] if one["kind"] == kind}
        for kind in (None, "noun", "verb")
    }
    rows = []
    for threshold in by_kind[None]:
        row = [f"{threshold:.1f}"]
        for measured in by_kind.values():
            one = measured[threshold]
            row += [f"{one['per_picture']:.1f}", _hundredfold(one["precision"])]
        rows.append(row)
    return header, rows


def _hundredfold(value: float | None) -> str:
    return "-" if value is None else f"{100 * value:.1f}"


def _json(content: object) -> str:
    return json.dumps(content, indent=2, ensure_ascii=False) + "\n"
