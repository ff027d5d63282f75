"""`unrolled caption --frames`: the lines, rows and sidecars of clips."""

import csv
import io
import json
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import Result

from model.pictures import formats
from tests.app.clips import animated, cut, film, still
from tests.app.photos import encoded

Run = Callable[..., Result]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """An animation, a document, a picture and a damaged animation."""
    (tmp_path / "a.gif").write_bytes(animated(cut(), "GIF"))
    (tmp_path / "b.tif").write_bytes(animated(cut(length=4), "TIFF"))
    (tmp_path / "c.jpg").write_bytes(encoded(still("city"), "JPEG"))
    (tmp_path / "d.gif").write_bytes(animated(cut(), "GIF")[:3000])
    return tmp_path


def test_text_has_a_line_for_each_frame_with_its_time(run: Run, folder: Path) -> None:
    result = run("caption", folder, "--frames", "4")
    assert result.exit_code == 1
    lines = [line for line in result.stdout.splitlines() if line.startswith(" ")]
    firsts = [line.split("-")[0].strip() for line in lines]
    assert firsts == [
        *("0.10 s", "0.30 s", "0.60 s", "0.80 s", "all"),
        *("page 1", "page 2", "page 3", "page 4", "all"),
        "",
    ]
    assert "d.gif: the clip is damaged or cut short" in result.stderr


def test_rows_stay_one_a_file_and_json_lines_have_the_frames(run: Run, folder: Path) -> None:
    result = run("caption", folder, "--frames", "4", "--format", "jsonl", "--num-captions", "2")
    gif, tiff, jpeg, broken = map(json.loads, result.stdout.splitlines())
    assert [frame["seconds"] for frame in gif["frames"]] == [0.1, 0.3, 0.6, 0.8]
    assert [frame["index"] for frame in gif["frames"]] == [1, 3, 6, 8]
    assert all(set(frame) == {"index", "captions"} for frame in tiff["frames"])
    assert all(len(frame["captions"]) == 2 for frame in gif["frames"])
    texts = {one["text"] for frame in gif["frames"] for one in frame["captions"]}
    assert len(gif["captions"]) == 2
    assert {one["text"] for one in gif["captions"]} <= texts
    assert [jpeg["captions"]] == [frame["captions"] for frame in jpeg["frames"]]
    assert set(broken) == {"path", "captions", "error"}
    table = run("caption", folder, "--frames", "4", "--format", "csv")
    rows = list(csv.DictReader(io.StringIO(table.stdout)))
    assert [Path(row["path"]).name for row in rows] == ["a.gif", "b.tif", "c.jpg", "d.gif"]
    assert rows[0]["caption"] == gif["captions"][0]["text"]


def test_the_command_and_the_service_agree(run: Run, folder: Path, client) -> None:
    line = json.loads(run("caption", folder / "a.gif", "--frames", "4", "--format", "jsonl").stdout)
    data = (folder / "a.gif").read_bytes()
    headers = {"Content-Type": "image/gif"}
    served = client.post("/caption?frames=4", content=data, headers=headers).json()
    for ours, theirs in zip([line, *line["frames"]], [served, *served["frames"]], strict=True):
        (one,), (other,) = ours["captions"], theirs["captions"]
        assert one["text"] == other["text"]
        assert one["logprob"] == pytest.approx(other["logprob"], abs=1e-4)


def test_without_frames_nothing_changes(run: Run, folder: Path) -> None:
    result = run("caption", folder / "a.gif", "--format", "jsonl")
    assert set(json.loads(result.stdout)) == {"path", "captions"}


def test_an_output_is_resumed_with_the_same_number_of_frames(run: Run, folder: Path) -> None:
    output = folder / "captions.jsonl"
    (folder / "d.gif").unlink()
    arguments = ("caption", folder, "--output", output, "--resume", "--frames")
    assert run(*arguments, "4").exit_code == 0
    assert run(*arguments, "4").exit_code == 0
    assert len(output.read_text().splitlines()) == 3
    refused = run(*arguments, "5")
    assert refused.exit_code == 2
    assert "frames was 4 and is 5" in " ".join(refused.stderr.replace("│", " ").split())


def test_a_clip_has_a_sidecar_with_the_caption_of_the_whole(run: Run, folder: Path) -> None:
    clip = folder / "a.gif"
    line = json.loads(run("caption", clip, "--frames", "3", "--format", "jsonl").stdout)
    assert run("caption", clip, "--frames", "3", "--sidecar", "txt").exit_code == 0
    assert (folder / "a.txt").read_text() == line["captions"][0]["text"] + "\n"


def test_films_of_a_folder_are_taken_with_frames(run: Run, folder: Path) -> None:
    pytest.importorskip("av")
    for path in folder.iterdir():
        path.unlink()
    (folder / "a.mp4").write_bytes(film(cut()))
    result = run("caption", folder, "--frames", "2")
    assert result.exit_code == 0, result.stderr
    assert "0.20 s" in result.stdout
    without = run("caption", folder)
    assert "there are no pictures in this folder, only .mp4" in without.stderr.replace("\n", " ")
    first = run("caption", folder / "a.mp4", "--format", "jsonl")
    assert json.loads(first.stdout)["captions"]


def test_a_film_without_the_extra_is_refused_by_name(
    run: Run, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(formats, "HAS_VIDEO", False)
    path = folder / "a.mp4"
    path.write_bytes(b"\0\0\0\x18ftypisom\0\0\0\0isommp42")
    for options in ((), ("--frames", "4")):
        result = run("caption", path, *options)
        assert result.exit_code == 1
        assert "unrolled[video]" in result.stderr.replace("\n", "")


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (("--frames", "4", "--min-confidence", "0.5"), "--min-confidence does not go with"),
        (("--frames", "0"), "greater than or equal to 1"),
        (("--frames", "65"), "less than or equal to 64"),
        (("--frames", "4", "--ray", "--output", "captions.jsonl"), "--ray cannot be combined"),
    ],
)
def test_what_does_not_go_with_frames_is_refused(
    run: Run, folder: Path, options: tuple[str, ...], says: str
) -> None:
    result = run("caption", folder, *options)
    assert result.exit_code == 2
    assert says in " ".join(result.stderr.replace("│", " ").split())
