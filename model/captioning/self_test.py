"""Golden pictures: pictures with known captions, by which a captioner tests itself.

A digest shows that the weights are those that were saved; a golden picture shows that this machine,
with its libraries and its processor, computes with them what the author's did. They are PNG files,
which every decoder reads as the same pixels.
"""

import io
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from PIL import Image

from model.bundle.format import MEND, BundleError
from model.bundle.read import Bundle
from model.captioning.caption import Caption
from model.config import CaptionerConfig, GoldenConfig

__all__ = ["GoldenPicture", "check_golden", "golden_files", "read_golden"]

_MOST_PIXELS = 1_000_000

# Nats of a whole caption. In single precision other kernels change it by some 1e-5, and bfloat16
# changes it by up to 0.3, float16 by up to 0.22 (on 1,000 photographs).
_TOLERANCE = 0.01
_ROUGH_TOLERANCE = 0.5


@dataclass(frozen=True)
class GoldenPicture:
    """An RGB picture, and the caption that the bundle's author got for it."""

    picture: Image.Image
    expected: GoldenConfig


def golden_files(golden: Sequence[GoldenPicture]) -> dict[str, bytes]:
    """Return the bundle's files of golden pictures, by name."""
    files = {}
    for one in golden:
        file = io.BytesIO()
        one.picture.save(file, "PNG", optimize=True)
        files[one.expected.file] = file.getvalue()
    return files


def read_golden(bundle: Bundle[CaptionerConfig]) -> tuple[GoldenPicture, ...]:
    """Read a bundle's golden pictures.

    Raises:
        BundleError: a file is not a small PNG.
    """
    golden = []
    for expected in bundle.config.golden:
        path = bundle.folder / expected.file
        try:
            with Image.open(path, formats=["PNG"]) as picture:
                if picture.width * picture.height > _MOST_PIXELS:
                    raise BundleError(f"{path} has more than {_MOST_PIXELS} pixels: {MEND}")
                golden.append(GoldenPicture(picture.convert("RGB"), expected))
        except BundleError:
            raise
        except Exception as error:  # on bad bytes, Pillow's decoders raise nearly anything
            raise BundleError(f"{path} is no PNG picture ({error}): {MEND}") from error
    return tuple(golden)


def check_golden(
    golden: Sequence[GoldenPicture],
    caption: Callable[[GoldenPicture], Caption],
    score: Callable[[GoldenPicture], Caption],
    *,
    exact: bool,
) -> None:
    """Caption golden pictures, one by one, and compare.

    Args:
        golden: of the bundle.
        caption: finds the best caption by the bundle's default decoding.
        score: scores the expected caption.
        exact: whether arithmetic is a CPU's, in single precision. Then log-probabilities may
            differ by 0.01 nats, else (half precision, a GPU) by 0.5, and rounding may put another
            caption first for at most half of the pictures, rounded up, whose expected captions are
            then scored.

    Raises:
        BundleError: a text differs, or a log-probability by more than it may.
    """
    tolerance = _TOLERANCE if exact else _ROUGH_TOLERANCE
    others = 0 if exact else (len(golden) + 1) // 2
    for one in golden:
        expected, found = one.expected, caption(one)
        if found.text != expected.text and others:
            found = score(one)
            others -= 1
        # Written so that NaN fails too.
        if found.text != expected.text or not abs(found.logprob - expected.logprob) <= tolerance:
            raise BundleError(
                f"the self-test fails: {expected.file} should be {expected.text!r} "
                f"({expected.logprob:.3f}), and here is {found.text!r} ({found.logprob:.3f}). "
                f"The weights, or the libraries that run them, are not those that the bundle was "
                f"made with: {MEND}"
            )
