"""Turn 8-bit pictures of any mode into RGB: transparency on white, colour profiles to sRGB."""

from functools import lru_cache
from io import BytesIO

from PIL import Image, ImageCms

__all__ = ["to_rgb"]

_MAX_PROFILE = 4_000_000  # bytes
_SPACES = {"RGB ": "RGB", "GRAY": "L", "CMYK": "CMYK"}
_SAME = 4  # levels of 255: profiles of sRGB itself differ by as many from each other
_BAND = 4_000_000  # pixels that are blended at once, which bounds the memory

# A profile takes four times as long as decoding a JPEG. The encoder sees some 260 x 260 pixels, so
# larger pictures with a profile are first reduced, to about as many pixels, and never to sides
# shorter than that.
_PROFILED_PIXELS = 2_000_000
_PROFILED_SIDE = 520


def to_rgb(image: Image.Image, *, deep: bool = False) -> Image.Image:
    """Convert to RGB, in the colours of sRGB.

    A picture with a colour profile other than sRGB may come back smaller.

    Args:
        image: of 8 bits a channel.
        deep: whether the file has 16 bits a channel, to which a transparent colour then refers.
    """
    profile = image.info.get("icc_profile")
    if _has_meaningless_alpha(image):
        image = image.convert("RGB")
    elif image.has_transparency_data:
        image = _on_white(image, deep=deep)
    if isinstance(profile, bytes) and 0 < len(profile) <= _MAX_PROFILE:
        image = _apply_profile(image, profile)
    return image if image.mode == "RGB" else image.convert("RGB")


def _has_meaningless_alpha(image: Image.Image) -> bool:
    """Whether a fourth channel is no transparency."""
    if image.mode != "RGBA":
        return False
    if image.format == "BMP":  # written by programs that leave the channel empty
        return image.getchannel("A").getextrema() == (0, 0)
    extra_samples = 338
    return image.format == "TIFF" and extra_samples not in getattr(image, "tag_v2", (338,))


def _on_white(image: Image.Image, *, deep: bool) -> Image.Image:
    key = image.info.get("transparency")
    if image.mode == "RGB" and isinstance(key, tuple) and (deep or max(key) > 255):
        image = image.copy()
        image.info["transparency"] = tuple(value >> 8 for value in key)  # as Pillow's pixels
    result = Image.new("RGB", image.size)
    rows = max(1, _BAND // image.width)
    for top in range(0, image.height, rows):
        box = (0, top, image.width, min(top + rows, image.height))
        band = image.crop(box).convert("RGBA")
        white = Image.new("RGBA", band.size, "white")
        result.paste(Image.alpha_composite(white, band).convert("RGB"), box)
    return result


def _apply_profile(image: Image.Image, profile: bytes) -> Image.Image:
    found = _transform(profile)
    if found is None:
        return image
    mode, transform = found
    # A profile of greys belongs to grey pictures, which blending has made RGB; one of CMYK to
    # CMYK alone.
    if mode == "CMYK" and image.mode != "CMYK":
        return image
    image = _reduced(image if image.mode == mode else image.convert(mode))
    return ImageCms.applyTransform(image, transform) or image


@lru_cache(maxsize=8)
def _transform(profile: bytes) -> tuple[str, ImageCms.ImageCmsTransform] | None:
    """Return the mode that a profile is for and its transform to sRGB; None if there is none.

    Several threads may use one transform at once.
    """
    try:
        opened = ImageCms.ImageCmsProfile(BytesIO(profile))
        mode = _SPACES[opened.profile.xcolor_space]
        transform = ImageCms.buildTransform(opened, ImageCms.createProfile("sRGB"), mode, "RGB")
        return None if _is_srgb(mode, transform) else (mode, transform)
    except Exception:  # a malformed profile: no pixel needs it
        return None


def _is_srgb(mode: str, transform: ImageCms.ImageCmsTransform) -> bool:
    """Whether a transform leaves colours as they are, but for rounding."""
    if mode != "RGB":
        return False
    levels = range(0, 256, 51)
    colours = bytes(level for r in levels for g in levels for b in levels for level in (r, g, b))
    image = Image.frombytes("RGB", (len(colours) // 3, 1), colours)
    result = ImageCms.applyTransform(image, transform)
    assert result is not None  # noqa: S101 - it is only if the picture is changed in place
    pairs = zip(colours, result.tobytes(), strict=True)
    return max(abs(before - after) for before, after in pairs) <= _SAME


def _reduced(image: Image.Image) -> Image.Image:
    by_pixels = int((image.width * image.height / _PROFILED_PIXELS) ** 0.5)
    factor = min(by_pixels, min(image.size) // _PROFILED_SIDE)
    return image.reduce(factor) if factor > 1 else image
