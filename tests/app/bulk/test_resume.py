import io
import json

import pytest

from app.bulk.formats import csv_line
from app.bulk.resume import CompleteResults, read_csv, read_json_lines

HEADER = "path,rank,caption\n"
# Names with every character that CSV has to quote.
NAMES = ["a.jpg", "b, c.jpg", 'd "e".jpg', "f\ng.jpg", "ä.jpg", "a.jpg"]


def jsonl() -> bytes:
    lines = [json.dumps({"path": name, "captions": []}, ensure_ascii=False) for name in NAMES]
    return "".join(line + "\n" for line in lines).encode()


def rows(captions: int) -> bytes:
    lines = [
        csv_line([name, rank, f"a {rank}"]) for name in NAMES for rank in range(1, captions + 1)
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
            end += len(csv_line([name, rank, f"a {rank}"]).encode())
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
    with pytest.raises(ValueError, match="its columns are not path,rank,caption"):
        read_csv(io.BytesIO(b"path,caption\n"), HEADER, 1)
    for row in (b"x.jpg,first,a dog\n", b"x.jpg\n", b"\xff,1,a dog\n"):
        with pytest.raises(ValueError, match="row 8 has no caption"):
            read_csv(io.BytesIO(rows(1) + row), HEADER, 1)
