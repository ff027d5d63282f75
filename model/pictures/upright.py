"""Turn a picture of any mode and orientation into an upright one in RGB."""

from PIL import ExifTags, Image

from model.pictures.colour import to_rgb
from model.pictures.depth import is_deep, to_8_bits

__all__ = ["transposition", "upright_rgb"]

_TRANSPOSITIONS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}


def upright_rgb(image: Image.Image) -> Image.Image:
    """Apply the EXIF orientation and convert to RGB, in the colours of sRGB.

    Transparency is blended with white, greys of more than 8 bits are scaled. A picture that comes
    out of this goes through it again unchanged.

    Raises:
        Exception: of nearly any type, if the picture is damaged: Pillow decodes it only here.
    """
    deep = any(";16" in str(tile.args) for tile in getattr(image, "tile", ()))
    image.load()  # a damaged picture is an error here, whatever its metadata
    turn, profile = transposition(image), image.info.get("icc_profile")
    result = image
    if is_deep(image):
        result = to_8_bits(image)
        if isinstance(profile, bytes):
            result.info["icc_profile"] = profile
    result = to_rgb(result, deep=deep)
    if turn is not None:
        result = result.transpose(turn)
    if result is not image:
        result.info = {}  # what the orientation and the profile said is done
    return result


def transposition(image: Image.Image) -> Image.Transpose | None:
    """Return what turns a picture upright, by its EXIF orientation; None if nothing is to be done.

    As in browsers, only EXIF counts, not XMP.
    """
    tag = ExifTags.Base.Orientation
    try:
        if "exif" in image.info:
            exif = Image.Exif()
            exif.load(image.info["exif"])
            orientation = exif.get(tag)
        else:
            orientation = getattr(image, "tag_v2", {}).get(tag)
    except Exception:  # a malformed EXIF block raises nearly anything, but affects no pixel
        return None
    return _TRANSPOSITIONS.get(orientation) if isinstance(orientation, int) else None
