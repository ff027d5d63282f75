import json
from dataclasses import replace

from model.evaluation.diversity import Diversity
from model.evaluation.metrics import Scores
from model.evaluation.report import PictureCaptions, Report, Result

SCORES = Scores(0.7, 0.5, 0.35, 0.25, 0.51, 0.625, None, "a tokenizer")
DIVERSITY = Diversity(0.125, 42, 7, 9.5, 0.0, 0.01)
REPORT = Report(
    model="small",
    version="1.2",
    dataset="flickr8k",
    split="test",
    pictures=1000,
    tokenizer="a tokenizer",
    meteor=None,
    seconds=12.34,
    results=(
        Result(1, SCORES, DIVERSITY),
        Result(3, replace(SCORES, meteor=0.3, cider=0.7), replace(DIVERSITY, copied=None)),
    ),
)
CAPTIONS = (PictureCaptions("1.jpg", {1: "a café", 3: "a dog"}, ("A dog .", "Dogs .")),)


def cells(line: str) -> list[str]:
    return [cell.strip() for cell in line.strip("|").split("|")]


def test_the_table_has_a_row_for_each_beam_size():
    heading, _, names, rule, *rows, _, note = REPORT.as_markdown().splitlines()
    assert heading == "# small 1.2 on flickr8k test"
    first, second = (dict(zip(cells(names), cells(row), strict=True)) for row in rows)
    assert len(cells(rule)) == len(first)
    assert first == {
        "beam": "1", "BLEU-1": "70.0", "BLEU-2": "50.0", "BLEU-3": "35.0", "BLEU-4": "25.0",
        "ROUGE-L": "51.0", "METEOR": "-", "CIDEr": "62.5", "words": "9.5",
        "distinct captions": "7", "distinct words": "42", "copied": "12.5", "repeating": "0.0",
        "ending badly": "1.0",
    }  # fmt: skip
    assert (second["beam"], second["METEOR"], second["CIDEr"]) == ("3", "30.0", "70.0")
    assert second["copied"] == "-"
    assert "1000 pictures in 12.3 s" in note
    assert "a tokenizer" in note
    assert "METEOR: not computed" in note


def test_a_dozen_pictures_drawn_by_chance_are_shown_with_the_captions_of_the_best_beam():
    captions = tuple(
        PictureCaptions(f"{i}.jpg", {1: f"one {i}", 3: f"three {i}"}, (f"said of {i}", "else"))
        for i in range(40)
    )
    report = replace(REPORT, captions=captions)
    head, _, shown = report.as_markdown().partition(
        "Some of the pictures, drawn at random; beam 3:"
    )
    assert head.strip() == REPORT.as_markdown().strip()
    rows = [cells(line) for line in shown.strip().splitlines()[2:]]
    numbers = [int(name.removesuffix(".jpg")) for name, _, _ in rows]
    assert len(set(numbers)) == 12
    assert numbers != sorted(numbers)[:12]
    assert rows == [[f"{i}.jpg", f"three {i}", f"said of {i}"] for i in numbers]
    assert report.as_markdown() == replace(report).as_markdown()  # the same ones each time


def test_few_pictures_are_all_shown():
    assert "| 1.jpg | a dog | A dog . |" in replace(REPORT, captions=CAPTIONS).as_markdown()


def test_the_dictionary_survives_json_and_holds_everything_but_the_captions():
    found = replace(REPORT, captions=CAPTIONS).as_dict()
    assert json.loads(json.dumps(found)) == found
    assert found["results"][1]["scores"]["cider"] == 0.7
    assert found["results"][0]["diversity"]["vocabulary"] == 42
    assert (found["model"], found["pictures"], found["meteor"]) == ("small", 1000, None)
    assert "captions" not in found


def test_report_and_captions_are_written_side_by_side(tmp_path):
    written = replace(REPORT, captions=CAPTIONS).write(tmp_path / "runs" / "small-1.2")
    names = ["small-1.2.json", "small-1.2.md", "small-1.2-captions.json"]
    assert [path.name for path in written] == names
    assert sorted(path.name for path in (tmp_path / "runs").iterdir()) == sorted(names)
    assert json.loads(written[0].read_bytes()) == REPORT.as_dict()
    assert written[1].read_text() == replace(REPORT, captions=CAPTIONS).as_markdown()
    assert json.loads(written[2].read_text(encoding="utf-8")) == [
        {
            "filename": "1.jpg",
            "captions": {"1": "a café", "3": "a dog"},
            "references": ["A dog .", "Dogs ."],
        }
    ]


def test_without_captions_no_file_of_them_is_written(tmp_path):
    assert len(REPORT.write(tmp_path / "report")) == 2
