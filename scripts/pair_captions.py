"""Give pictures more captions: sentences of a corpus that a captioner finds true of them.

    python scripts/pair_captions.py weights/captioner --corpus captions.txt \
        --dataset dataset_coco4k.json --pictures 'coco4k-*.tar' \
        --output dataset_coco4k-paired.json

Writes the data set anew, in the Karpathy format, with the found sentences after those of people,
marked `"paired": true`. Pictures to validate or test on get none, and no sentence is used that
people said of one of them.
"""

import argparse
import json
from pathlib import Path

from rich.progress import track

from model.captioning.captioner import Captioner
from model.data.karpathy import CaptionDataset
from model.training.captioner.pairing import Matcher, SentenceIndex
from model.training.finalize.training_pictures import encode_training_pictures


def main() -> None:
    """Read the data set, find sentences, write it with them."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("bundle", type=Path)
    parser.add_argument("--corpus", type=Path, required=True, help="one sentence a line")
    parser.add_argument("--dataset", type=Path, required=True)
    parser.add_argument("--pictures", nargs="+", required=True)
    parser.add_argument("--output", type=Path, required=True)
    parser.add_argument("--sentences", type=int, default=4, help="more for each picture")
    parser.add_argument("--mean-of", type=int, default=500, help="pictures of the mean picture")
    arguments = parser.parse_args()

    captioner = Captioner.load(arguments.bundle, device="auto")
    dataset = CaptionDataset(arguments.dataset, arguments.pictures)
    held_out = [text for split in ("val", "test") for text in dataset.captions(split)]
    corpus = SentenceIndex(arguments.corpus.read_text().splitlines(), without=held_out)
    seen = encode_training_pictures(captioner, [dataset], limit=arguments.mean_of, progress=False)
    matcher = Matcher(captioner, seen.mean_context, corpus)
    found = {
        entry.filename: matcher(dataset.picture(entry), entry.captions, arguments.sentences)
        for entry in track(dataset.split("train"), description="pairing")
    }

    data = json.loads(arguments.dataset.read_bytes())
    for image in data["images"]:
        image["sentences"] += [
            {"raw": text, "tokens": text.split(), "paired": True}
            for text in found.get(image["filename"], ())
        ]
    temporary = arguments.output.with_suffix(".tmp")
    temporary.write_text(json.dumps(data))
    temporary.replace(arguments.output)
    print(f"wrote {arguments.output}, {sum(map(len, found.values()))} sentences more")


if __name__ == "__main__":
    main()
