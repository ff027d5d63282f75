"""A set of which a captioner gets every other picture right, whatever its weights are."""

import json
from pathlib import Path

from model.captioning.captioner import Captioner
from model.data.karpathy import CaptionDataset
from tests.model.data.toys import draw, encoded, karpathy, sentences

VALIDATION, TRAINING = 60, 9


def write_agreeing_set(folder: Path, captioner: Captioner) -> CaptionDataset:
    """Write `toys.json` and the folder `toys`; people say of even pictures what it says."""
    (folder / "toys").mkdir()
    images = []
    for number in range(VALIDATION + TRAINING):
        picture, name = draw(number), f"{number:03d}.png"
        (folder / "toys" / name).write_bytes(encoded(picture, "PNG"))
        said = sentences(number, 3)
        if number % 2 == 0:
            text = captioner.caption([picture])[0][0].text
            said = [text, f"{text} {said[0]}", f"{said[1]} {text}"]
        images.append((name, "val" if number < VALIDATION else "train", said))
    path = folder / "toys.json"
    path.write_text(json.dumps(karpathy("toys", images)))
    return CaptionDataset(path, [folder / "toys"])
