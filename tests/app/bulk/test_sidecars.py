"""Sidecars on the command line, and those that must not be written."""

import json
import os
import re
import shutil
import stat
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import Result
from typer.testing import CliRunner

from app.bulk.results import CaptionedFile
from app.bulk.sidecars import SidecarError, SidecarKind, Sidecars, sidecar_path
from app.cli.main import app
from model.captioning.caption import Caption
from model.captioning.tags import Tag
from tests.app.photos import encoded, photo

Run = Callable[..., Result]


@pytest.fixture
def run(bundle: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    monkeypatch.setenv("UNROLLED_WEIGHTS", str(bundle))
    monkeypatch.setenv("UNROLLED_DEVICE", "cpu")
    return lambda *arguments: CliRunner().invoke(app, ["caption", *map(str, arguments)])


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Three pictures; the name of one is not UTF-8, and one is in a subfolder."""
    (tmp_path / "deep").mkdir()
    (tmp_path / "a.jpg").write_bytes(encoded(photo(), "JPEG"))
    Path(os.fsdecode(os.fsencode(tmp_path) + b"/caf\xe9.png")).write_bytes(encoded(photo(30, 50)))
    (tmp_path / "deep" / "c.d.webp").write_bytes(encoded(photo(50, 30), "WEBP"))
    return tmp_path


def captioned(path: Path, text: str = "a cat", **fields: object) -> CaptionedFile:
    captions = [Caption(text, -1.0, -0.5, True, (), **fields)]
    return CaptionedFile(path, captions, (Tag("cat", 0.9, "noun"),))


def in_one_line(text: str) -> str:
    return re.sub(r"[│╭╮╰╯─\s]+", " ", text)


def test_names() -> None:
    for name, *expected in (
        ("b/a.jpg", "b/a.txt", "b/a.jpg.xmp", "b/a.xmp"),
        ("a.b.jpg", "a.b.txt", "a.b.jpg.xmp", "a.b.xmp"),
        ("a", "a.txt", "a.xmp", "a.xmp"),
    ):
        assert [str(sidecar_path(Path(name), kind)) for kind in SidecarKind] == expected


def test_captions_of_a_folder_beside_its_pictures(run: Run, folder: Path) -> None:
    before = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    result = run(folder, "--sidecar", "txt")
    assert (result.exit_code, result.stdout) == (0, "")
    assert result.stderr.endswith("\n3 sidecars written\n")
    assert all(path.read_bytes() == data for path, data in before.items())
    shown = [json.loads(line) for line in run(folder, "--format", "jsonl").stdout.splitlines()]
    captions = sorted(line["captions"][0]["text"] + "\n" for line in shown)
    written = sorted(set(map(os.fsencode, folder.rglob("*"))) - set(map(os.fsencode, before)))
    names = [name for name in written if not Path(os.fsdecode(name)).is_dir()]
    assert [name.rpartition(b"/")[2] for name in names] == [b"a.txt", b"caf\xe9.txt", b"c.d.txt"]
    assert sorted(Path(os.fsdecode(name)).read_text("utf-8") for name in names) == captions


def test_sidecars_that_are_there_stay_and_are_counted(run: Run, folder: Path) -> None:
    (folder / "a.txt").write_text("a person's words")
    result = run(folder, "--sidecar", "txt")
    assert result.exit_code == 0
    assert "2 pictures captioned, 0 failed" in result.stderr
    assert "2 sidecars written; 1 pictures had theirs (--overwrite replaces" in result.stderr
    assert (folder / "a.txt").read_text() == "a person's words"
    again = run(folder, "--sidecar", "txt")
    assert "0 pictures captioned" in again.stderr
    assert "0 sidecars written; 3 pictures had theirs" in again.stderr
    result = run(folder, "--sidecar", "txt", "--overwrite")
    assert "3 sidecars written\n" in result.stderr
    assert (folder / "a.txt").read_text() != "a person's words"


def test_rows_and_sidecars_are_completed_apart(run: Run, folder: Path, tmp_path: Path) -> None:
    output = tmp_path / "found.jsonl"
    options = ["--output", output, "--resume", "--sidecar", "txt", "--sidecar", "xmp"]
    assert run(folder / "a.jpg", "--sidecar", "txt").exit_code == 0
    result = run(folder, *options)
    assert "3 pictures captioned" in result.stderr
    assert "5 sidecars written" in result.stderr
    rows = output.read_bytes()
    assert len(rows.splitlines()) == 3
    (folder / "deep" / "c.d.webp.xmp").unlink()
    result = run(folder, *options)
    assert "2 were done before; 1 pictures captioned" in result.stderr
    assert "1 sidecars written; 2 pictures had theirs" in result.stderr
    assert output.read_bytes() == rows


def test_two_pictures_never_share_a_sidecar(run: Run, folder: Path) -> None:
    (folder / "a.png").write_bytes(encoded(photo(30, 30)))
    result = run(folder, folder / "a.jpg", "--sidecar", "txt")
    assert result.exit_code == 1
    assert f"{folder / 'a.png'}: its sidecar a.txt would also be that of {folder / 'a.jpg'}" in (
        result.stderr
    )
    assert f"{folder / 'a.jpg'}: its sidecar a.txt would also be that of {folder / 'a.png'}" in (
        result.stderr
    )
    assert not (folder / "a.txt").exists()
    result = run(folder, "--sidecar", "xmp")
    assert result.exit_code == 0
    assert (folder / "a.png.xmp").exists()
    assert (folder / "a.jpg.xmp").exists()


def test_failed_and_weak_pictures_get_none(run: Run, finished_bundle: Path, folder: Path) -> None:
    (folder / "bad.jpg").write_text("no picture")
    options = ["--weights", finished_bundle, "--min-confidence", "1"]
    result = run(folder, "--sidecar", "txt", *options)
    assert result.exit_code == 1
    assert "3 pictures captioned, 1 failed" in result.stderr
    assert "0 sidecars written; 3 captions were too weak for one" in result.stderr
    assert not list(folder.rglob("*.txt"))


def test_a_sidecar_that_cannot_be_used_is_reported_and_kept(run: Run, folder: Path) -> None:
    (folder / "a.jpg.xmp").write_text("<?xml version='1.0'?><!DOCTYPE a><a/>")
    os.mkfifo(folder / "deep" / "c.d.webp.xmp")
    result = run(folder, "--sidecar", "xmp", "--overwrite", "--output", folder / "found.csv")
    assert result.exit_code == 1
    assert "1 pictures captioned, 2 failed" in result.stderr
    assert "a.jpg.xmp is left as it is: it declares a document type" in result.stderr
    assert "c.d.webp.xmp is left as it is: it is no file" in result.stderr
    assert (folder / "a.jpg.xmp").read_text() == "<?xml version='1.0'?><!DOCTYPE a><a/>"
    assert len((folder / "found.csv").read_text().splitlines()) == 4  # rows need no sidecar


def test_options_that_do_not_go_together(run: Run, folder: Path) -> None:
    for options, message in (
        (["-", "--sidecar", "txt"], "standard input has no folder"),
        ([folder, "--overwrite"], "--overwrite needs --sidecar"),
        ([folder, "--tags", "--sidecar", "txt"], "--tags needs --sidecar xmp"),
        ([folder, "--ray", "--output", "x", "--sidecar", "txt"], "--ray cannot be combined with"),
        ([folder, "--sidecar", "json"], "is not one of"),
    ):
        result = run(*options)
        assert result.exit_code == 2, result.stderr
        assert message in in_one_line(result.stderr)


def test_a_picture_is_never_its_own_sidecar(tmp_path: Path) -> None:
    picture = tmp_path / "scan.txt"
    picture.write_bytes(encoded(photo()))
    sidecars = Sidecars([SidecarKind.TXT], overwrite=True)
    sidecars.add([picture])
    with pytest.raises(SidecarError, match="picture itself"):
        sidecars.write(captioned(picture))
    assert picture.read_bytes() == encoded(photo())


def test_a_link_to_another_picture_is_no_sidecar(tmp_path: Path) -> None:
    picture, other = tmp_path / "a.jpg", tmp_path / "b.JPG"
    other.write_bytes(b"b")
    (tmp_path / "a.txt").symlink_to(other.name)
    (tmp_path / "c.txt").symlink_to("c.txt")
    sidecars = Sidecars([SidecarKind.TXT], overwrite=True)
    with pytest.raises(SidecarError, match=r"is a link to a picture, b\.JPG"):
        sidecars.write(captioned(picture))
    assert other.read_bytes() == b"b"
    with pytest.raises(SidecarError, match="it is no file"):
        sidecars.write(captioned(tmp_path / "c.jpg"))


def test_links_and_permissions_stay(tmp_path: Path) -> None:
    picture, real = tmp_path / "a.jpg", tmp_path / "elsewhere.txt"
    real.write_text("old")
    real.chmod(0o640)
    (tmp_path / "a.txt").symlink_to(real)
    sidecars = Sidecars([SidecarKind.TXT], overwrite=True)
    sidecars.write(captioned(picture))
    assert (tmp_path / "a.txt").is_symlink()
    assert real.read_text() == "a cat\n"
    assert stat.S_IMODE(real.stat().st_mode) == 0o640
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.txt", "elsewhere.txt"]


def test_alternative_text_that_was_asked_for_is_used(tmp_path: Path) -> None:
    sidecars = Sidecars([SidecarKind.TXT, SidecarKind.XMP])
    sidecars.write(captioned(tmp_path / "a.jpg", alt_text="Possibly a cat."))
    assert (tmp_path / "a.txt").read_text() == "Possibly a cat.\n"
    xmp = (tmp_path / "a.jpg.xmp").read_text()
    assert ">a cat<" in xmp
    assert ">Possibly a cat.<" in xmp
    sidecars.write(captioned(tmp_path / "b.jpg", alt_text=""))
    assert not (tmp_path / "b.txt").exists()


@pytest.mark.skipif(shutil.which("exiftool") is None, reason="exiftool is not installed")
def test_exiftool_reads_and_writes_the_same_fields(tmp_path: Path) -> None:
    def exiftool(*arguments: object) -> str:
        command = ["exiftool", *map(str, arguments)]
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout

    new, old = tmp_path / "new.jpg", tmp_path / "old.jpg"
    exiftool("-XMP-dc:Title=Kept", "-XMP-dc:Subject=dog", "-XMP-dc:Description-de=Eine Katze",
             "-XMP-xmp:Rating=4", f"{old}.xmp")  # fmt: skip
    sidecars = Sidecars([SidecarKind.XMP], overwrite=True)
    for picture in (new, old):
        sidecars.write(captioned(picture, "a cat & a dog"))
        (read,) = json.loads(exiftool("-j", "-G1", "-XMP:all", f"{picture}.xmp"))
        assert read["XMP-dc:Description"] == "a cat & a dog"
        assert read["XMP-iptcCore:AltTextAccessibility"] == "A cat & a dog."
        assert read["XMP-digiKam:TagsList"] == "cat"
    assert read["XMP-dc:Subject"] == ["dog", "cat"]
    assert (read["XMP-dc:Title"], read["XMP-xmp:Rating"]) == ("Kept", 4)
    assert read["XMP-dc:Description-de"] == "Eine Katze"
