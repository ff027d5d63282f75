"""Frames of animations and pages: which are taken, when they begin, and what is refused."""

import struct
import zlib

import numpy as np
import pytest
from PIL import Image

from model.pictures import clips, formats
from model.pictures.clips import Frame, OpenedClip
from model.pictures.decode import Limits, open_picture
from model.pictures.errors import (
    CostlyPicture,
    OversizedPicture,
    UnreadablePicture,
    UnsupportedPicture,
)
from tests.app.clips import SIZE, animated, cut, pan
from tests.app.photos import encoded, orientation, photo

# `app.pictures.decode` silences Pillow's warnings, but pytest resets the filters.
pytestmark = pytest.mark.filterwarnings(r"ignore::UserWarning:PIL\.")

FORMATS = ["GIF", "WEBP", "PNG", "AVIF", "TIFF"]

# The largest mean difference of levels that a format may make.
LOSS = {"GIF": 12, "WEBP": 8, "PNG": 0, "AVIF": 8, "TIFF": 0}


def open_clip(data: bytes, count: int, limits: Limits = Limits()) -> OpenedClip:  # noqa: B008
    return clips.open_clip(data, count, limits)


def difference(one: Image.Image, other: Image.Image) -> float:
    levels = [np.asarray(image.convert("RGB"), dtype=float) for image in (one, other)]
    return float(np.abs(levels[0] - levels[1]).mean())


@pytest.mark.parametrize("name", FORMATS)
def test_frames_are_spread_over_the_clip_and_are_those_that_were_stored(name):
    frames = pan("paris", 8) + cut(length=2)
    opened = open_clip(animated(frames, name), 5)
    found = list(opened.frames())
    assert (opened.format, opened.size, opened.length) == (name, SIZE, 10)
    assert [frame.number for frame in found] == [1, 3, 5, 7, 9]
    for frame in found:
        assert frame.image.mode == "RGB"
        assert difference(frame.image, frames[frame.number]) <= LOSS[name]
    times = [None] * 5 if name == "TIFF" else [0.1, 0.3, 0.5, 0.7, 0.9]
    assert [frame.seconds for frame in found] == times
    assert opened.duration == (1.0 if name in {"GIF", "WEBP", "PNG"} else None)


@pytest.mark.parametrize("name", FORMATS)
def test_a_single_frame_is_the_first_as_that_of_a_picture_is(name):
    data = animated(cut(), name)
    (frame,) = open_clip(data, 1).frames()
    assert frame[1:] == (0, None, 1)
    assert difference(frame.image, open_picture(data).decode()) == 0


@pytest.mark.parametrize("name", [*FORMATS, "JPEG", "BMP"])
def test_a_still_picture_is_a_clip_of_one_frame(name):
    data = encoded(photo(), name)
    opened = open_clip(data, 8)
    (frame,) = opened.frames()
    assert (opened.length, opened.duration, opened.size) == (1, None, (60, 40))
    assert frame.seconds is None
    assert difference(frame.image, open_picture(data).decode()) == 0


@pytest.mark.parametrize("name", ["GIF", "WEBP", "PNG"])
def test_durations_decide_which_frames_are_shown_and_how_much_each_counts(name):
    data = animated(cut(length=4), name, duration=[100, 2700, 100, 100])
    opened = open_clip(data, 20)
    assert [frame[1:] for frame in opened.frames()] == [(0, 0, 1), (1, 0.1, 18), (3, 2.9, 1)]
    assert opened.duration == 3


@pytest.mark.parametrize("name", ["GIF", "WEBP", "PNG"])
def test_frames_without_a_duration_are_shown_for_a_tenth_of_a_second(name):
    opened = open_clip(animated(cut(), name, duration=0), 10)
    assert [frame.seconds for frame in opened.frames()] == [i / 10 for i in range(10)]


def test_more_frames_than_there_are_give_each_once():
    frames = list(open_clip(animated(cut(length=3), "GIF"), 64).frames())
    assert [frame.number for frame in frames] == [0, 1, 2]
    assert sum(frame.weight for frame in frames) == 64


@pytest.mark.parametrize("disposal", [1, 2, 3])
def test_gif_frames_are_composed_by_their_disposal_methods(disposal):
    """Small frames on a background: each disposal leaves another picture behind."""
    base = Image.new("RGBA", (20, 20), "blue")
    spots = [Image.new("RGBA", (20, 20)) for _ in range(2)]
    spots[0].paste("red", (0, 0, 5, 5))
    spots[1].paste("lime", (10, 10, 15, 15))
    data = animated([base, *spots], "GIF", disposal=[1, disposal, 1])
    last = list(open_clip(data, 3).frames())[-1].image
    red, blue = (255, 0, 0), (0, 0, 255)
    kept = last.getpixel((2, 2))
    assert kept == {1: red, 3: blue}[disposal] if disposal != 2 else kept not in {red, blue}
    assert last.getpixel((12, 12)) == (0, 255, 0)


def test_the_default_picture_of_a_png_is_no_frame_if_it_stands_apart():
    frames = [Image.new("RGB", (8, 8), colour) for colour in ("red", "lime", "blue")]
    opened = open_clip(animated(frames, "PNG", default_image=True), 2)
    found = list(opened.frames())
    assert opened.length == 2
    assert [frame.image.getpixel((0, 0)) for frame in found] == [(0, 255, 0), (0, 0, 255)]
    assert [frame.number for frame in found] == [0, 1]


def test_frames_are_turned_upright():
    stored = [photo().transpose(Image.Transpose.ROTATE_90), photo(40, 60)]
    data = animated(stored, "WEBP", lossless=True, exif=orientation(6))
    first, _ = (frame.image for frame in open_clip(data, 2).frames())
    assert first.size == (60, 40)
    assert difference(first, photo()) < 1


def test_smaller_copies_of_a_tiff_page_are_no_pages():
    data = bytearray(animated([photo(), photo(30, 20), photo(40, 40)], "TIFF"))
    second = _directory(bytes(data), 1)
    # Its first entry, the width, becomes one that calls it a reduced copy; Pillow finds the width
    # no more, and must not be asked for it.
    struct.pack_into("<HHII", data, second + 2, 254, 4, 1, 1)
    opened = open_clip(bytes(data), 8)
    assert [frame.image.size for frame in opened.frames()] == [(60, 40), (40, 40)]


def _directory(data: bytes, number: int) -> int:
    (place,) = struct.unpack_from("<I", data, 4)
    for _ in range(number):
        (entries,) = struct.unpack_from("<H", data, place)
        (place,) = struct.unpack_from("<I", data, place + 2 + 12 * entries)
    return place


def test_the_pages_of_a_tiff_may_form_a_circle():
    data = bytearray(animated([photo(), photo(30, 20)], "TIFF"))
    last = _directory(bytes(data), 1)
    (entries,) = struct.unpack_from("<H", data, last)
    struct.pack_into("<I", data, last + 2 + 12 * entries, _directory(bytes(data), 0))
    assert open_clip(bytes(data), 8).length == 2


@pytest.mark.parametrize("name", ["GIF", "WEBP", "PNG", "AVIF"])
@pytest.mark.parametrize("share", [0.3, 0.6, 0.95])
def test_a_clip_that_is_cut_short_is_refused(name, share):
    data = animated(cut(), name)
    with pytest.raises(UnreadablePicture, match="cut short"):
        list(open_clip(data[: int(share * len(data))], 8).frames())


def test_a_damaged_clip_is_never_another_error():
    generator = np.random.default_rng(3)
    for name in FORMATS:
        data = animated(cut(length=4, size=(24, 16)), name)
        for _ in range(40):
            damaged = bytearray(data)
            for place in generator.integers(12, len(data), 3):
                damaged[place] = generator.integers(256)
            try:
                frames = list(open_clip(bytes(damaged), 4, Limits(10**6, 5, 640e6)).frames())
            except UnreadablePicture:
                continue
            assert all(isinstance(frame, Frame) for frame in frames)


def test_a_frame_that_is_far_larger_than_its_gif_is_refused_before_it_is_decoded():
    data = bytearray(animated(cut(length=3), "GIF"))
    place = [i for i in range(len(data)) if data[i : i + 5] == b",\0\0\0\0"][-1]
    struct.pack_into("<2H", data, place + 5, 60_000, 60_000)
    with pytest.raises(OversizedPicture, match="60000 x 60000 pixels are too many"):
        open_clip(bytes(data), 2, Limits(50_000_000))


def test_many_large_frames_in_a_small_file_are_refused_before_they_are_decoded():
    blank = Image.new("RGB", (2000, 2000))
    data = animated([blank, Image.new("RGB", (2000, 2000), "red")], "PNG")
    head, *chunks = _chunks(data)
    frame = [c for c in chunks if c[0] in {b"fcTL", b"fdAT"}][-2:]
    actl = struct.pack(">II", 2000, 0)
    many = [head, (b"acTL", actl), *chunks[1:-1]]
    for number in range(1998):
        (control, pixels) = (bytearray(body) for _, body in frame)
        struct.pack_into(">I", control, 0, 3 + 2 * number)
        struct.pack_into(">I", pixels, 0, 4 + 2 * number)
        many += [(b"fcTL", bytes(control)), (b"fdAT", bytes(pixels))]
    bomb = data[:8] + b"".join(_chunk(*one) for one in [*many, chunks[-1]])
    with pytest.raises(CostlyPicture, match="more than 5 seconds"):
        open_clip(bomb, 32, Limits(50_000_000, 5, 640e6))


def _chunks(data: bytes) -> list[tuple[bytes, bytes]]:
    found, place = [], 8
    while place < len(data):
        length, kind = struct.unpack_from(">I4s", data, place)
        found.append((kind, data[place + 8 : place + 8 + length]))
        place += length + 12
    return found


def _chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def test_decoding_ends_when_its_time_is_over(monkeypatch):
    times = iter(range(0, 100, 2))
    monkeypatch.setattr(clips.time, "monotonic", lambda: next(times))
    opened = open_clip(animated(cut(), "WEBP"), 8, Limits(10**6, seconds=5.0))
    taken = []
    with pytest.raises(CostlyPicture, match="more than 5 seconds"):
        taken.extend(opened.frames())


def test_a_film_without_the_extra_is_refused_by_name(monkeypatch):
    monkeypatch.setattr(formats, "HAS_VIDEO", False)
    with pytest.raises(UnsupportedPicture, match=r"MP4 .*unrolled\[video\]"):
        open_clip(b"\0\0\0\x18ftypisom\0\0\0\0isommp42", 4)
    with pytest.raises(UnsupportedPicture, match=r"WebM .*unrolled\[video\]"):
        open_clip(b"\x1a\x45\xdf\xa3" + bytes(100), 4)
