"""Gives a trained captioner what it can only have once it is trained.

What people said of its training pictures, for a consensus; a confidence, fitted to what it
writes about pictures it has not seen; the mean picture, for image_gain; golden pictures with their
captions, for the self-test. What `unrolled finalize captioner` runs. All belong to the very weights
and the default decoding that they were made with: a bundle whose decoding changes is to be
finished again.
"""

import copy
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import torch
from PIL import Image

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
from model.training.finalize.neighbours import build_neighbour_index
from model.training.finalize.report import FinalizeReport, SetReport
from model.training.finalize.training_pictures import (
    TrainingPictures,
    encode_training_pictures,
    some_entries,
)

__all__ = [
    "FinalizeSettings",
    "Finalized",
    "choose_golden",
    "finalize",
]

_GOLDEN_SIDE = 256  # pixels: a PNG of some 100 kB


@dataclass(frozen=True)
class FinalizeSettings:
    """How a captioner is finished.

    Attributes:
        split: of each set, whose pictures were not trained on: the confidence is fitted to them.
        training_split: of each set, whose pictures the mean picture is made of, and whose
            captions the consensus.
        consensus: how captions are ordered by default; None makes no consensus.
        beam_sizes: the confidence is to hold for captions of each.
        level: the share of people's captions that are not good, 0 to 1 (see `Judge`).
        limit: pictures of a split at most, evenly spread; None takes all.
        batch_size: pictures that are captioned together.
        java: whether to use Stanford's tokenizer; None means "where it is there".
        progress: whether to show how far it is, on standard error.
    """

    split: str = "val"
    training_split: str = "train"
    consensus: ConsensusConfig | None = field(default_factory=ConsensusConfig)
    beam_sizes: tuple[int, ...] = (1, 3, 5)
    level: float = LEVEL
    limit: int | None = None
    batch_size: int = 32
    java: bool | None = None
    progress: bool = True


@dataclass(frozen=True)
class Finalized:
    """A finished captioner, not yet written."""

    captioner: Captioner
    report: FinalizeReport

    def write(self, folder: Path) -> None:
        """Write the bundle, load it again, and have it test itself.

        Raises:
            ValueError: the folder holds something else than a bundle.
            BundleError: the bundle cannot be used.
        """
        if folder.exists() and not (folder / "config.json").exists():
            raise ValueError(f"{folder} is there and no bundle: give a new folder")
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
    """Make the consensus, find the mean picture, caption the golden ones, fit the confidence.

    Args:
        captioner: trained; its decoding, but for the consensus, is the one that is to stay.
        datasets: each with the two splits of the settings.
        golden: pictures for the self-test, RGB; see `choose_golden`.
        settings: see there.

    Raises:
        ValueError: a split is unknown or empty, the confidence cannot be fitted, or a golden
            picture will not do.
    """
    seen = encode_training_pictures(
        captioner,
        datasets,
        split=settings.training_split,
        limit=settings.limit,
        batch_size=settings.batch_size,
        progress=settings.progress,
    )
    captioner = _agree(captioner, seen, settings.consensus)
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
    config = replace(
        captioner.config,
        calibration=calibration,
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
        training_pictures=len(seen.captions),
        consensus=settings.consensus,
        golden=config.golden,
        golden_given=len(golden),
    )
    finished = Captioner.of(
        captioner.network,
        config,
        captioner.vocabulary,
        device=captioner.device,
        card=captioner.card,
        mean_context=seen.mean_context,
        reranker=captioner.reranker,
        golden=kept,
    )
    return Finalized(finished, report)


def _agree(
    captioner: Captioner, seen: TrainingPictures, config: ConsensusConfig | None
) -> Captioner:
    """Give a captioner a consensus, or none, that its decoding asks for by default."""
    reranker = None
    if config is not None:
        known = build_neighbour_index(seen.features, seen.captions, captioner.vocabulary)
        reranker = ConsensusReranker(known, config, len(captioner.vocabulary))
    decoding = replace(captioner.config.decoding, consensus=config is not None)
    return Captioner.of(
        captioner.network,
        replace(captioner.config, decoding=decoding, consensus=config, calibration=None),
        captioner.vocabulary,
        device=captioner.device,
        card=captioner.card,
        reranker=reranker,
    )


def choose_golden(
    captioner: Captioner, pictures: Sequence[Image.Image]
) -> tuple[GoldenPicture, ...]:
    """Make pictures small, and caption them as a CPU does in single precision.

    A picture whose caption changes when every pixel moves by a grey level at random is no test,
    since another processor's rounding might change it too: it is left out.

    Raises:
        ValueError: of the pictures that were given, none is a test, or more than ten.
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
    chance = np.random.default_rng(0)
    golden: list[GoldenPicture] = []
    for picture in pictures:
        small = picture.convert("RGB")
        small.thumbnail((_GOLDEN_SIDE, _GOLDEN_SIDE))
        pixels = np.asarray(small, dtype=np.int16)
        moved = (pixels + chance.integers(-1, 2, pixels.shape)).clip(0, 255).astype(np.uint8)
        best, other = (captioner.caption([one])[0][0] for one in (small, Image.fromarray(moved)))
        if best.text == other.text:
            file = f"golden/{len(golden) + 1}.png"
            golden.append(GoldenPicture(small, GoldenConfig(file, best.text, best.logprob)))
    if pictures and not golden:
        raise ValueError(
            "every golden picture has another caption when its pixels move by one grey level: "
            "choose others"
        )
    return tuple(golden)


def _caption_split(
    captioner: Captioner, dataset: CaptionDataset, settings: FinalizeSettings
) -> tuple[dict[int, list[Sample]], Judge]:
    """Caption a set's split by every beam size, and judge each picture's best caption."""
    entries = some_entries(dataset, settings.split, settings.limit)
    scorer = Scorer([entry.captions for entry in entries], java=settings.java)
    judge = Judge.at(settings.level, scorer)  # may fail, and captioning takes long
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
