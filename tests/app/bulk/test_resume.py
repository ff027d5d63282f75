import io
import json
from pathlib import Path

import pytest

from app.bulk.formats import csv_line
from app.bulk.names import guard_formula
from app.bulk.resume import CompleteResults, drop_failed, read_csv, read_json_lines

HEADER = "path,rank,caption,error\n"
# Names with every character that CSV has to quote.
NAMES = ["a.jpg", "b, c.jpg", 'd "e".jpg', "f\ng.jpg", "ä.jpg", "a.jpg"]


def jsonl() -> bytes:
    lines = [json.dumps({"path": name, "captions": []}, ensure_ascii=False) for name in NAMES]
    return "".join(line + "\n" for line in lines).encode()


def rows(captions: int) -> bytes:
    lines = [
        csv_line([name, rank, f"a {rank}", None])
        for name in NAMES
        for rank in range(1, captions + 1)
    ]
    return (HEADER + "".join(lines)).encode()


def check_every_cut(whole: bytes, read, ends: list[int], first: int) -> None:
    """Wherever a file is cut, exactly the complete results before the cut are found."""
    for cut in range(len(whole) + 1):
        written = read(io.BytesIO(whole[:cut]))
        pictures = sum(end <= cut for end in ends)
        assert written.paths.total() == pictures, cut
        assert written.paths == read(io.BytesIO(whole[: written.size])).paths
        assert written.size == ([0 if cut < first else first, *ends][pictures]), cut


def test_json_lines_may_be_cut_anywhere() -> None:
    whole = jsonl()
    ends = [i + 1 for i, byte in enumerate(whole) if byte == ord("\n")]
    check_every_cut(whole, read_json_lines, ends, 0)
    assert read_json_lines(io.BytesIO(whole)).paths["a.jpg"] == 2


@pytest.mark.parametrize("captions", [1, 3])
def test_csv_may_be_cut_anywhere(captions: int) -> None:
    whole = rows(captions)
    ends, end = [], len(HEADER)
    for name in NAMES:
        for rank in range(1, captions + 1):
            end += len(csv_line([name, rank, f"a {rank}", None]).encode())
        ends.append(end)
    assert end == len(whole)
    check_every_cut(whole, lambda file: read_csv(file, HEADER, captions), ends, len(HEADER))


def test_a_last_picture_with_too_few_rows_is_incomplete() -> None:
    written = read_csv(io.BytesIO(rows(2)), HEADER, 3)
    assert (written.paths["a.jpg"], written.paths.total()) == (1, len(NAMES) - 1)


def test_an_empty_file_has_no_results() -> None:
    nothing = CompleteResults(read_json_lines([]).paths, 0)
    assert read_json_lines([]) == read_csv([], HEADER, 1) == nothing


@pytest.mark.parametrize("line", [b"{]\n", b"[1]\n", b'{"other": 1}\n', b"\xff\n"])
def test_foreign_lines_are_refused(line: bytes) -> None:
    with pytest.raises(ValueError, match="line 7 has no captions"):
        read_json_lines(io.BytesIO(jsonl() + line))


def test_foreign_rows_are_refused() -> None:
    with pytest.raises(ValueError, match="its columns are not path,rank,caption,error"):
        read_csv(io.BytesIO(b"path,caption\n"), HEADER, 1)
    for row in (b"x.jpg,first,a dog,\n", b"x.jpg\n", b"\xff,1,a dog,\n"):
        with pytest.raises(ValueError, match="row 8 has no caption"):
            read_csv(io.BytesIO(rows(1) + row), HEADER, 1)


def test_names_with_a_carriage_return_or_a_formula_are_read_back() -> None:
    names = ["a\rb.jpg", "=1+1.jpg", "'=1.jpg", "c\r\n"]
    lines = [csv_line([guard_formula(name), 1, "a", None]) for name in names]
    assert lines[0] == '"a\rb.jpg",1,a,\n'
    written = read_csv(io.BytesIO((HEADER + "".join(lines)).encode()), HEADER, 1)
    assert list(written.paths) == names


@pytest.mark.parametrize("kind", ["jsonl", "csv"])
def test_rows_of_failed_files_are_found_and_dropped(tmp_path: Path, kind: str) -> None:
    if kind == "csv":
        first, good = (
            HEADER,
            csv_line(["a.jpg", 1, "a 1", None]) + csv_line(["a.jpg", 2, "b", None]),
        )
        bad = csv_line(["b.jpg", None, None, "the file is empty"])
    else:
        first, good = "", '{"path": "a.jpg", "captions": []}\n'
        bad = '{"path": "b.jpg", "captions": [], "error": "the file is empty"}\n'
    file = tmp_path / "found"
    file.write_text(first + bad + good + bad + bad + good + bad)
    with file.open("rb") as lines:
        written = read_csv(lines, HEADER, 2) if kind == "csv" else read_json_lines(lines)
    assert (written.paths, written.size) == ({"a.jpg": 2}, file.stat().st_size)
    assert len(written.failed) == 4
    drop_failed(file, written)
    assert file.read_text() == first + good + good
    assert list(tmp_path.iterdir()) == [file]
