"""Leave out of a PNG what no pixel needs, so that nothing in it can be an error."""

import struct
import zlib

from model.pictures.errors import CostlyPicture, UnreadablePicture

__all__ = ["clean_png"]

_SIGNATURE_LENGTH = 8
_CRITICAL = {b"IHDR", b"PLTE", b"IDAT", b"tRNS"}
_ANIMATION = {b"acTL", b"fcTL", b"fdAT"}
_END = b"\0\0\0\0IEND\xaeB`\x82"
_MAX_PROFILE = 1_000_000  # bytes, unpacked; Pillow refuses a file with a larger one


def clean_png(data: bytes, *, animated: bool = False) -> bytes:
    """Return the chunks that pixels, colours and orientation depend on.

    Of an animation, the picture that is shown where animations are not supported is left, and with
    `animated` its frames too. A missing end chunk is added.

    Raises:
        UnreadablePicture: the checksum of a chunk that pixels need is wrong.
        CostlyPicture: it has more chunks than a picture can need.
    """
    critical = _CRITICAL | _ANIMATION if animated else _CRITICAL
    most = 10_000 + len(data) // 1024
    kept = [data[:_SIGNATURE_LENGTH]]
    place = _SIGNATURE_LENGTH
    for _ in range(most):
        if len(data) < place + 8:
            break
        length, kind = struct.unpack_from(">I4s", data, place)
        end = place + length + 12
        if end > len(data):  # cut short: without its end, a picture is an error, metadata is not
            return b"".join([*kept, data[place:] if kind in critical else _END])
        if kind == b"IEND":
            break
        if kind in critical:
            if _has_wrong_checksum(data, place, length):
                raise UnreadablePicture(
                    f"the picture is damaged (wrong checksum of {kind.decode()})"
                )
            kept.append(data[place:end])
        elif _is_wanted(kind, data[place + 8 : end - 4]) and not _has_wrong_checksum(
            data, place, length
        ):
            kept.append(data[place:end])
        place = end
    else:
        raise CostlyPicture(f"the picture has more than {most} chunks")
    return b"".join([*kept, _END])


def _has_wrong_checksum(data: bytes, place: int, length: int) -> bool:
    contents = memoryview(data)[place + 4 : place + 8 + length]
    checksum = zlib.crc32(contents).to_bytes(4, "big")
    return checksum != data[place + 8 + length : place + 12 + length]


def _is_wanted(kind: bytes, contents: bytes) -> bool:
    """Whether a chunk tells orientation or colours, and can be read."""
    return kind == b"eXIf" or (kind == b"iCCP" and _is_small_profile(contents))


def _is_small_profile(contents: bytes) -> bool:
    _name, _, rest = contents.partition(b"\0")
    unpacking = zlib.decompressobj()
    try:
        unpacking.decompress(rest[1:], _MAX_PROFILE)
    except zlib.error:
        return False
    return rest[:1] == b"\0" and not unpacking.unconsumed_tail
