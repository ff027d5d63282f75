"""Caption a split by PyTorch and by OpenVINO, and say how far they agree.

    python scripts/compare_runtimes.py weights/captioner --dataset dataset_flickr8k.json \
        --pictures 'flickr8k-*.tar'

Prints for each beam size how many captions are the same word for word, the largest difference of
log-probabilities among those, and CIDEr by each runtime (Python's tokenizer).
"""

import argparse
from pathlib import Path

from rich.progress import track

from model.captioning.captioner import Captioner
from model.data.karpathy import CaptionDataset
from model.evaluation.metrics import Scorer

BATCH = 16
RUNTIMES = ("torch", "openvino")


def main() -> None:
    """Read options, caption, compare."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("bundle", type=Path)
    parser.add_argument("--dataset", type=Path, required=True)
    parser.add_argument("--pictures", nargs="+", required=True)
    parser.add_argument("--split", default="test")
    parser.add_argument("--beam-size", type=int, nargs="+", default=[3])
    parser.add_argument("--precision", default="float32", help="of OpenVINO's arithmetic")
    parser.add_argument("--limit", type=int, help="pictures, from the first")
    arguments = parser.parse_args()

    captioners = [
        Captioner.load(arguments.bundle, "cpu", runtime="torch"),
        Captioner.load(arguments.bundle, "cpu", runtime="openvino", precision=arguments.precision),
    ]
    dataset = CaptionDataset(arguments.dataset, arguments.pictures)
    entries = dataset.split(arguments.split)[: arguments.limit]
    found = {(runtime, size): [] for runtime in RUNTIMES for size in arguments.beam_size}
    for start in track(range(0, len(entries), BATCH), description="captioning"):
        pictures = [dataset.picture(entry) for entry in entries[start : start + BATCH]]
        for runtime, captioner in zip(RUNTIMES, captioners, strict=True):
            grid = captioner.encode(captioner.prepare(pictures))
            for size in arguments.beam_size:
                best = captioner.search(grid, beam_size=size, num_captions=1)
                found[runtime, size] += [caption for (caption,) in best]
    scorer = Scorer([entry.captions for entry in entries], java=False)
    for size in arguments.beam_size:
        pairs = list(zip(*(found[runtime, size] for runtime in RUNTIMES), strict=True))
        same = [(one, other) for one, other in pairs if one.text == other.text]
        apart = max((abs(one.logprob - other.logprob) for one, other in same), default=0.0)
        ciders = [
            scorer.score([caption.text for caption in found[runtime, size]]).cider
            for runtime in RUNTIMES
        ]
        print(
            f"beam {size}: {len(same)} of {len(pairs)} the same, log-probabilities within "
            f"{apart:.1e}, CIDEr {ciders[0]:.4f} by PyTorch and {ciders[1]:.4f} by OpenVINO"
        )


if __name__ == "__main__":
    main()
