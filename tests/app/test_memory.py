"""What threads are done with is not kept for ever, and nothing else changes."""

import ctypes
import subprocess
import sys

import pytest

from app import memory
from app.memory import give_back_memory, keep_little_memory

# As decoding photographs does: blocks of many sizes, several at once, in a thread of their own.
CODE = """
import threading, numpy as np
from pathlib import Path
from app.memory import give_back_memory, keep_little_memory
{first}

def resident():
    return 4096 * int(Path("/proc/self/statm").read_text().split()[1])

def work():
    kept = []
    for size in [*range(1, 16), *reversed(range(1, 16))] * 2:
        kept = [*kept[-1:], np.ones(size * 2**20, dtype=np.uint8), np.ones(1000)]
    done.set()
    never.wait()

before = resident()
done, never = threading.Event(), threading.Event()
for _ in range(4):
    threading.Thread(target=work, daemon=True).start()
    done.wait()
    done.clear()
{last}
print(resident() - before)
"""


def kept(first: str, last: str = "") -> int:
    """Give how many bytes a process keeps after the work, having called this first, that last."""
    code = CODE.format(first=first, last=last)
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return int(done.stdout)


@pytest.mark.skipif(
    sys.platform != "linux" or not hasattr(ctypes.CDLL(None), "mallopt"), reason="needs glibc"
)
def test_threads_keep_less_of_what_they_are_done_with():
    with_bounds, without = kept("keep_little_memory()"), kept("")
    assert with_bounds < 0.5 * without


@pytest.mark.skipif(
    sys.platform != "linux" or not hasattr(ctypes.CDLL(None), "malloc_trim"), reason="needs glibc"
)
def test_what_lies_before_a_block_in_use_is_given_back_too():
    assert kept("keep_little_memory()", "give_back_memory()") < 0.7 * kept("keep_little_memory()")


class Library:
    """Asked to change anything, it fails."""

    def mallopt(self, *_: int) -> None:
        raise AssertionError


def test_who_has_set_bounds_is_obeyed(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("MALLOC_MMAP_THRESHOLD_", "1000000")
    monkeypatch.setattr(memory, "_library", Library)
    keep_little_memory()


def test_where_there_is_another_library_nothing_is_done(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(memory.sys, "platform", "darwin")
    memory._library.cache_clear()
    assert memory._library() is None
    keep_little_memory()
    give_back_memory()
    memory._library.cache_clear()
