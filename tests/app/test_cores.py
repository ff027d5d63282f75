"""Threads are as many as the process may use, whatever the machine has."""

import os
import subprocess
import sys

import pytest

from app.cores import usable_cores

CODE = "from app.cores import usable_cores; print(usable_cores())"


def test_there_are_some_and_no_more_than_there_are():
    assert 1 <= usable_cores() <= (os.cpu_count() or 1)


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="no affinity on this system")
def test_a_process_that_may_use_one_core_counts_one():
    one = min(os.sched_getaffinity(0))
    done = subprocess.run(
        [sys.executable, "-c", f"import os; os.sched_setaffinity(0, {{{one}}}); {CODE}"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert int(done.stdout) == 1
