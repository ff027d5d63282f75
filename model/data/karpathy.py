"""Pictures with human captions, in the JSON format of Karpathy's splits.

{"dataset": ..., "images": [{"filename", "split", "sentences": [{"raw", ...}]}]}
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from PIL import Image

from model.data.picture_store import PictureStore

__all__ = ["CaptionDataset", "Entry"]

# COCO's Karpathy split calls the part of val that belongs to train `restval`.
_ALSO_TRAIN = "restval"


@dataclass(frozen=True)
class Entry:
    """One picture of a data set and its captions."""

    filename: str
    captions: tuple[str, ...]


class CaptionDataset:
    """A captioned set of pictures.

    Args:
        captions: the JSON file.
        pictures: folders, tar files or patterns of either, see `PictureStore`.

    Raises:
        ValueError: the JSON is not in the format, or a picture is in none of the sources.
        FileNotFoundError: a file is missing.
    """

    def __init__(self, captions: str | Path, pictures: Sequence[str | Path]) -> None:
        path = Path(captions)
        self._store = PictureStore(pictures)
        self._splits: dict[str, list[Entry]] = {}
        try:
            data = json.loads(path.read_bytes())
            self.name = str(data["dataset"])
            for image in data["images"]:
                split = "train" if image["split"] == _ALSO_TRAIN else str(image["split"])
                sentences = tuple(_text(sentence["raw"]).strip() for sentence in image["sentences"])
                entry = Entry(_text(image["filename"]), sentences)
                self._splits.setdefault(split, []).append(entry)
        except (json.JSONDecodeError, UnicodeDecodeError, KeyError, TypeError) as error:
            raise ValueError(
                f"{path} is not in the Karpathy format "
                f'({{"dataset", "images": [{{"filename", "split", "sentences"}}]}}): {error!r}'
            ) from error
        for entry in (entry for entries in self._splits.values() for entry in entries):
            if entry.filename not in self._store:
                raise ValueError(
                    f"{path} names {entry.filename}, which is in none of the picture sources"
                )
            if not entry.captions:
                raise ValueError(f"{path} has no caption of {entry.filename}")

    def split(self, name: str) -> Sequence[Entry]:
        """List the entries of one split: `train`, `val` or `test`.

        Raises:
            ValueError: the set has no such split.
        """
        if name not in self._splits:
            raise ValueError(f"{self.name} has no split {name!r}, only {sorted(self._splits)}")
        return self._splits[name]

    def captions(self, split: str) -> list[str]:
        """List all captions of a split; none if the set has no such split."""
        return [text for entry in self._splits.get(split, []) for text in entry.captions]

    def picture(self, entry: Entry) -> Image.Image:
        """Read the picture of an entry, RGB."""
        return self._store.read(entry.filename)


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise TypeError(f"{value!r} is not a string")
    return value
