from pathlib import Path

import pytest

from app.keys import check_keys, read_keys

KEY, OTHER = "0123456789abcdef", "fedcba98-76543210"


def test_a_file_has_a_key_a_line_and_comments(tmp_path: Path) -> None:
    file = tmp_path / "keys"
    file.write_bytes(f"\ufeff# of the website\r\n{KEY}\r\n\n  {OTHER} \n".encode())
    assert read_keys(file) == {KEY, OTHER}


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        ("", "there is no key"),
        ("# none yet\n", "there is no key"),
        ("short", "16 to 512 letters"),
        (KEY + " # whose", "16 to 512 letters"),
        ("é" * 20, "16 to 512 letters"),
        ("\n".join(f"{KEY}{i}" for i in range(1_001)), "1,001 keys: at most 1,000"),
        ("#" * 1_000_001, "too large"),
    ],
)
def test_a_file_that_is_no_use_is_refused_without_a_word_of_it(
    tmp_path: Path, content: str, reason: str
) -> None:
    file = tmp_path / "keys"
    file.write_text(content, "utf-8")
    with pytest.raises(ValueError, match=reason) as refused:
        read_keys(file)
    assert KEY not in str(refused.value)


def test_a_file_that_cannot_be_read_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="No such file"):
        read_keys(tmp_path / "none")
    with pytest.raises(ValueError, match="Is a directory"):
        read_keys(tmp_path)


def test_a_key_is_counted_once() -> None:
    assert check_keys([KEY, KEY]) == {KEY}
