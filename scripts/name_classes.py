"""Let a trained captioner name what its CNN's own classifier recognises.

    python scripts/name_classes.py runs/captioner/bundle scripts/imagenet-words.toml runs/named \
        --classifier runs/encoders/tf_efficientnet_lite2.safetensors \
        --dataset dataset_flickr8k.json --pictures 'flickr8k-*.tar'

Nothing is trained: the classifier comes with the CNN, and how often people use each word for a
class is counted on the training pictures (see `model.training.captioner.naming`). What `unrolled
finalize` adds belongs to the old words and is left out.
"""

import argparse
from dataclasses import replace
from pathlib import Path

from model.bundle.write import save_bundle
from model.captioning.captioner import Captioner
from model.data.karpathy import CaptionDataset
from model.training.captioner.naming import (
    classify,
    name_classes,
    new_words,
    read_class_words,
    read_classifier,
)
from model.training.finalize.training_pictures import encode_training_pictures


def main() -> None:
    """Classify the training pictures, and write the bundle with the names."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("bundle", type=Path, help="trained captioner")
    parser.add_argument("words", type=Path, help="TOML table of the words that name classes")
    parser.add_argument("output", type=Path, help="folder of the new bundle")
    parser.add_argument(
        "--classifier", type=Path, required=True, help="safetensors file of the CNN's weights"
    )
    parser.add_argument(
        "--dataset", type=Path, action="append", required=True, help="Karpathy JSON; repeatable"
    )
    parser.add_argument(
        "--pictures", action="append", required=True, help="folder or tar files; repeatable"
    )
    arguments = parser.parse_args()

    captioner = Captioner.load(arguments.bundle, "auto", runtime="torch")
    try:
        classifier = read_classifier(arguments.classifier, captioner.network.encoder.channels)
        words = read_class_words(arguments.words, len(classifier[1]))
        added = new_words(captioner, words)
    except (ValueError, FileNotFoundError) as error:
        parser.error(str(error))
    datasets = [CaptionDataset(path, arguments.pictures) for path in arguments.dataset]
    seen = encode_training_pictures(captioner, datasets)
    decoder, state, vocabulary = name_classes(
        captioner, classifier, words, classify(seen.features, classifier), seen.captions
    )
    config = captioner.config
    config = replace(
        config,
        decoder=decoder,
        decoding=replace(config.decoding, consensus=False),
        consensus=None,
        calibration=None,
        tagging=None,
        golden=(),
        scores={},
    )
    save_bundle(arguments.output, config, state, vocabulary, captioner.card)
    print(
        f"wrote {arguments.output}: {len(words)} words name {len(classifier[1])} classes, "
        f"{len(added)} of them new"
    )


if __name__ == "__main__":
    main()
