"""Add to a captioner what can only be computed once it is trained.

The words that people would use of a picture, for the consensus reranker; a confidence, and the
probabilities of tags, calibrated on pictures it has not seen; the mean context, for the image gain;
golden pictures with their captions, for the self-test. `unrolled finalize captioner` runs this. All
of it belongs to exactly the weights and the default decoding that it was computed with: finalize a
bundle again when either changes.
"""

import copy
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from model.bundle.format import CONFIG
from model.bundle.write import save_bundle
from model.captioning.calibration import Evidence
from model.captioning.caption import Caption
from model.captioning.captioner import Captioner
from model.captioning.consensus import ConsensusReranker
from model.captioning.self_test import GoldenPicture
from model.config import ConsensusConfig, GoldenConfig
from model.data.karpathy import CaptionDataset
from model.evaluation.metrics import Scorer
from model.evaluation.quality import LEVEL, Judge
from model.evaluation.reliability import measure_reliability
from model.reporting.progress import batches
from model.training.finalize.calibration import Sample, calibrate
from model.training.finalize.expected_words import fit_expected_words
from model.training.finalize.report import FinalizeReport, SetReport
from model.training.finalize.tagging import calibrate_tags
from model.training.finalize.training_pictures import (
    TrainingPictures,
    encode_training_pictures,
    some_entries,
)

__all__ = [
    "CONSENSUS",
    "FinalizeSettings",
    "Finalized",
    "choose_golden",
    "finalize",
]

# Chosen on validation pictures, see docs/recipes.md. With more than the beam of the captions that a
# search comes by, the best are better.
CONSENSUS = ConsensusConfig(likelihood=0.4, rarity=0.04, candidates=4)

_GOLDEN_SIDE = 256  # pixels: a PNG of some 100 kB
_MOST_GOLDEN = 10


@dataclass(frozen=True)
class FinalizeSettings:
    """How a captioner is finalized.

    Attributes:
        split: of each data set, not trained on: the confidence is fitted to it.
        training_split: of each data set, trained on: gives the mean context and the expected
            words.
        consensus: how captions are reranked by default; None: not at all.
        beam_sizes: for which the confidence is fitted.
        level: the share of people's captions that are not good, 0 to 1 (see `Judge`).
        limit: the most pictures of a split, evenly spread; None takes all.
        batch_size: pictures that are captioned together.
        java: whether to use Stanford's tokenizer; None uses it if installed.
        progress: whether to show a progress bar on standard error.
    """

    split: str = "val"
    training_split: str = "train"
    consensus: ConsensusConfig | None = CONSENSUS
    beam_sizes: tuple[int, ...] = (1, 3, 5)
    level: float = LEVEL
    limit: int | None = None
    batch_size: int = 32
    java: bool | None = None
    progress: bool = True


@dataclass(frozen=True)
class Finalized:
    """A finalized captioner, not yet written."""

    captioner: Captioner
    report: FinalizeReport

    def write(self, folder: Path) -> None:
        """Write the bundle, load it again, and run its self-test.

        Raises:
            ValueError: the folder holds something other than a bundle.
            BundleError: the bundle cannot be used.
        """
        if folder.exists() and not (folder / CONFIG).exists():
            raise ValueError(f"{folder} exists and is not a bundle: give a new folder")
        captioner = self.captioner
        save_bundle(
            folder,
            captioner.config,
            captioner.network.state_dict(),
            captioner.vocabulary,
            captioner.card,
            files=captioner.optional_files(),
        )
        Captioner.load(folder, "cpu", self_test=True)


def finalize(
    captioner: Captioner,
    datasets: Sequence[CaptionDataset],
    golden: Sequence[Image.Image],
    settings: FinalizeSettings,
) -> Finalized:
    """Fit the expected words, build mean context and golden pictures, and fit the confidence.

    Args:
        captioner: trained; its decoding, except for the consensus, is kept.
        datasets: each with the two splits of the settings.
        golden: at most ten pictures for the self-test, RGB; see `choose_golden`.
        settings: see `FinalizeSettings`.

    Raises:
        ValueError: a split is unknown or empty, the confidence cannot be fitted, or the golden
            pictures are unsuitable or too many.
    """
    if len(golden) > _MOST_GOLDEN:
        raise ValueError(f"at most ten golden pictures, not {len(golden)}: leave some out")
    training = encode_training_pictures(
        captioner,
        datasets,
        split=settings.training_split,
        limit=settings.limit,
        batch_size=settings.batch_size,
        progress=settings.progress,
    )
    captioner = _with_consensus(captioner, training, settings.consensus)
    kept = choose_golden(captioner, golden)
    samples: dict[tuple[str, int], list[Sample]] = {}  # by set and beam size
    ciders: dict[str, float] = {}
    for dataset in datasets:
        name = f"{dataset.name}/{settings.split}"
        found, judge = _caption_split(captioner, dataset, settings)
        samples |= {(name, beam_size): captions for beam_size, captions in found.items()}
        ciders[name] = judge.cider
    calibrated = calibrate([one for each in samples.values() for one in each], settings.level)
    held_out = torch.split(calibrated.confidences, [len(each) for each in samples.values()])
    calibration = replace(calibrated.config, cider=ciders)
    tagging = calibrate_tags(
        captioner,
        datasets,
        split=settings.split,
        limit=settings.limit,
        batch_size=settings.batch_size,
        progress=settings.progress,
    )
    config = replace(
        captioner.config,
        calibration=calibration,
        tagging=tagging,
        golden=tuple(one.expected for one in kept),
    )
    report = FinalizeReport(
        model=config.name,
        version=config.version,
        calibration=calibration,
        losses=calibrated.losses,
        sets=tuple(
            SetReport(
                name,
                beam_size,
                measure_reliability(chances, torch.tensor([one.good for one in each])),
            )
            for ((name, beam_size), each), chances in zip(samples.items(), held_out, strict=True)
        ),
        training_pictures=len(training.captions),
        consensus=settings.consensus,
        tagging=tagging,
        golden=config.golden,
        golden_given=len(golden),
    )
    finalized = Captioner.of(
        captioner.network,
        config,
        captioner.vocabulary,
        device=captioner.device,
        card=captioner.card,
        mean_context=training.mean_context,
        reranker=captioner.reranker,
        golden=kept,
    )
    return Finalized(finalized, report)


def _with_consensus(
    captioner: Captioner, training: TrainingPictures, config: ConsensusConfig | None
) -> Captioner:
    """Return the captioner with a consensus reranker on by default, or without one."""
    reranker = None
    if config is not None:
        words = fit_expected_words(training.features, training.captions, captioner.vocabulary)
        reranker = ConsensusReranker(words, config, len(captioner.vocabulary))
    decoding = replace(captioner.config.decoding, consensus=config is not None)
    return Captioner.of(
        captioner.network,
        replace(
            captioner.config, decoding=decoding, consensus=config, calibration=None, tagging=None
        ),
        captioner.vocabulary,
        device=captioner.device,
        card=captioner.card,
        reranker=reranker,
    )


def choose_golden(
    captioner: Captioner, pictures: Sequence[Image.Image]
) -> tuple[GoldenPicture, ...]:
    """Shrink pictures, and caption them on the CPU in single precision.

    A picture whose caption changes when every pixel changes by up to one grey level at random is
    left out, since another processor's rounding might change it too.

    Raises:
        ValueError: every picture had to be left out.
    """
    if captioner.device != "cpu":
        network = copy.deepcopy(captioner.network)
        captioner = Captioner.of(
            network,
            captioner.config,
            captioner.vocabulary,
            device="cpu",
            reranker=captioner.reranker,
        )
    generator = np.random.default_rng(0)
    golden: list[GoldenPicture] = []
    for picture in pictures:
        small = picture.convert("RGB")
        small.thumbnail((_GOLDEN_SIDE, _GOLDEN_SIDE))
        pixels = np.asarray(small, dtype=np.int16)
        changed = (pixels + generator.integers(-1, 2, pixels.shape)).clip(0, 255).astype(np.uint8)
        best, other = (captioner.caption([one])[0][0] for one in (small, Image.fromarray(changed)))
        if best.text == other.text:
            file = f"golden/{len(golden) + 1}.png"
            golden.append(GoldenPicture(small, GoldenConfig(file, best.text, best.logprob)))
    if pictures and not golden:
        raise ValueError(
            "every golden picture gets another caption when its pixels change by one grey level: "
            "choose others"
        )
    return tuple(golden)


def _caption_split(
    captioner: Captioner, dataset: CaptionDataset, settings: FinalizeSettings
) -> tuple[dict[int, list[Sample]], Judge]:
    """Caption a data set's split with every beam size, and judge each picture's best caption."""
    entries = some_entries(dataset, settings.split, settings.limit)
    scorer = Scorer([entry.captions for entry in entries], java=settings.java)
    judge = Judge.at(settings.level, scorer)  # fails early, before hours of captioning
    found: dict[int, list[Caption]] = {beam_size: [] for beam_size in settings.beam_sizes}
    for batch in batches(entries, settings.batch_size, show=settings.progress):
        grid = captioner.encode(captioner.prepare([dataset.picture(entry) for entry in batch]))
        for beam_size, captions in found.items():
            best = captioner.search(grid, beam_size=beam_size, num_captions=1)
            captions.extend(caption for (caption,) in best)
    samples = {
        beam_size: [
            Sample(
                picture=f"{dataset.name}/{entry.filename}",
                evidence=Evidence(
                    logprobs=tuple(token.logprob for token in caption.tokens),
                    finished=caption.finished,
                    beam_size=beam_size,
                    agreement=caption.agreement or 0.0,
                ),
                good=good,
            )
            for entry, caption, good in zip(
                entries, captions, judge([caption.text for caption in captions]), strict=True
            )
        ]
        for beam_size, captions in found.items()
    }
    return samples, judge
