"""What threads are done with is not kept for ever, and nothing else changes."""

import ctypes
import subprocess
import sys

import pytest

from app import memory
from app.memory import give_back_memory

# As decoding photographs does: blocks of many sizes, several at once, in a thread of their own.
CODE = """
import threading, numpy as np
from pathlib import Path
from app.memory import give_back_memory
{call}

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
print(resident() - before)
"""


def kept(call: str) -> int:
    """Give how many bytes a process keeps after the work, having called this first."""
    done = subprocess.run(
        [sys.executable, "-c", CODE.format(call=call)], capture_output=True, text=True, check=True
    )
    return int(done.stdout)


@pytest.mark.skipif(
    sys.platform != "linux" or not hasattr(ctypes.CDLL(None), "mallopt"), reason="needs glibc"
)
def test_threads_keep_less_of_what_they_are_done_with():
    with_bounds, without = kept("give_back_memory()"), kept("")
    assert with_bounds < 0.5 * without


def test_where_there_is_another_library_nothing_is_done(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(memory.sys, "platform", "darwin")
    monkeypatch.setattr(ctypes, "CDLL", None)  # not so much as asked for
    give_back_memory()
