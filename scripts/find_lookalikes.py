"""Find the training pictures that look alike, for rewards with `lookalike_share`.

    python scripts/find_lookalikes.py runs/captioner/bundle --dataset dataset_flickr8k.json \
        --pictures 'flickr8k-*.tar' --output lookalikes_flickr8k.json

Pictures are compared by the mean of the encoder's features (see `model.data.lookalikes`).
"""

import argparse
from pathlib import Path

import torch

from model.captioning.captioner import Captioner
from model.data.karpathy import CaptionDataset
from model.data.lookalikes import nearest, write_lookalikes
from model.reporting.progress import batches

BATCH = 32


def main() -> None:
    """Encode the training pictures and write the nearest neighbours of each."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("bundle", type=Path, help="captioner whose encoder is used")
    parser.add_argument("--dataset", type=Path, required=True, help="Karpathy JSON file")
    parser.add_argument(
        "--pictures", nargs="+", required=True, help="folders and tar files of its pictures"
    )
    parser.add_argument("--output", type=Path, required=True, help="JSON file to write")
    parser.add_argument(
        "--count", type=int, default=30, help="lookalikes of each picture; default: %(default)s"
    )
    arguments = parser.parse_args()

    captioner = Captioner.load(arguments.bundle, device="auto")
    dataset = CaptionDataset(arguments.dataset, arguments.pictures)
    entries = dataset.split("train")
    if not 0 < arguments.count < len(entries):
        parser.error(
            f"--count must be 1 to {len(entries) - 1}: the split has {len(entries)} pictures"
        )
    means = []
    for batch in batches(entries, BATCH, what="Encoding"):
        pictures = [dataset.picture(entry) for entry in batch]
        grid = captioner.encode(captioner.prepare(pictures))  # (batch, rows, columns, channels)
        means.append(grid.float().mean((1, 2)).cpu())
    neighbours = nearest(torch.cat(means), arguments.count).tolist()
    write_lookalikes(
        arguments.output,
        {
            entry.filename: [entries[index].filename for index in others]
            for entry, others in zip(entries, neighbours, strict=True)
        },
    )
    print(f"wrote {arguments.output}, {arguments.count} lookalikes of {len(entries)} pictures")


if __name__ == "__main__":
    main()
