import os
from collections import Counter
from pathlib import Path

import pytest

from app.bulk.find import STANDARD_INPUT, check_arguments, describe, find_pictures
from app.bulk.results import FailedFile
from app.pictures.decode import SUFFIXES


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def make(*names: str) -> None:
    for name in names:
        path = Path(name)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"")


def found(*arguments: str) -> list[str]:
    return [
        f"{file.path}: {file.reason}" if isinstance(file, FailedFile) else str(file)
        for file in find_pictures(arguments).files
    ]


def test_a_folder_gives_its_pictures_and_counts_the_rest(folder: Path) -> None:
    make("b.JPG", "a/c.png", "a/d.heic", "e.heic", "f.txt", "g", ".hidden.jpg", "._b.jpg")
    make("@eaDir/b.jpg", ".thumbnails/b.jpg")
    Path("link.jpg").symlink_to("b.JPG")
    Path("nowhere.jpg").symlink_to("gone.jpg")
    Path("loop.jpg").symlink_to("loop.jpg")
    Path("again").symlink_to(".")
    os.mkfifo("pipe.jpg")
    Path("to-pipe.jpg").symlink_to("pipe.jpg")
    assert found(".") == ["a/c.png", "b.JPG", "link.jpg", "loop.jpg", "nowhere.jpg"]
    assert find_pictures(["."]).left_out == {
        "hidden": 3, ".heic": 2, "no file": 2, ".txt": 1, "no suffix": 1, "@eaDir": 1,
        "links to folders": 1,
    }  # fmt: skip


def test_every_suffix_that_is_decoded_is_found(folder: Path) -> None:
    make(*(f"a{suffix}" for suffix in SUFFIXES))
    assert len(found(str(folder))) == len(SUFFIXES)


def test_a_folder_without_pictures_says_what_it_has(folder: Path) -> None:
    make("a.heic", "b.heic", ".c.jpg", "empty/.d")
    Path("empty/.d").unlink()
    assert found(".", "empty") == [
        ".: there are no pictures in this folder, only .heic (2), hidden (1)",
        "empty: there are no pictures in this folder",
    ]


def test_a_subfolder_that_cannot_be_read_is_a_failure(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make("a.jpg", "closed/b.jpg")
    scandir = os.scandir

    def refuse(path: str) -> object:
        if str(path).endswith("closed"):
            raise PermissionError(13, "Permission denied")
        return scandir(path)

    monkeypatch.setattr("os.scandir", refuse)
    assert found(".") == ["closed: Permission denied", "a.jpg"]
    assert found("closed") == ["closed: Permission denied"]


@pytest.mark.skipif(os.geteuid() == 0, reason="the superuser may read everything")
def test_a_file_in_a_closed_folder_is_listed(folder: Path) -> None:
    make("closed/a.jpg")
    Path("closed").chmod(0)
    try:
        assert found("closed/a.jpg") == ["closed/a.jpg"]
    finally:
        Path("closed").chmod(0o700)


def test_a_name_that_is_too_long_is_listed(folder: Path) -> None:
    assert found("a" * 300 + ".jpg") == ["a" * 300 + ".jpg"]


def test_patterns_match_in_folders_whose_names_look_like_patterns(folder: Path) -> None:
    make("ph [2020]/a.jpg", "ph [2020]/deep/b.jpg", "ph 2/c.jpg", "@eaDir/a.jpg", "d.jpg")
    assert found("ph [2020]/*.jpg") == ["ph [2020]/a.jpg"]
    assert found(f"{folder}/ph [2020]/**/*.jpg") == [
        f"{folder}/ph [2020]/a.jpg", f"{folder}/ph [2020]/deep/b.jpg",
    ]  # fmt: skip
    assert found("ph [2]/*") == ["ph 2/c.jpg"]
    assert found("*/*.jpg") == ["ph 2/c.jpg", "ph [2020]/a.jpg"]
    assert find_pictures(["*/*.jpg", "*"]).left_out == {"@eaDir": 2, "folders": 2}
    assert found("*.gif") == ["*.gif: no file matches this pattern"]


def test_a_dash_is_standard_input_and_a_file_of_this_name_is_not(folder: Path) -> None:
    make("-")
    assert find_pictures(["-"]).files == [STANDARD_INPUT]
    assert found("./-", "[-]") == [str(folder / "-")] * 2


@pytest.mark.parametrize(
    ("argument", "message"),
    [
        ("", "a PATH is empty"),
        ("https://example.com/a.jpg", "is an address, not a file: download the picture"),
        ("S3://bucket/a.jpg", "only --ray reads addresses"),
    ],
)
def test_what_can_name_no_file_is_refused(argument: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        check_arguments(["a.jpg", argument])
    check_arguments(["a.jpg", "-", "C:/a.jpg", "a:b"])


def test_rare_kinds_are_summed_up() -> None:
    many = Counter({f".{number}": 2 for number in range(12)}) + Counter({".x": 1, ".y": 1})
    assert describe(many).endswith(".11 (2), others (2)")
    assert describe(Counter({".heic": 1234})) == ".heic (1,234)"
