"""Films: the frames that are taken are those that were stored, whatever codec and key frames."""

import random

import numpy as np
import pytest
from PIL import Image

from model.pictures.clips import OpenedClip, open_clip
from model.pictures.decode import Limits, open_picture
from model.pictures.errors import OversizedPicture, UnreadablePicture, UnsupportedPicture
from tests.app.clips import SIZE, cut, film, pan

av = pytest.importorskip("av")

LIMITS = Limits(10**6, 20, 640e6)


def opened(data: bytes, count: int, limits: Limits = LIMITS) -> OpenedClip:
    return open_clip(data, count, limits)


def nearest(frame: Image.Image, stored: list[Image.Image]) -> int:
    """The number of the stored frame that a decoded one is."""
    levels = np.asarray(frame, dtype=float)
    return int(np.argmin([np.abs(levels - np.asarray(one)).mean() for one in stored]))


@pytest.mark.parametrize(
    ("container", "codec", "kind"),
    [
        ("mp4", "libx264", "MP4"),
        ("mov", "libx264", "MP4"),
        ("mp4", "mpeg4", "MP4"),
        ("webm", "libvpx-vp9", "WebM"),
        ("matroska", "libx264", "WebM"),
    ],
)
def test_frames_are_those_that_were_stored(container: str, codec: str, kind: str) -> None:
    stored = pan("paris", 12) + cut(length=8)
    clip = opened(film(stored, container, codec), 5)
    frames = list(clip.frames())
    assert (clip.format, clip.size, clip.length) == (kind, SIZE, 20)
    assert clip.duration == pytest.approx(2)
    assert [frame.number for frame in frames] == [2, 6, 10, 14, 18]
    assert [nearest(frame.image, stored) for frame in frames] == [2, 6, 10, 14, 18]
    assert [frame.seconds for frame in frames] == pytest.approx([0.2, 0.6, 1.0, 1.4, 1.8])


@pytest.mark.parametrize("every", [1, 5, 100])
@pytest.mark.parametrize("count", [1, 2, 7, 20, 64])
def test_key_frames_make_no_difference(every: int, count: int) -> None:
    stored = pan("city", 20)
    clip = opened(film(stored, key_frame_every=every), count)
    frames = list(clip.frames())
    expected = [0] if count == 1 else sorted({int(20 * (i + 0.5) / count) for i in range(count)})
    assert [frame.number for frame in frames] == expected
    assert [nearest(frame.image, stored) for frame in frames] == expected


def test_a_film_of_a_telephone_is_turned_upright() -> None:
    stored = cut()
    clip = opened(film(stored, turned=True), 2)
    for frame in clip.frames():
        expected = stored[frame.number].transpose(Image.Transpose.ROTATE_270)
        assert frame.image.size == SIZE[::-1]
        assert np.abs(np.asarray(frame.image, float) - np.asarray(expected, float)).mean() < 10


@pytest.mark.parametrize("share", [0.2, 0.5, 0.9])
@pytest.mark.parametrize("container", ["mp4", "mov"])
def test_a_film_that_is_cut_short_is_refused(container: str, share: float) -> None:
    data = film(cut(), container)
    with pytest.raises(UnreadablePicture, match="cut short"):
        list(opened(data[: int(share * len(data))], 4).frames())


def test_a_damaged_film_is_never_another_error() -> None:
    data = film(cut(length=6, size=(32, 24)))
    generator = random.Random(5)
    for _ in range(60):
        damaged = bytearray(data)
        for _ in range(5):
            damaged[generator.randrange(16, len(data))] = generator.randrange(256)
        try:
            list(opened(bytes(damaged), 4).frames())
        except UnreadablePicture:
            continue


def test_large_frames_are_refused_before_they_are_decoded() -> None:
    data = film(cut(length=2, size=(320, 240)))
    with pytest.raises(OversizedPicture, match="320 x 240 pixels are too many"):
        opened(data, 2, Limits(70_000))
    with pytest.raises(OversizedPicture, match="send it with smaller frames"):
        opened(data, 2, Limits(10**6, 20, 1e6))
    with pytest.raises(OversizedPicture, match="send a shorter or a smaller one"):
        opened(data, 2, Limits(10**6, 1e-3))


def test_sound_alone_is_no_film() -> None:
    from io import BytesIO

    file = BytesIO()
    with av.open(file, "w", format="mp4") as output:
        stream = output.add_stream("aac", rate=8000)
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 1024), np.float32), "fltp", "mono")
        frame.sample_rate = 8000
        output.mux(stream.encode(frame))
        output.mux(stream.encode())
    with pytest.raises(UnsupportedPicture, match="no pictures"):
        opened(file.getvalue(), 4)


def test_a_codec_that_is_not_read_is_refused() -> None:
    with pytest.raises(UnsupportedPicture, match="codec that is not read"):
        opened(film(cut(length=2), "matroska", "ffv1"), 2)


def test_where_only_pictures_are_read_the_message_says_where_films_are() -> None:
    with pytest.raises(UnsupportedPicture, match="MP4 is a film, of which only `POST /caption`"):
        open_picture(film(cut(length=2)))
