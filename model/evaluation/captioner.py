"""Caption a split of a data set with several beam sizes, and score the captions.

`unrolled evaluate captioner` runs this.
"""

import time
from collections.abc import Collection, Sequence

import torch

from model.captioning.caption import Caption
from model.captioning.captioner import Captioner
from model.captioning.tags import Tag
from model.config import CalibrationConfig, DecodingConfig
from model.data.karpathy import CaptionDataset
from model.evaluation.diversity import known_captions, measure_diversity
from model.evaluation.meteor import NAME as METEOR
from model.evaluation.metrics import Scorer
from model.evaluation.quality import Judge, TooFewCaptions
from model.evaluation.reliability import Reliability, measure_reliability
from model.evaluation.report import PictureCaptions, Report, Result
from model.evaluation.tags import measure_tags
from model.reporting.progress import batches

__all__ = ["evaluate"]


def evaluate(
    captioner: Captioner,
    dataset: CaptionDataset,
    *,
    split: str,
    beam_sizes: Sequence[int] = (1, 3, 5),
    decoding: DecodingConfig | None = None,
    batch_size: int = 32,
    java: bool | None = None,
    training_captions: Collection[str] | None = None,
    progress: bool = True,
) -> Report:
    """Caption every picture of a split once for each beam size, and score the best captions.

    If the captioner can tag pictures, the tags are measured too.

    Args:
        captioner: the model.
        dataset: the pictures and their reference captions.
        split: which of the data set's splits.
        beam_sizes: distinct, each at least 1.
        decoding: how to search, apart from the beam size; None takes the captioner's default.
        batch_size: how many pictures are read and captioned together.
        java: whether to use Stanford's tokenizer and METEOR; None uses them if installed.
        training_captions: what the model was trained on, to find copies.
        progress: whether to show a progress bar on standard error.

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
    # Fails before hours of captioning if references cannot be scored or Java is missing.
    scorer = Scorer([entry.captions for entry in entries], java=java)

    decoding = decoding or captioner.config.decoding
    known = None if training_captions is None else known_captions(training_captions)
    judge = _judge(captioner.config.calibration, scorer)

    tags: list[list[Tag]] = []
    found: dict[int, list[Caption]] = {beam_size: [] for beam_size in beam_sizes}
    for batch in batches(entries, batch_size, show=progress):
        pictures = [dataset.picture(entry) for entry in batch]
        if captioner.has_tags:
            tags.extend(captioner.tags(captioner.encode(captioner.prepare(pictures))))
        for beam_size, captions in found.items():
            nbest = captioner.caption(pictures, decoding.merge(beam_size=beam_size))
            captions.extend(best for best, *_ in nbest)

    texts = {beam_size: [one.text for one in captions] for beam_size, captions in found.items()}
    results = tuple(
        Result(
            beam_size,
            scorer.score(texts[beam_size]),
            measure_diversity(texts[beam_size], known),
            None if judge is None else _reliability(captions, judge),
        )
        for beam_size, captions in found.items()
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
        good_cider=None if judge is None else judge.cider,
        tags=measure_tags(tags, [entry.captions for entry in entries]) if tags else (),
        captions=tuple(
            PictureCaptions(
                filename=entry.filename,
                captions={beam_size: texts[beam_size][index] for beam_size in beam_sizes},
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


def _judge(calibration: CalibrationConfig | None, scorer: Scorer) -> Judge | None:
    """Build the judge of good captions, if there is a confidence and enough references."""
    if calibration is None:
        return None
    try:
        return Judge.at(calibration.level, scorer)
    except TooFewCaptions:
        return None


def _reliability(captions: Sequence[Caption], judge: Judge) -> Reliability | None:
    """Compare confidences with what is good; captions that were drawn or cut off have none."""
    good = judge([caption.text for caption in captions])
    known = [
        (caption.confidence, is_good)
        for caption, is_good in zip(captions, good, strict=True)
        if caption.confidence is not None
    ]
    if not known:
        return None
    confidences, outcomes = zip(*known, strict=True)
    return measure_reliability(torch.tensor(confidences), torch.tensor(outcomes))
