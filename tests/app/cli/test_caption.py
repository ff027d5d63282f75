"""`unrolled caption` on standard output; `tests/app/bulk` tests its files."""

import csv
import io
import json
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pyarrow.parquet
import pytest
from click.testing import Result
from typer.testing import CliRunner

from app.cli.main import app
from model.captioning.captioner import Captioner
from model.captioning.gender_neutral import gender_neutral
from model.captioning.wording import alt_text
from tests.app.photos import encoded, photo

Run = Callable[..., Result]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Three pictures, one in a subfolder and one with an odd name; and another file."""
    (tmp_path / "deep").mkdir()
    (tmp_path / "a.jpg").write_bytes(encoded(photo(), "JPEG"))
    (tmp_path / "b [bold]é.PNG").write_bytes(encoded(photo(30, 50)))
    (tmp_path / "deep" / "c.webp").write_bytes(encoded(photo(50, 30), "WEBP"))
    (tmp_path / "notes.txt").write_text("not a picture, and not named like one")
    return tmp_path


def json_lines(result: Result) -> list[dict]:
    return [json.loads(line) for line in result.stdout.splitlines()]


def test_jsonl_has_the_captions_of_the_model(run: Run, folder: Path, bundle: Path) -> None:
    result = run("caption", folder, "--format", "jsonl", "--num-captions", "2")
    assert result.exit_code == 0, result.stderr
    lines = json_lines(result)
    names = [folder / "a.jpg", folder / "b [bold]é.PNG", folder / "deep" / "c.webp"]
    assert [line["path"] for line in lines] == [str(name) for name in names]
    expected = Captioner.load(bundle, "cpu").caption([photo(30, 50)], num_captions=2)[0]
    for found, caption in zip(lines[1]["captions"], expected, strict=True):
        assert found["text"] == caption.text
        assert found["logprob"] == pytest.approx(caption.logprob, abs=1e-4)
        assert [token["token"] for token in found["tokens"]] == [t.token for t in caption.tokens]


def test_csv_has_a_row_for_each_caption(run: Run, folder: Path) -> None:
    result = run("caption", folder, "--format", "csv", "--num-captions", "2", "--batch-size", "2")
    rows = list(csv.DictReader(io.StringIO(result.stdout)))
    columns = ["path", "rank", "caption", "logprob", "mean_logprob", "finished", "error"]
    assert list(rows[0]) == columns
    assert [row["rank"] for row in rows] == ["1", "2"] * 3
    assert all(float(row["logprob"]) < float(row["mean_logprob"]) < 0 for row in rows)
    assert {row["finished"] for row in rows} <= {"true", "false"}


def test_optional_fields_that_a_bundle_lacks_are_left_out(run: Run, folder: Path) -> None:
    (caption, *_) = json_lines(run("caption", folder, "--format", "jsonl"))[0]["captions"]
    assert set(caption) == {"text", "logprob", "mean_logprob", "finished", "tokens"}
    assert set(caption["tokens"][0]) == {"token", "logprob"}
    refused = run("caption", folder, "--image-gain")
    assert refused.exit_code == 2
    assert "image_gain needs a mean picture" in unframed(refused.stderr)
    refused = run("caption", folder, "--consensus")
    assert refused.exit_code == 2
    assert "consensus needs a table of expected words" in unframed(refused.stderr)


def test_confidence_and_image_gain_in_every_format(
    run: Run, folder: Path, finished_bundle: Path
) -> None:
    file, options = folder / "a.jpg", ["--weights", finished_bundle, "--image-gain"]
    (line,) = json_lines(run("caption", file, "--format", "jsonl", *options))
    (caption,) = line["captions"]
    image_gain = [token["image_gain"] for token in caption["tokens"]]
    assert 0 < caption["confidence"] < 1

    (row,) = csv.DictReader(io.StringIO(run("caption", file, "--format", "csv", *options).stdout))
    assert list(row)[-4:] == ["confidence", "agreement", "image_gain", "error"]
    assert float(row["agreement"]) == pytest.approx(caption["agreement"])
    assert float(row["confidence"]) == pytest.approx(caption["confidence"])
    assert [float(number) for number in row["image_gain"].split()] == pytest.approx(
        image_gain, abs=1e-4
    )

    _, first, second = run("caption", file, *options).stdout.splitlines()
    assert f" {caption['confidence']:.0%}  {caption['text']}" in first
    assert len(re.findall(r"\S+ [+-]\d+\.\d", second)) == len(image_gain)


def test_consensus_changes_the_order_of_captions(
    run: Run, folder: Path, finished_bundle: Path
) -> None:
    options = ["--format", "jsonl", "--beam-size", "8", "--num-captions", "8"]
    found = {
        option: json_lines(
            run("caption", folder / "a.jpg", option, *options, "--weights", finished_bundle)
        )[0]["captions"]
        for option in ("--consensus", "--no-consensus")
    }
    by_logprob = [one["logprob"] for one in found["--no-consensus"]]
    assert by_logprob == sorted(by_logprob, reverse=True)
    by_agreement = [one["logprob"] for one in found["--consensus"]]
    assert by_agreement != by_logprob
    assert sorted(by_agreement) == pytest.approx(sorted(by_logprob))


def test_csv_without_image_gain_has_no_such_column(
    run: Run, folder: Path, finished_bundle: Path
) -> None:
    result = run("caption", folder, "--format", "csv", "--weights", finished_bundle)
    rows = list(csv.DictReader(io.StringIO(result.stdout)))
    assert list(rows[0])[-4:] == ["finished", "confidence", "agreement", "error"]
    assert all(0 < float(row["confidence"]) < 1 for row in rows)


def unframed(text: str) -> str:
    """Undo the box and line breaks of a usage error."""
    return re.sub(r"[^\w-]+", " ", text)


def test_piped_text_is_plain(run: Run, folder: Path) -> None:
    name = folder / "b [bold]é.PNG"
    result = run("caption", name, "--num-captions", "3")
    first, *captions = result.stdout.splitlines()
    assert first == str(name)
    assert len(captions) == 3
    assert all(re.fullmatch(r" +-\d+\.\d{3}  [a-z ]+( \.\.\.)?", line) for line in captions)


def test_a_glob_gives_the_same_captions_at_any_batch_size(run: Run, folder: Path) -> None:
    pattern = folder / "**" / "*.[jw]*"
    one = json_lines(run("caption", pattern, "--format", "jsonl", "--batch-size", "1"))
    both = json_lines(run("caption", pattern, "--format", "jsonl", "--batch-size", "16"))
    assert [Path(line["path"]).name for line in one] == ["a.jpg", "c.webp"]
    for alone, together in zip(one, both, strict=True):
        assert alone["captions"][0]["text"] == together["captions"][0]["text"]


def test_a_bad_file_is_reported_and_the_rest_continues(run: Run, folder: Path) -> None:
    (folder / "a0.jpg").write_text("this is no photograph")
    nowhere, nothing, empty = folder / "nowhere.jpg", folder / "*.gif", folder / "empty"
    empty.mkdir()
    result = run("caption", nowhere, folder, nothing, empty, "--format", "jsonl")
    assert result.exit_code == 1
    lines = json_lines(result)
    assert len([line for line in lines if line["captions"]]) == 3
    first, *reports = result.stderr.splitlines()
    assert first == "left out: .txt (1)"
    assert reports[0] == f"{nowhere}: No such file or directory"
    assert reports[1].startswith(f"{folder / 'a0.jpg'}: unsupported image format")
    assert reports[2] == f"{nothing}: no file matches this pattern"
    assert reports[3] == f"{empty}: there are no pictures in this folder"
    assert [f"{line['path']}: {line['error']}" for line in lines if "error" in line] == reports


def test_a_picture_is_read_from_standard_input(run: Run, bundle: Path, tmp_path: Path) -> None:
    result = CliRunner().invoke(
        app, ["caption", "-", "--format", "jsonl"], input=encoded(photo(), "JPEG")
    )
    (line,) = json_lines(result)
    assert line["path"] == "-"
    assert line["captions"]
    assert result.exit_code == 0
    refused = run("caption", "-", "--output", tmp_path / "a.csv", "--resume")
    assert refused.exit_code == 2
    assert "standard input has no name" in unframed(refused.stderr)


@pytest.mark.parametrize("argument", ["", "https://example.com/a.jpg"])
def test_what_can_be_no_file_is_refused(run: Run, argument: str) -> None:
    result = run("caption", argument)
    assert (result.exit_code, result.stdout) == (2, "")
    assert "give" in result.stderr


def test_weak_captions_are_left_empty(run: Run, folder: Path, finished_bundle: Path) -> None:
    options = ["--weights", finished_bundle, "--format", "csv", "--min-confidence"]
    some = run("caption", folder / "a.jpg", *options, "0")
    none = run("caption", folder / "a.jpg", *options, "1")
    (whole,), (empty,) = (csv.DictReader(io.StringIO(result.stdout)) for result in (some, none))
    assert whole["caption"]
    assert empty == whole | {"caption": ""}
    shown = run("caption", folder / "a.jpg", "--weights", finished_bundle, "--min-confidence", "1")
    assert "(left empty)" in shown.stdout


def test_alt_text_stands_beside_the_caption(
    run: Run, folder: Path, finished_bundle: Path, tmp_path: Path
) -> None:
    options = ["--weights", finished_bundle, "--style", "alt"]
    (line,) = json_lines(run("caption", folder / "a.jpg", *options, "--format", "jsonl"))
    (caption,) = line["captions"]
    assert caption["alt_text"] == alt_text(caption["text"])
    assert caption["tokens"]
    csv_file, parquet = tmp_path / "found.csv", tmp_path / "found.parquet"
    for output in (csv_file, parquet):
        assert run("caption", folder / "a.jpg", *options, "--output", output).exit_code == 0
    (row,) = csv.DictReader(io.StringIO(csv_file.read_text()))
    (same,) = pyarrow.parquet.read_table(parquet).to_pylist()
    assert row["caption"] == same["caption"] == caption["text"]
    assert row["alt_text"] == same["alt_text"] == caption["alt_text"]
    hedged = [*options, "--min-confidence", "1", "--below", "hedge"]
    shown = run("caption", folder / "a.jpg", *hedged)
    assert f"Possibly {caption['text']}." in shown.stdout
    empty = run("caption", folder / "a.jpg", *options, "--min-confidence", "1")
    assert "(left empty)" in empty.stdout
    refused = run("caption", folder / "a.jpg", *options, "--below", "hedge")
    assert refused.exit_code == 2
    assert "below needs min_confidence" in unframed(refused.stderr)


def test_captions_are_neutral_on_request(run: Run, folder: Path, finished_bundle: Path) -> None:
    options = ["--weights", finished_bundle, "--format", "jsonl", "--beam-size", "10"]
    options += ["--num-captions", "10"]
    plain, neutral = (
        json_lines(run("caption", folder / "a.jpg", *options, *more))[0]["captions"]
        for more in ([], ["--gender-neutral"])
    )
    assert [one["text"] for one in neutral] == [gender_neutral(one["text"]) for one in plain]
    assert [one["text"] for one in neutral] != [one["text"] for one in plain]
    assert [one["tokens"] for one in neutral] == [one["tokens"] for one in plain]


def test_a_confidence_that_captions_lack_is_refused(
    run: Run, folder: Path, finished_bundle: Path
) -> None:
    command = ["caption", folder / "a.jpg", "--min-confidence", "0.5"]
    for options, message in (
        ([], "needs a calibrated confidence"),
        (["--weights", finished_bundle, "--temperature", "1"], "drawn captions have no confidence"),
    ):
        refused = run(*command, *options)
        assert refused.exit_code == 2
        assert message in unframed(refused.stderr)


def test_only_bad_files_print_no_captions(run: Run, tmp_path: Path) -> None:
    result = run("caption", tmp_path / "nowhere.jpg")
    assert (result.exit_code, result.stdout) == (1, "")


def test_a_missing_bundle_is_reported(run: Run, tmp_path: Path) -> None:
    result = run("caption", "x.jpg", "--weights", tmp_path)
    assert result.exit_code == 1
    assert "is not a folder" in result.stderr


@pytest.mark.slow
def test_a_closed_pipe_ends_the_command_quietly(bundle: Path, folder: Path) -> None:
    shell = f'"{sys.executable}" -c "from app.cli.main import app; app()" caption "$@" | head -n 1'
    files = [str(folder / "a.jpg")] * 30
    arguments = ["--weights", str(bundle), "--batch-size", "1", *files]
    result = subprocess.run(
        ["sh", "-c", shell, "sh", *arguments],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert result.stdout == f"{folder / 'a.jpg'}\n"
    assert "Traceback" not in result.stderr
