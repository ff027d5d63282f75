"""Find which training pictures of a set look alike, for rewards that ask for it.

    python scripts/find_lookalikes.py runs/captioner/bundle --dataset dataset_flickr8k.json \
        --pictures 'flickr8k-*.tar' --output lookalikes_flickr8k.json

Pictures are alike by the mean of the features that the captioner's encoder gives them (see
`model.data.lookalikes`).
"""

import argparse
from pathlib import Path

import torch
from rich.progress import track

from model.captioning.captioner import Captioner
from model.data.karpathy import CaptionDataset
from model.data.lookalikes import nearest, write_lookalikes

BATCH = 32


def main() -> None:
    """Encode the training pictures, write the nearest of each."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("bundle", type=Path)
    parser.add_argument("--dataset", type=Path, required=True)
    parser.add_argument("--pictures", nargs="+", required=True)
    parser.add_argument("--output", type=Path, required=True)
    parser.add_argument("--count", type=int, default=30, help="lookalikes of each picture")
    arguments = parser.parse_args()

    captioner = Captioner.load(arguments.bundle, device="auto")
    dataset = CaptionDataset(arguments.dataset, arguments.pictures)
    entries = dataset.split("train")
    if not 0 < arguments.count < len(entries):
        parser.error(f"--count must be 1 to {len(entries) - 1}: there are {len(entries)} pictures")
    means = []
    for start in track(range(0, len(entries), BATCH), description="encoding"):
        pictures = [dataset.picture(entry) for entry in entries[start : start + BATCH]]
        grid = captioner.encode(captioner.prepare(pictures))  # (batch, rows, columns, channels)
        means.append(grid.float().mean((1, 2)).cpu())
    found = nearest(torch.cat(means), arguments.count).tolist()
    write_lookalikes(
        arguments.output,
        {
            entry.filename: [entries[index].filename for index in others]
            for entry, others in zip(entries, found, strict=True)
        },
    )
    print(f"wrote {arguments.output}, {arguments.count} lookalikes of {len(entries)} pictures")


if __name__ == "__main__":
    main()
