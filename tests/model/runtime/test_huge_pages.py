"""Memory in use is put into huge pages, other memory is left alone, and nothing is lost."""

import ctypes
import mmap
import platform
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from model.runtime import huge_pages
from model.runtime.huge_pages import use_huge_pages

SIZE = 16 * 2**20
HUGE = 2 * 2**20
MAPPINGS = Path("/proc/self/smaps")

pytestmark = pytest.mark.skipif(
    not MAPPINGS.exists() or not huge_pages._SETTING.exists(), reason="needs huge pages of Linux"
)


@pytest.fixture
def block() -> Iterator[mmap.mmap]:
    """Memory that the system joins to no other, since a child would not have it."""
    with mmap.mmap(-1, SIZE, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS) as memory:
        memory.madvise(mmap.MADV_DONTFORK)
        yield memory


@pytest.fixture
def setting(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """The system's setting, which a test can write."""
    path = tmp_path / "enabled"
    path.write_text("always [madvise] never\n")
    monkeypatch.setattr(huge_pages, "_SETTING", path)
    return path


def told(memory: mmap.mmap, name: str) -> str:
    """Read what the system says of a block of memory."""
    address = ctypes.addressof(ctypes.c_char.from_buffer(memory))
    found = re.search(rf"^{address:x}-(?:.*\n)*?{name}:(.*)$", MAPPINGS.read_text(), re.MULTILINE)
    assert found is not None
    return found[1]


def in_huge_pages(memory: mmap.mmap) -> int:
    return 1024 * int(told(memory, "AnonHugePages").split()[0])


def fill(memory: mmap.mmap) -> None:
    memory[:] = bytes(range(256)) * (SIZE // 256)


def release() -> tuple[int, int]:
    return tuple(map(int, re.match(r"(\d+)\.(\d+)", platform.release()).groups()))


@pytest.mark.skipif(release() < (6, 1), reason="this kernel does it later")
def test_memory_in_use_is_in_huge_pages_and_holds_what_it_held(block, setting) -> None:
    fill(block)
    use_huge_pages()
    assert in_huge_pages(block) >= SIZE - 2 * HUGE  # what is over at either end is not
    assert block[:] == bytes(range(256)) * (SIZE // 256)


def test_memory_that_is_hardly_used_is_left_alone(block, setting) -> None:
    block[: SIZE // 2] = b"x" * (SIZE // 2)
    before = told(block, "Rss")
    use_huge_pages()
    assert told(block, "Rss") == before


def test_a_kernel_that_cannot_do_it_now_is_asked_to_do_it_later(block, setting, monkeypatch):
    monkeypatch.setattr(huge_pages, "_COLLAPSE", 9999)
    fill(block)
    use_huge_pages()
    assert "hg" in told(block, "VmFlags").split()


def test_who_wants_none_has_none(block, setting, monkeypatch) -> None:
    setting.write_text("always madvise [never]\n")
    fill(block)
    before = told(block, "AnonHugePages"), told(block, "VmFlags")
    use_huge_pages()
    assert (told(block, "AnonHugePages"), told(block, "VmFlags")) == before


@pytest.mark.parametrize("missing", ["_SETTING", "_MAPPINGS"])
def test_another_system_goes_on_without(missing, monkeypatch, tmp_path) -> None:
    monkeypatch.setattr(huge_pages, missing, tmp_path / "missing")
    use_huge_pages()
