"""Clips for the tests, made of the page's photographs: a cut between two, or one that is panned."""

import struct
from collections.abc import Sequence
from io import BytesIO
from pathlib import Path

from PIL import Image

from app.pictures.decode import read_picture

PHOTOGRAPHS = Path(__file__).parents[2] / "app" / "web" / "photographs"

SIZE = (96, 72)

# How each format is written, with every frame shown for a tenth of a second.
OPTIONS = {
    "GIF": {"duration": 100, "disposal": 2},
    "WEBP": {"duration": 100, "quality": 95},
    "PNG": {"duration": 100},
    "AVIF": {"duration": 100, "quality": 95},
    "TIFF": {},
}


def still(name: str, size: tuple[int, int] = SIZE) -> Image.Image:
    return read_picture(PHOTOGRAPHS / f"{name}.jpg", 10**7).image.resize(size)


def cut(
    first: str = "dog", second: str = "pizza", length: int = 10, size: tuple[int, int] = SIZE
) -> list[Image.Image]:
    """Half of the frames show one photograph, half the other; a dot moves, so that all differ."""
    frames = []
    for i in range(length):
        frame = still(first if i < length / 2 else second, size)
        frame.paste("red", (4 * i, 0, 4 * i + 4, 4))
        frames.append(frame)
    return frames


def pan(name: str, length: int = 8) -> list[Image.Image]:
    """A view of three quarters of a photograph wanders from its left side to its right."""
    picture = still(name, (160, 120))
    width = 120
    lefts = (round(40 * i / (length - 1)) for i in range(length))
    return [picture.crop((left, 0, left + width, 120)).resize(SIZE) for left in lefts]


def animated(frames: Sequence[Image.Image], file_format: str, **options: object) -> bytes:
    file = BytesIO()
    chosen = {**OPTIONS[file_format], **options}
    frames[0].save(file, file_format, save_all=True, append_images=frames[1:], **chosen)
    return file.getvalue()


def film(
    frames: Sequence[Image.Image],
    container: str = "mp4",
    codec: str = "libx264",
    *,
    rate: int = 10,
    key_frame_every: int = 4,
    turned: bool = False,
) -> bytes:
    """A film; `turned` as a telephone stores one that is to be turned clockwise by 90 degrees."""
    import av

    file = BytesIO()
    with av.open(file, "w", format=container) as output:
        stream = output.add_stream(codec, rate=rate)
        stream.width, stream.height = frames[0].size
        stream.pix_fmt = "yuvj420p" if codec == "mjpeg" else "yuv420p"
        stream.codec_context.gop_size = key_frame_every
        for frame in frames:
            output.mux(stream.encode(av.VideoFrame.from_image(frame)))
        output.mux(stream.encode())
    data = file.getvalue()
    if turned:
        upright = struct.pack(">9i", 1 << 16, 0, 0, 0, 1 << 16, 0, 0, 0, 1 << 30)
        matrix = struct.pack(
            ">9i", 0, 1 << 16, 0, -(1 << 16), 0, 0, frames[0].height << 16, 0, 1 << 30
        )
        header = data.index(b"tkhd")
        place = data.index(upright, header)
        data = data[:place] + matrix + data[place + len(matrix) :]
    return data
