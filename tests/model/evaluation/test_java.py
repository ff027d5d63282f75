import sys

import pytest

from model.evaluation.java import TOKENIZER, JavaError, command, find, run


def python(program: str) -> tuple[str, ...]:
    return (sys.executable, "-c", program)


def test_text_goes_in_and_out_in_utf_8():
    echo = "import sys; sys.stdout.buffer.write(sys.stdin.buffer.read().upper())"
    assert run(python(echo), "a “dog”\n", timeout=30) == "A “DOG”\n"


def test_a_failure_is_told_with_its_last_words():
    with pytest.raises(JavaError, match="status 1: no such jar"):
        run(python("raise SystemExit('no such jar')"), "", timeout=30)


def test_a_program_that_does_not_end_is_stopped():
    with pytest.raises(JavaError, match="longer than"):
        run(python("import time; time.sleep(60)"), "", timeout=0.2)


def test_without_java_nothing_is_found(monkeypatch):
    monkeypatch.setenv("PATH", "")
    assert find(TOKENIZER) is None
    with pytest.raises(JavaError, match="install Java"):
        command(TOKENIZER, memory="1g")


def test_a_file_that_the_package_lacks_is_not_found():
    assert find(("tokenizer/no-such.jar",)) is None
