"""Add captions to training pictures: sentences of a corpus that a captioner finds fitting.

    python scripts/pair_captions.py weights/captioner --corpus captions.txt \
        --dataset dataset_coco4k.json --pictures 'coco4k-*.tar' \
        --output dataset_coco4k-paired.json

Writes a copy of the data set, in the Karpathy format, with the sentences added after people's
captions and marked `"paired": true`. Validation and test pictures get none, and no sentence is used
that is a caption of one of them.
"""

import argparse
import json
from pathlib import Path

from model.captioning.captioner import Captioner
from model.data.karpathy import CaptionDataset
from model.files import write_json
from model.reporting.progress import batches
from model.training.captioner.pairing import Matcher, SentenceIndex
from model.training.finalize.training_pictures import encode_training_pictures


def main() -> None:
    """Find sentences for the training pictures and write the extended data set."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("bundle", type=Path, help="captioner that judges the sentences")
    parser.add_argument("--corpus", type=Path, required=True, help="text file, one sentence a line")
    parser.add_argument("--dataset", type=Path, required=True, help="Karpathy JSON file")
    parser.add_argument(
        "--pictures", nargs="+", required=True, help="folders and tar files of its pictures"
    )
    parser.add_argument("--output", type=Path, required=True, help="Karpathy JSON file to write")
    parser.add_argument(
        "--sentences", type=int, default=4, help="added to each picture; default: %(default)s"
    )
    parser.add_argument(
        "--mean-of",
        type=int,
        default=500,
        help="pictures that the mean picture is computed from; default: %(default)s",
    )
    arguments = parser.parse_args()

    captioner = Captioner.load(arguments.bundle, "auto", runtime="torch")
    dataset = CaptionDataset(arguments.dataset, arguments.pictures)
    held_out = [text for split in ("val", "test") for text in dataset.captions(split)]
    corpus = SentenceIndex(
        arguments.corpus.read_text(encoding="utf-8").splitlines(), without=held_out
    )
    encoded = encode_training_pictures(
        captioner, [dataset], limit=arguments.mean_of, progress=False
    )
    matcher = Matcher(captioner, encoded.mean_context, corpus)
    sentences = {
        entry.filename: matcher(dataset.picture(entry), entry.captions, arguments.sentences)
        for (entry,) in batches(dataset.split("train"), 1, what="Pairing")
    }

    data = json.loads(arguments.dataset.read_bytes())
    for image in data["images"]:
        image["sentences"] += [
            {"raw": text, "tokens": text.split(), "paired": True}
            for text in sentences.get(image["filename"], ())
        ]
    write_json(arguments.output, data, indent=None)
    print(f"wrote {arguments.output}, {sum(map(len, sentences.values()))} sentences added")


if __name__ == "__main__":
    main()
