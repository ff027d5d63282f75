"""Large blocks return to the system, whatever was freed before."""

import platform
import re
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.skipif(
    platform.libc_ver()[0] != "glibc" or not Path("/proc/self/status").exists(),
    reason="needs Linux with the GNU C library",
)

# Blocks of 17 MB, between which small ones stay.
PROGRAM = """
import re, sys
from app.serving.allocator import return_large_blocks

def resident():
    return int(re.search(r"VmRSS:\\s+(\\d+)", open("/proc/self/status").read())[1])

if sys.argv[1] == "yes":
    return_large_blocks()
bytearray(b"1" * 17_000_000)  # freed, which raises the bound
before = resident()
large, small = [], []
for _ in range(20):
    large.append(b"1" * 17_000_000)
    small.append([object() for _ in range(2_000)])
large.clear()
print(resident() - before)
"""


def kilobytes_kept(answer: str) -> int:
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, answer], capture_output=True, text=True, check=True
    )
    assert re.fullmatch(r"-?\d+\n", done.stdout)
    return int(done.stdout)


def test_freed_blocks_return_to_the_system() -> None:
    assert kilobytes_kept("yes") < 10_000 < kilobytes_kept("no")
