import asyncio
import os
import sys
from collections.abc import Callable

import numpy as np
import pytest
import uvloop

from app.errors import PictureTooCostly, TooManyPixels, Unavailable, UnsupportedImage
from app.pictures import process
from app.pictures.decode import decode_picture
from app.pictures.process import DecodeRequest, decode_in_process
from model.preprocessing import resize
from tests.app.photos import encoded, photo, sideways

REQUEST = DecodeRequest(max_pixels=10_000, size=16, how="squash")


def test_a_process_gives_the_picture_that_a_thread_gives() -> None:
    picture = asyncio.run(decode_in_process(sideways(), REQUEST))
    expected = resize(decode_picture(sideways(), 10_000).image, 16, "squash")
    assert np.array_equal(np.asarray(picture.image), np.asarray(expected))
    assert (picture.width, picture.height, picture.format) == (60, 40, "JPEG")


@pytest.mark.parametrize(
    ("data", "error"), [(b"text", UnsupportedImage), (encoded(photo(200, 100)), TooManyPixels)]
)
def test_a_process_refuses_what_a_thread_refuses(data: bytes, error: type[Exception]) -> None:
    with pytest.raises(error):
        asyncio.run(decode_in_process(data, REQUEST))


def stand_in(monkeypatch: pytest.MonkeyPatch, code: str) -> None:
    """Run other code in place of the decoder."""
    start = asyncio.create_subprocess_exec

    async def start_other(*_: str, **options: object) -> asyncio.subprocess.Process:
        return await start(sys.executable, "-c", code, **options)

    monkeypatch.setattr(process.asyncio, "create_subprocess_exec", start_other)


HEAD = '{"format": "PNG", "width": 1, "height": 1}'


@pytest.mark.parametrize("written", ["", HEAD[:9], HEAD, f"{HEAD}\n", f"{HEAD}\n{'x' * 767}"])
def test_a_process_that_dies_is_an_error_of_the_picture(
    monkeypatch: pytest.MonkeyPatch, written: str
) -> None:
    stand_in(monkeypatch, f"import os, sys; print({written!r}, end='', flush=True); os.abort()")
    with pytest.raises(PictureTooCostly, match="too much time or memory"):
        asyncio.run(decode_in_process(b"", REQUEST))


@pytest.mark.parametrize("loop", [asyncio.new_event_loop, uvloop.new_event_loop])
def test_a_process_may_die_before_it_is_written_to(
    monkeypatch: pytest.MonkeyPatch, loop: Callable[[], asyncio.AbstractEventLoop]
) -> None:
    start = process._start

    async def start_and_die() -> asyncio.subprocess.Process:
        started = await start()
        started.kill()
        await started.wait()
        return started

    monkeypatch.setattr(process, "_start", start_and_die)
    with (
        asyncio.Runner(loop_factory=loop) as runner,
        pytest.raises(PictureTooCostly, match="too much time or memory"),
    ):
        runner.run(decode_in_process(encoded(photo(40, 60)), REQUEST))


def test_a_process_that_cannot_be_started_is_an_error_of_the_service(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(process.sys, "executable", "/nowhere/python")
    with pytest.raises(Unavailable):
        asyncio.run(decode_in_process(b"", REQUEST))


def test_a_cancelled_process_is_killed(monkeypatch: pytest.MonkeyPatch, tmp_path) -> None:
    started = tmp_path / "pid"
    code = f"import os, time; open({str(started)!r}, 'w').write(str(os.getpid())); time.sleep(600)"
    stand_in(monkeypatch, code)

    async def decode_and_cancel() -> int:
        decoding = asyncio.create_task(decode_in_process(b"", REQUEST))
        while not (started.exists() and started.read_text()):
            await asyncio.sleep(0.01)
        decoding.cancel()
        with pytest.raises(asyncio.CancelledError):
            await decoding
        return int(started.read_text())

    pid = asyncio.run(decode_and_cancel())
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)
