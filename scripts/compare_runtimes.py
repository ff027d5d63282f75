"""Caption a split with two runtimes, and report how far they agree.

    python scripts/compare_runtimes.py weights/captioner --dataset dataset_flickr8k.json \
        --pictures 'flickr8k-*.tar' --runtimes cpu:torch:float32 cuda:cuda_graphs:float16

For each beam size it prints how many captions are identical, the largest difference between their
log-probabilities, and the CIDEr of each runtime (with the Python tokenizer).
"""

import argparse
from dataclasses import dataclass
from pathlib import Path

from model.captioning.caption import Caption
from model.captioning.captioner import Captioner
from model.data.karpathy import CaptionDataset
from model.evaluation.metrics import Scorer
from model.reporting.progress import batches

BATCH = 16
USUAL = ("cpu:torch:float32", "cpu:openvino:float32")


@dataclass
class Subject:
    """A captioner, and what it says of the pictures at each beam size, in order."""

    name: str
    captioner: Captioner
    captions: dict[int, list[Caption]]


def main() -> None:
    """Caption the split with both runtimes and compare."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("bundle", type=Path, help="captioner")
    parser.add_argument("--dataset", type=Path, required=True, help="Karpathy JSON file")
    parser.add_argument(
        "--pictures", nargs="+", required=True, help="folders and tar files of its pictures"
    )
    parser.add_argument("--split", default="test", help="default: %(default)s")
    parser.add_argument(
        "--beam-size",
        type=int,
        nargs="+",
        default=[3],
        help="default: 3; several are compared in turn",
    )
    parser.add_argument(
        "--runtimes",
        nargs=2,
        default=USUAL,
        metavar="DEVICE:RUNTIME:PRECISION",
        help=f"the two that are compared; default: {' '.join(USUAL)}",
    )
    parser.add_argument("--limit", type=int, help="how many pictures, from the first; default: all")
    arguments = parser.parse_args()

    sizes = arguments.beam_size
    subjects = [load(arguments.bundle, name, sizes) for name in arguments.runtimes]
    dataset = CaptionDataset(arguments.dataset, arguments.pictures)
    entries = dataset.split(arguments.split)[: arguments.limit]
    for batch in batches(entries, BATCH):
        pictures = [dataset.picture(entry) for entry in batch]
        for subject in subjects:
            captioner = subject.captioner
            grid = captioner.encode(captioner.prepare(pictures))
            for size in sizes:
                best = captioner.search(grid, beam_size=size, num_captions=1)
                subject.captions[size] += [caption for (caption,) in best]
    scorer = Scorer([entry.captions for entry in entries], java=False)
    for size in sizes:
        print(f"beam {size}: {compare(subjects, size, scorer)}")


def load(bundle: Path, name: str, sizes: list[int]) -> Subject:
    """Load a captioner as `DEVICE:RUNTIME:PRECISION` says; the device may have a colon of its own.

    Raises:
        SystemExit: the name has not three parts, or there is no such device or runtime.
    """
    try:
        device, runtime, precision = name.rsplit(":", 2)
        captioner = Captioner.load(bundle, device, runtime=runtime, precision=precision)
    except ValueError as error:
        raise SystemExit(f"--runtimes {name}: {error}; such as {USUAL[0]}") from error
    return Subject(name, captioner, {size: [] for size in sizes})


def compare(subjects: list[Subject], size: int, scorer: Scorer) -> str:
    """Return a line that says how alike two captioners' captions are at a beam size."""
    pairs = list(zip(*(subject.captions[size] for subject in subjects), strict=True))
    identical = [(one, other) for one, other in pairs if one.text == other.text]
    difference = max((abs(one.logprob - other.logprob) for one, other in identical), default=0.0)
    ciders = ", ".join(
        f"{scorer.score([c.text for c in subject.captions[size]]).cider:.4f} with {subject.name}"
        for subject in subjects
    )
    return (
        f"{len(identical)} of {len(pairs)} identical, log-probabilities within {difference:.1e}, "
        f"CIDEr {ciders}"
    )


if __name__ == "__main__":
    main()
