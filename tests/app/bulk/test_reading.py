import io
import os
import sys
import threading
from pathlib import Path
from types import SimpleNamespace

import pytest

from app.bulk.find import STANDARD_INPUT
from app.bulk.reading import max_file_bytes, read_file
from app.errors import PictureError


def test_a_file_is_read_whole(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"abcd")
    assert read_file(tmp_path / "a", 4) == b"abcd"


def test_a_file_that_is_too_large_is_never_read(tmp_path: Path) -> None:
    with (tmp_path / "a.jpg").open("wb") as file:
        file.truncate(30_000_000_000)  # a hole: it takes no room on the disk
    with pytest.raises(PictureError, match="it has 30,000,000,000 bytes, and at most 400,000,000"):
        read_file(tmp_path / "a.jpg", max_file_bytes(50_000_000))


def test_an_empty_file_is_called_empty(tmp_path: Path) -> None:
    (tmp_path / "a.jpg").touch()
    with pytest.raises(PictureError, match="the file is empty"):
        read_file(tmp_path / "a.jpg", 4)


def test_a_pipe_is_read_to_its_end_but_no_further_than_the_limit(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)

    def read(data: bytes) -> bytes:
        writer = threading.Thread(target=pipe.write_bytes, args=(data,))
        writer.start()
        try:
            return read_file(pipe, 1000)
        finally:
            writer.join()

    assert read(b"a" * 1000) == b"a" * 1000
    with pytest.raises(PictureError, match="it has more, and at most 1,000 bytes"):
        read(b"a" * 1001)


def test_standard_input_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", SimpleNamespace(buffer=io.BytesIO(b"abcd")))
    assert read_file(STANDARD_INPUT, 4) == b"abcd"
    with pytest.raises(PictureError, match="empty"):
        read_file(STANDARD_INPUT, 4)
    monkeypatch.setattr(sys, "stdin", None)
    with pytest.raises(OSError, match="standard input is closed"):
        read_file(STANDARD_INPUT, 4)
