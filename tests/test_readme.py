"""What the README prints is what its commands print."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text()
UNROLLED = Path(sys.executable).with_name("unrolled")

# `<!-- output: COMMAND -->` stands before the block that shows what COMMAND prints.
OUTPUTS = re.findall(r"<!-- output: (.+?) -->\n```\w*\n(.*?)```", README, re.DOTALL)


def numbers_apart(text: str) -> tuple[str, list[float]]:
    """Split text from its numbers: another processor may round their last digits otherwise."""
    number = re.compile(r"-?\d+\.\d+")
    return number.sub("#", text).strip(), [float(n) for n in number.findall(text)]


def run(*command: str | Path) -> str:
    # As a reader's shell is: what the other tests say of runtimes is not for these.
    environment = {k: v for k, v in os.environ.items() if not k.startswith("UNROLLED_")}
    done = subprocess.run(
        command, cwd=ROOT, env=environment, capture_output=True, text=True, check=True
    )
    return done.stdout


def check(printed: str, shown: str) -> None:
    words, numbers = numbers_apart(printed)
    shown_words, shown_numbers = numbers_apart(shown)
    assert re.sub(r"\s+", " ", words) == re.sub(r"\s+", " ", shown_words)
    assert numbers == pytest.approx(shown_numbers, abs=0.02)


def test_there_is_output_to_check():
    assert len(OUTPUTS) >= 2


@pytest.mark.parametrize(("command", "shown"), [o for o in OUTPUTS if o[0].startswith("unrolled")])
def test_commands_print_what_is_shown(command, shown):
    check(run(UNROLLED, *command.split()[1:]), shown)


def test_the_python_example_prints_what_is_shown():
    (code,) = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
    (shown,) = [shown for command, shown in OUTPUTS if command == "python"]
    check(run(sys.executable, "-c", code), shown)


def test_the_commands_that_are_named_exist():
    makefile = (ROOT / "Makefile").read_text()
    for target in re.findall(r"^make (\w+)", README, re.MULTILINE):
        assert f"\n{target}:" in makefile
    for command in re.findall(r"\.venv/bin/unrolled ((?:\w+ )(?:captioner )?)", README):
        run(UNROLLED, *command.split(), "--help")


def test_the_files_that_are_linked_exist():
    for link in re.findall(r"\]\((?!http)([^)#]+)\)", README):
        assert (ROOT / link).exists(), link
    for image in re.findall(r'src="([^"]+)"', README):
        assert (ROOT / image).exists(), image


def test_the_response_that_is_shown_is_the_services():
    """The JSON in the README is what the service's own schema describes."""
    from app.http.schemas.captions import CaptionResponse

    (shown,) = re.findall(r"```json\n(.*?)```", README, re.DOTALL)
    CaptionResponse.model_validate(json.loads(shown))
