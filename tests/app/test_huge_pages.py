"""When a process is started again with huge pages, and when it is left alone."""

import os
import platform
import subprocess
import sys
from pathlib import Path

import pytest

from app import huge_pages
from app.huge_pages import ask_for_huge_pages

ASK = """
import os, sys
from app.huge_pages import ask_for_huge_pages
ask_for_huge_pages()
print("hugetlb=1" in os.environ.get("GLIBC_TUNABLES", ""), *sys.argv[1:])
"""


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> list[list[str]]:
    """A system that gives huge pages on request; notes what is started in place of a process."""
    setting = tmp_path / "enabled"
    setting.write_text("always [madvise] never\n")
    calls: list[list[str]] = []
    monkeypatch.setattr(huge_pages, "_SETTING", setting)
    monkeypatch.setattr(platform, "libc_ver", lambda: ("glibc", "2.36"))
    monkeypatch.setattr(os, "execv", lambda _, arguments: calls.append(arguments))
    # Set first, so that it is as before in the end.
    monkeypatch.setenv("GLIBC_TUNABLES", "")
    monkeypatch.delenv("GLIBC_TUNABLES")
    return calls


def test_where_they_are_given_on_request_they_are_asked_for(started) -> None:
    ask_for_huge_pages()
    assert started == [[sys.executable, *sys.orig_argv[1:]]]
    assert os.environ["GLIBC_TUNABLES"].split(":") == [
        "glibc.malloc.hugetlb=1",
        "glibc.malloc.mmap_threshold=4194304",
        "glibc.malloc.trim_threshold=8388608",
    ]


@pytest.mark.parametrize("setting", ["[always] madvise never", "always madvise [never]", None])
def test_where_asking_changes_nothing_nobody_asks(started, setting) -> None:
    huge_pages._SETTING.unlink()
    if setting is not None:
        huge_pages._SETTING.write_text(setting)
    ask_for_huge_pages()
    assert started == []


@pytest.mark.parametrize("library", [("glibc", "2.34"), ("musl", "1.2.5"), ("", "")])
def test_an_older_or_another_library_does_not_know_them(started, monkeypatch, library) -> None:
    monkeypatch.setattr(platform, "libc_ver", lambda: library)
    ask_for_huge_pages()
    assert started == []


def test_who_has_set_the_variable_is_obeyed(started, monkeypatch) -> None:
    monkeypatch.setenv("GLIBC_TUNABLES", "glibc.malloc.check=1")
    ask_for_huge_pages()
    assert started == []


def test_who_may_not_start_programs_goes_on(started, monkeypatch) -> None:
    def refuse(*_: object) -> None:
        raise PermissionError

    monkeypatch.setattr(os, "execv", refuse)
    ask_for_huge_pages()


def test_a_process_that_is_started_again_goes_on_as_it_was() -> None:
    environment = {k: v for k, v in os.environ.items() if k != "GLIBC_TUNABLES"}
    done = subprocess.run(
        [sys.executable, "-c", ASK, "a b", "c"],
        env=environment,
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout in {"True a b c\n", "False a b c\n"}
