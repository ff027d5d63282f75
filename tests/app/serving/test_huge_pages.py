"""Resident memory moves into huge pages, other memory is left alone, and nothing is lost."""

import ctypes
import mmap
import platform
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from app.serving import huge_pages as module
from app.serving.huge_pages import huge_pages

SIZE = 16 * 2**20
HUGE = 2 * 2**20
MAPPINGS = Path("/proc/self/smaps")

pytestmark = pytest.mark.skipif(
    not MAPPINGS.exists() or not module._SETTING.exists(), reason="needs Linux with huge pages"
)


@pytest.fixture
def block() -> Iterator[mmap.mmap]:
    """Memory that the system merges with no other mapping, since children do not inherit it."""
    with mmap.mmap(-1, SIZE, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS) as memory:
        memory.madvise(mmap.MADV_DONTFORK)
        yield memory


@pytest.fixture
def setting(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """A copy of the system's setting that a test can write."""
    path = tmp_path / "enabled"
    path.write_text("always [madvise] never\n")
    monkeypatch.setattr(module, "_SETTING", path)
    return path


def smaps_field(memory: mmap.mmap, name: str) -> str:
    """Read what the system reports about a block of memory."""
    address = ctypes.addressof(ctypes.c_char.from_buffer(memory))
    match = re.search(rf"^{address:x}-(?:.*\n)*?{name}:(.*)$", MAPPINGS.read_text(), re.MULTILINE)
    assert match is not None
    return match[1]


def in_huge_pages(memory: mmap.mmap) -> int:
    return 1024 * int(smaps_field(memory, "AnonHugePages").split()[0])


def fill(memory: mmap.mmap) -> None:
    memory[:] = bytes(range(256)) * (SIZE // 256)


@contextmanager
def moved() -> Iterator[None]:
    """Use `huge_pages`, and wait until the memory has moved."""
    with huge_pages():
        yield
    for thread in threading.enumerate():
        if thread.name == "huge pages":
            thread.join()


def kernel_version() -> tuple[int, int]:
    return tuple(map(int, re.match(r"(\d+)\.(\d+)", platform.release()).groups()))


@pytest.mark.skipif(kernel_version() < (6, 1), reason="this kernel moves pages later")
def test_resident_memory_moves_into_huge_pages_unchanged(block, setting) -> None:
    with moved():
        fill(block)
    assert in_huge_pages(block) >= SIZE - 2 * HUGE  # the ends are not whole huge pages
    assert block[:] == bytes(range(256)) * (SIZE // 256)


def test_memory_that_is_half_empty_is_left_alone(block, setting) -> None:
    with moved():
        block[: SIZE // 2] = b"x" * (SIZE // 2)
        before = smaps_field(block, "Rss")
    assert smaps_field(block, "Rss") == before


def test_an_older_kernel_is_asked_to_move_pages_later(block, setting, monkeypatch):
    monkeypatch.setattr(module, "_COLLAPSE", 9999)
    with moved():
        fill(block)
    assert "hg" in smaps_field(block, "VmFlags").split()


def test_nothing_moves_where_huge_pages_are_switched_off(block, setting, monkeypatch) -> None:
    setting.write_text("always madvise [never]\n")
    with moved():
        fill(block)
        before = smaps_field(block, "AnonHugePages"), smaps_field(block, "VmFlags")
    assert (smaps_field(block, "AnonHugePages"), smaps_field(block, "VmFlags")) == before


@pytest.mark.parametrize("missing", ["_SETTING", "_MAPPINGS"])
def test_other_systems_do_nothing(missing, monkeypatch, tmp_path) -> None:
    monkeypatch.setattr(module, missing, tmp_path / "missing")
    with moved():
        pass


def test_memory_that_was_there_before_is_left_alone(block, setting) -> None:
    fill(block)
    before = smaps_field(block, "AnonHugePages"), smaps_field(block, "VmFlags")
    with moved():
        pass
    assert (smaps_field(block, "AnonHugePages"), smaps_field(block, "VmFlags")) == before
