"""What the README and the docs show is what their commands print."""

import json
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
TEXTS = {page.relative_to(ROOT).as_posix(): page.read_text("utf-8") for page in PAGES}
UNROLLED = Path(sys.executable).with_name("unrolled")

# `<!-- output: COMMAND -->` is on the line before the block that shows what COMMAND prints.
SHOWN = re.compile(r"<!-- output: (.+?) -->\n```\w*\n(.*?)```", re.DOTALL)
COMMANDS = [
    pytest.param(command, shown, id=f"{name}: {command}")
    for name, text in TEXTS.items()
    for command, shown in SHOWN.findall(text)
    if command.startswith("unrolled ")
]
# `<!-- output: python -->` follows the Python block whose output it shows.
SCRIPTS = [
    pytest.param(code, shown, id=name)
    for name, text in TEXTS.items()
    for code, shown in re.findall(
        r"```python\n([^`]*)```\s*<!-- output: python -->\n```\w*\n(.*?)```", text, re.DOTALL
    )
]


def split_numbers(text: str) -> tuple[str, list[float]]:
    """Split text from its numbers: another processor may round their last digits differently."""
    number = re.compile(r"-?\d+\.\d+")
    return number.sub("#", text).strip(), [float(n) for n in number.findall(text)]


def run(*command: str | Path) -> str:
    # Like a reader's shell: the runtime that the other tests choose does not apply here.
    environment = {k: v for k, v in os.environ.items() if not k.startswith("UNROLLED_")}
    done = subprocess.run(
        command, cwd=ROOT, env=environment, capture_output=True, text=True, check=True
    )
    return done.stdout


def assert_same_output(printed: str, shown: str) -> None:
    words, numbers = split_numbers(printed)
    shown_words, shown_numbers = split_numbers(shown)
    assert re.sub(r"\s+", " ", words) == re.sub(r"\s+", " ", shown_words)
    assert numbers == pytest.approx(shown_numbers, abs=0.02)


def test_every_output_block_is_checked():
    marked = sum(text.count("<!-- output: ") for text in TEXTS.values())
    assert len(COMMANDS) + len(SCRIPTS) == marked
    assert len(SCRIPTS) >= 1
    assert sum("README.md" in str(param.id) for param in COMMANDS) >= 2


@pytest.mark.slow
@pytest.mark.parametrize(("command", "shown"), COMMANDS)
def test_commands_print_what_is_shown(command, shown):
    assert_same_output(run(UNROLLED, *shlex.split(command)[1:]), shown)


@pytest.mark.slow
@pytest.mark.parametrize(("code", "shown"), SCRIPTS)
def test_python_examples_print_what_is_shown(code, shown):
    assert_same_output(run(sys.executable, "-c", code), shown)


def test_the_caption_response_fits_the_schema():
    """The first JSON block of the API page is what the service's own schema describes."""
    from app.http.schemas.captions import CaptionResponse

    shown = re.search(r"```json\n(.*?)```", TEXTS["docs/api.md"], re.DOTALL)[1]
    CaptionResponse.model_validate(json.loads(shown))


def test_every_error_shown_fits_the_schema():
    from app.http.schemas.errors import ErrorResponse

    (shown,) = re.findall(r'```json\n(\{"error".*?)```', TEXTS["docs/api.md"], re.DOTALL)
    ErrorResponse.model_validate(json.loads(shown))
