"""Progress is a line every so often in a log file, and nothing is lost on the way."""

import io

import pytest
from rich.console import Console

from model.reporting import progress as module
from model.reporting.progress import batches, make_console, progress


def log_console() -> tuple[Console, io.StringIO]:
    file = io.StringIO()
    return Console(file=file, soft_wrap=True, highlight=False), file


def test_a_log_file_gets_lines(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_SECONDS", 0.0)
    console, file = log_console()
    with progress(console, "epoch 1 of 3", 2000, done=500) as update:
        update(500, "")
        update(1000, "loss 2.000")
        update(2000, "")
    first, last = file.getvalue().splitlines()
    assert first.startswith("epoch 1 of 3: 1,000 of 2,000 (50%), ")
    assert first.endswith(" left, loss 2.000")
    assert last == "epoch 1 of 3: 2,000 of 2,000 (100%), 0:00:00 left"


def test_short_work_leaves_no_line() -> None:
    console, file = log_console()
    with progress(console, "features", 10) as update:
        for done in range(10):
            update(done + 1, "")
    assert file.getvalue() == ""


def test_colours_that_are_forced_make_a_file_no_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")
    console, file = log_console()
    with progress(console, "features", 10) as update:
        update(10, "")
    assert file.getvalue() == ""


def test_a_terminal_gets_a_bar() -> None:
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    file = Terminal()
    with progress(Console(file=file, force_terminal=True, width=100), "features", 10) as update:
        update(4, "[0.5] a second")
    assert "features" in file.getvalue()
    assert "4/10" in file.getvalue()
    assert "[0.5] a second" in file.getvalue()


def test_messages_are_printed_as_they_are(capsys: pytest.CaptureFixture[str]) -> None:
    make_console().print("[bold] " + "long " * 40 + "runs/[x]")
    assert capsys.readouterr().err == "[bold] " + "long " * 40 + "runs/[x]\n"


def test_batches_are_in_order() -> None:
    assert list(batches(range(5), 2)) == [range(2), range(2, 4), range(4, 5)]
