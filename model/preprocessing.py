"""Pictures to the array that the encoder expects: the only image preprocessing there is.

Training and serving share it, so that they cannot drift apart. Knows nothing of files, of
untrusted bytes (`app.images`) or of augmentation (`model.data.augmentation`).
"""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from PIL import Image

from model.config import PreprocessingConfig

__all__ = ["Preprocessing"]


class Preprocessing:
    """Resize, scale to 0..1, centre and scale per channel."""

    def __init__(self, config: PreprocessingConfig) -> None:
        self.config = config
        levels = np.arange(256, dtype=np.float32)[:, None] / 255
        mean, std = (np.array(three, dtype=np.float32) for three in (config.mean, config.std))
        self._scaled = ((levels - mean) / std).T.copy()  # (3, 256): what each level becomes

    def __call__(self, pictures: Sequence[Image.Image]) -> npt.NDArray[np.float32]:
        """Turn RGB pictures of any shape into one float32 batch.

        Returns:
            (batch, 3, size, size)
        """
        size = self.config.size
        if not pictures:
            return np.empty((0, 3, size, size), dtype=np.float32)
        # In NumPy, on one thread: a second thread that starts PyTorch's own makes OpenMP put all
        # of them to sleep between operations, and inference beside it takes nearly twice as long.
        return np.stack([self._one(picture) for picture in pictures])

    def _one(self, picture: Image.Image) -> npt.NDArray[np.float32]:
        size = self.config.size
        if self.config.resize == "crop":
            picture = _centre_square(picture)
        if picture.size != (size, size):
            picture = picture.resize((size, size), Image.Resampling.BICUBIC)
        pixels = np.asarray(picture.convert("RGB"))  # (size, size, 3)
        scaled = np.empty((3, size, size), dtype=np.float32)
        for channel, table in enumerate(self._scaled):
            # A table has the same numbers as arithmetic, in a fifth of the time; clipping, which
            # bytes never need, spares a check.
            np.take(table, pixels[:, :, channel], out=scaled[channel], mode="clip")
        return scaled


def _centre_square(picture: Image.Image) -> Image.Image:
    side = min(picture.size)
    left, top = (picture.width - side) // 2, (picture.height - side) // 2
    return picture.crop((left, top, left + side, top + side))
