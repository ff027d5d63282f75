import os
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from queue import Queue

import pytest

from app.bulk.arrivals import Arrivals, watch_folders
from tests.app.servers import wait_until


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def test_a_picture_is_whole_when_it_no_longer_changes(tmp_path: Path) -> None:
    clock, picture = Clock(), tmp_path / "a.jpg"
    arrivals = Arrivals(2.0, clock)
    picture.write_bytes(b"a")
    arrivals.see(picture)
    for clock.now, content in ((1.0, b"ab"), (2.5, b"abc"), (4.0, None)):
        if content is not None:
            picture.write_bytes(content)
        arrivals.see(picture)
        assert arrivals.whole() == []
    clock.now = 4.5
    assert arrivals.whole() == [picture]
    arrivals.see(picture)
    clock.now = 100
    assert arrivals.whole() == []  # once


def test_a_picture_that_changes_arrives_anew_and_one_that_goes_is_forgotten(tmp_path: Path) -> None:
    clock, picture, gone = Clock(), tmp_path / "a.jpg", tmp_path / "b.jpg"
    arrivals = Arrivals(1.0, clock)
    for path in (picture, gone):
        path.write_bytes(b"a")
        arrivals.see(path, since=float("-inf"))
    gone.unlink()
    assert arrivals.whole() == [picture]
    picture.write_bytes(b"other")
    arrivals.see(picture)
    clock.now = 1.0
    assert arrivals.whole() == [picture]
    picture.unlink()
    arrivals.see(picture)
    picture.write_bytes(b"other")
    arrivals.see(picture)
    clock.now = 2.0
    assert arrivals.whole() == [picture]


@pytest.fixture
def arriving(tmp_path: Path) -> Iterator[Queue[str]]:
    """What a watch of the folder `in` yields, as names relative to it."""
    folder = tmp_path / "in"
    folder.mkdir(exist_ok=True)
    (folder / "there.jpg").write_bytes(b"a")
    stop, found = threading.Event(), Queue()

    def run() -> None:
        for pictures in watch_folders([folder], settle=0.5, stop=stop):
            for picture in pictures:
                found.put(os.fsdecode(os.fsencode(picture.relative_to(folder))))

    thread = threading.Thread(target=run)
    thread.start()
    try:
        assert found.get(timeout=30) == "there.jpg"
        yield found
    finally:
        stop.set()
        thread.join(30)
        assert not thread.is_alive()


def test_what_arrives_in_any_way_is_noticed_once(arriving: Queue[str], tmp_path: Path) -> None:
    folder, outside = tmp_path / "in", tmp_path / "outside"
    (outside / "moved").mkdir(parents=True)
    (outside / "moved" / "a.png").write_bytes(b"a")
    (outside / "b.jpg").write_bytes(b"a")
    os.utime(outside / "b.jpg", (1, 1))
    (outside / "moved").rename(folder / "moved")  # a folder with pictures
    (outside / "b.jpg").rename(folder / "b.jpg")  # into place, from long ago
    (folder / "new" / "deep").mkdir(parents=True)
    (folder / "new" / "deep" / "c.webp").write_bytes(b"a")
    Path(os.fsdecode(os.fsencode(folder) + b"/caf\xe9.jpg")).write_bytes(b"a")
    (folder / "notes.txt").write_bytes(b"a")
    for hidden in (".hidden", "@eaDir", "new/.b.jpg.part"):
        (folder / hidden).mkdir()
        (folder / hidden / "d.jpg").write_bytes(b"a")
    (folder / ".e.jpg").write_bytes(b"a")
    (folder / "temporary.part").write_bytes(b"a")
    (folder / "temporary.part").rename(folder / "f.jpg")
    os.mkfifo(folder / "pipe.jpg")
    (folder / "link").symlink_to(outside)
    expected = ["b.jpg", "caf\udce9.jpg", "f.jpg", "moved/a.png", "new/deep/c.webp"]
    assert sorted(arriving.get(timeout=30) for _ in expected) == expected
    time.sleep(1)
    assert arriving.empty()


def test_what_is_still_being_written_waits(arriving: Queue[str], tmp_path: Path) -> None:
    with (tmp_path / "in" / "slow.jpg").open("wb", buffering=0) as file:
        for _ in range(20):
            file.write(b"a")
            time.sleep(0.1)
            assert arriving.empty()
    wait_until(lambda: not arriving.empty())
    assert arriving.get() == "slow.jpg"


@pytest.mark.parametrize("replaced", [False, True])
def test_a_folder_that_goes_ends_the_watch(tmp_path: Path, replaced: bool) -> None:
    folder, old = tmp_path / "in", tmp_path / "old"
    folder.mkdir()
    (folder / "a.jpg").write_bytes(b"a")
    stop = threading.Event()
    timer = threading.Timer(10, stop.set)  # if nothing ends it
    timer.start()
    watch = watch_folders([folder], settle=0.1, stop=stop)
    try:
        assert next(watch) == [folder / "a.jpg"]
        folder.rename(old)
        if replaced:
            folder.mkdir()
        with pytest.raises(OSError, match="in can no longer be watched: it was removed or repl"):
            next(watch)
    finally:
        timer.cancel()
