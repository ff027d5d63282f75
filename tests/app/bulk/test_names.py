import os
from pathlib import Path

import pytest

from app.bulk.names import escape_controls, exact_text, guard_formula, shown_path, unguard_formula


def path_of(name: bytes) -> Path:
    return Path(os.fsdecode(name))


@pytest.mark.parametrize(
    ("name", "text"),
    [
        (b"a.jpg", "a.jpg"),
        ("é ☃.jpg".encode(), "é ☃.jpg"),
        (b"l1-\xe9.jpg", r"l1-\xe9.jpg"),
        (rb"l1-\xe9.jpg", r"l1-\x5cxe9.jpg"),
        (rb"l1-\x5cxe9.jpg", r"l1-\x5cx5cxe9.jpg"),
        (rb"a\b.jpg", r"a\b.jpg"),
        (b"a\r\nb.jpg", "a\r\nb.jpg"),
    ],
)
def test_a_path_is_written_exactly(name: bytes, text: str) -> None:
    assert exact_text(path_of(name)) == text
    text.encode("utf-8")


def test_different_names_are_different_texts() -> None:
    names = {b"\xe9", b"\xe8", rb"\xe9", rb"\x5cxe9", b"\\\xe9", rb"\\xe9", "é".encode(), b"?"}
    assert len({exact_text(path_of(name)) for name in names}) == len(names)


def test_control_characters_are_escaped_for_people() -> None:
    assert shown_path(path_of(b"a\x1b[31m\nb\xe9.jpg")) == r"a\x1b[31m\nb\xe9.jpg"
    assert escape_controls("a\u202egpj.exe\x9b\u2028\udce9") == r"a\u202egpj.exe\x9b\u2028\udce9"
    assert escape_controls("é\u200d☃ \u3000") == "é\u200d☃ \u3000"


@pytest.mark.parametrize("name", ["=1+1.jpg", "+a", "-a", "@a", "\ta", "\ra", "\uff1da", "'=a"])
def test_a_formula_is_guarded(name: str) -> None:
    assert guard_formula(name) == f"'{name}"
    assert unguard_formula(guard_formula(name)) == name


@pytest.mark.parametrize("name", ["a=1.jpg", "'a'.jpg", "", "/=a", "1-2.jpg"])
def test_other_names_are_left_alone(name: str) -> None:
    assert guard_formula(name) == unguard_formula(name) == name
