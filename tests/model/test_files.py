import pytest

from model.files import write_text


def test_text_is_written_in_utf_8_and_nothing_else_is_left(tmp_path):
    path = tmp_path / "new" / "report.md"
    write_text(path, "a café\n")
    assert path.read_bytes() == "a café\n".encode()
    assert [file.name for file in path.parent.iterdir()] == ["report.md"]


def test_a_failure_leaves_the_old_file_and_no_other(tmp_path):
    path = tmp_path / "report.md"
    path.write_text("old")
    with pytest.raises(UnicodeEncodeError):
        write_text(path, "long enough " * 10_000 + "\ud800")
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]
