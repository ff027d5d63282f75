"""The number of cores is what the process may use, not what the machine has."""

import os
import subprocess
import sys

import pytest

from app.cores import usable_cores

CODE = "from app.cores import usable_cores; print(usable_cores())"


def test_between_one_core_and_all_are_usable():
    assert 1 <= usable_cores() <= (os.cpu_count() or 1)


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="no affinity on this system")
def test_a_process_pinned_to_one_core_counts_one():
    core = min(os.sched_getaffinity(0))
    done = subprocess.run(
        [sys.executable, "-c", f"import os; os.sched_setaffinity(0, {{{core}}}); {CODE}"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert int(done.stdout) == 1
