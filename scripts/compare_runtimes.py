"""Caption a split with PyTorch and with OpenVINO, and report how far they agree.

    python scripts/compare_runtimes.py weights/captioner --dataset dataset_flickr8k.json \
        --pictures 'flickr8k-*.tar'

For each beam size it prints how many captions are identical, the largest difference between their
log-probabilities, and the CIDEr of each runtime (with the Python tokenizer).
"""

import argparse
from pathlib import Path

from model.captioning.captioner import Captioner
from model.data.karpathy import CaptionDataset
from model.evaluation.metrics import Scorer
from model.reporting.progress import batches

BATCH = 16
RUNTIMES = ("torch", "openvino")


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
        "--precision", default="float32", help="precision of OpenVINO; default: %(default)s"
    )
    parser.add_argument("--limit", type=int, help="how many pictures, from the first; default: all")
    arguments = parser.parse_args()

    captioners = [
        Captioner.load(arguments.bundle, "cpu", runtime="torch"),
        Captioner.load(arguments.bundle, "cpu", runtime="openvino", precision=arguments.precision),
    ]
    dataset = CaptionDataset(arguments.dataset, arguments.pictures)
    entries = dataset.split(arguments.split)[: arguments.limit]
    captions = {(runtime, size): [] for runtime in RUNTIMES for size in arguments.beam_size}
    for batch in batches(entries, BATCH):
        pictures = [dataset.picture(entry) for entry in batch]
        for runtime, captioner in zip(RUNTIMES, captioners, strict=True):
            grid = captioner.encode(captioner.prepare(pictures))
            for size in arguments.beam_size:
                best = captioner.search(grid, beam_size=size, num_captions=1)
                captions[runtime, size] += [caption for (caption,) in best]
    scorer = Scorer([entry.captions for entry in entries], java=False)
    for size in arguments.beam_size:
        pairs = list(zip(*(captions[runtime, size] for runtime in RUNTIMES), strict=True))
        identical = [(torch, openvino) for torch, openvino in pairs if torch.text == openvino.text]
        difference = max(
            (abs(torch.logprob - openvino.logprob) for torch, openvino in identical), default=0.0
        )
        ciders = [
            scorer.score([caption.text for caption in captions[runtime, size]]).cider
            for runtime in RUNTIMES
        ]
        print(
            f"beam {size}: {len(identical)} of {len(pairs)} identical, log-probabilities within "
            f"{difference:.1e}, CIDEr {ciders[0]:.4f} with PyTorch, {ciders[1]:.4f} with OpenVINO"
        )


if __name__ == "__main__":
    main()
