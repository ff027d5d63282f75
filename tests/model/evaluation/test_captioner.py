from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import pytest
from PIL import Image

import model.reporting.progress
from model.config import CalibrationConfig, DecodingConfig
from model.evaluation.captioner import evaluate
from model.evaluation.metrics import Scorer
from model.evaluation.tokenizer import PYTHON

REFERENCES = [
    ("A red ball .", "A ball ."),
    ("The lime grass .",),
    ("A blue sky over the sea .", "Blue sky .", "The sky ."),
]
COLOURS = ["red", "lime", "blue"]
PHRASES = {
    (255, 0, 0): "a red ball",
    (0, 255, 0): "the lime grass",
    (0, 0, 255): "a blue sky",
}


@dataclass(frozen=True)
class Entry:
    filename: str
    captions: tuple[str, ...]


class Colours:
    """Three pictures, each of one colour."""

    name = "colours"

    def split(self, name: str) -> Sequence[Entry]:
        entries = list(map(Entry, COLOURS, REFERENCES))
        return {"test": entries, "empty": []}[name]

    def picture(self, entry: Entry) -> Image.Image:
        return Image.new("RGB", (4, 4), entry.filename)


@dataclass(frozen=True)
class Config:
    name: str = "eye"
    version: str = "0.1"
    calibration: CalibrationConfig | None = None
    decoding: DecodingConfig = field(default=DecodingConfig(length_penalty=0.5))


@dataclass(frozen=True)
class Caption:
    text: str
    confidence: float | None = None


@dataclass
class Eye:
    """Names the colour of a picture; a wider beam says more, and worse captions come after it."""

    config: Config = field(default_factory=Config)
    calls: list[tuple[int, int]] = field(default_factory=list)
    decodings: list[DecodingConfig] = field(default_factory=list)
    has_tags: bool = False

    def caption(
        self, pictures: Sequence[Image.Image], decoding: DecodingConfig
    ) -> list[list[Caption]]:
        beam_size = decoding.beam_size
        self.calls.append((len(pictures), beam_size))
        self.decodings.append(decoding)
        best = [PHRASES[picture.getpixel((0, 0))] for picture in pictures]
        texts = best if beam_size > 1 else [text.split()[1] for text in best]
        sure = None if self.config.calibration is None else 0.75
        return [[Caption(text, sure), Caption("a second guess")][:beam_size] for text in texts]


def run(**options):
    eye = Eye()
    report = evaluate(eye, Colours(), split="test", java=False, progress=False, **options)
    return eye, report


def test_each_beam_size_is_scored_on_its_own_best_captions():
    _, report = run(beam_sizes=(1, 3))
    texts = {1: COLOURS, 3: list(PHRASES.values())}
    scorer = Scorer(REFERENCES, java=False)
    assert [result.beam_size for result in report.results] == [1, 3]
    for result in report.results:
        assert result.scores == scorer.score(texts[result.beam_size])
    assert report.results[1].diversity.mean_length == 3


def test_the_report_says_what_was_evaluated_on_what():
    _, report = run()
    assert (report.model, report.version) == ("eye", "0.1")
    assert (report.dataset, report.split, report.pictures) == ("colours", "test", 3)
    assert (report.tokenizer, report.meteor) == (PYTHON, None)
    assert [result.beam_size for result in report.results] == [1, 3, 5]
    assert report.seconds > 0


def test_captions_come_back_with_their_pictures_and_references():
    _, report = run(beam_sizes=(1, 3))
    assert [picture.as_dict() for picture in report.captions] == [
        {"filename": name, "captions": {"1": name, "3": text}, "references": list(references)}
        for name, text, references in zip(COLOURS, PHRASES.values(), REFERENCES, strict=True)
    ]


def test_every_picture_is_captioned_once_for_each_beam_size():
    eye, _ = run(beam_sizes=(1, 3), batch_size=2)
    assert eye.calls == [(2, 1), (2, 3), (1, 1), (1, 3)]


def test_a_decoding_reaches_the_captioner_at_every_beam_size():
    decoding = DecodingConfig(num_captions=2, length_penalty=0.7, no_echo_words=("and",))
    eye, _ = run(beam_sizes=(1, 4), decoding=decoding)
    assert eye.calls == [(3, 1), (3, 4)]
    narrow, wide = eye.decodings
    assert wide == replace(decoding, beam_size=4)
    assert narrow == replace(decoding, beam_size=1, num_captions=1)


def test_without_a_decoding_the_captioner_uses_its_own():
    eye, _ = run(beam_sizes=(1,))
    assert eye.decodings == [replace(eye.config.decoding, beam_size=1)]


def test_the_size_of_a_batch_changes_no_result():
    reports = [run(batch_size=size)[1] for size in (1, 2, 32)]
    assert reports[0].captions == reports[1].captions == reports[2].captions
    assert reports[0].results == reports[1].results == reports[2].results


def test_copies_of_training_captions_are_found():
    _, report = run(beam_sizes=(3,), training_captions=["A red ball ."])
    assert report.results[0].diversity.copied == pytest.approx(1 / 3)


def test_progress_goes_to_standard_error_and_only_when_wanted(capsys, monkeypatch):
    monkeypatch.setattr(model.reporting.progress, "_SECONDS", 0.0)  # a line a batch
    run()
    assert capsys.readouterr() == ("", "")
    evaluate(Eye(), Colours(), split="test", java=False, progress=True)
    printed = capsys.readouterr()
    assert printed.out == ""
    assert "3 of 3" in printed.err


@pytest.mark.parametrize("beam_sizes", [(), (0, 1), (3, 3)])
def test_beam_sizes_must_be_distinct_and_positive(beam_sizes):
    with pytest.raises(ValueError, match="distinct and at least 1"):
        run(beam_sizes=beam_sizes)


def test_the_batch_size_must_be_positive():
    with pytest.raises(ValueError, match="batch size"):
        run(batch_size=0)


def test_an_empty_split_is_refused():
    with pytest.raises(ValueError, match="colours has no pictures in its split 'empty'"):
        evaluate(Eye(), Colours(), split="empty", java=False, progress=False)


class ManyColours(Colours):
    """As many pictures as it takes to say what a good caption is."""

    def split(self, name: str) -> Sequence[Entry]:
        return list(super().split(name)) * 8


CALIBRATED = Config(calibration=CalibrationConfig(("tokens",), (0.0,), 0.0, level=0.4))


def test_confidence_is_compared_with_what_is_good():
    report = evaluate(
        Eye(CALIBRATED), ManyColours(), split="test", beam_sizes=(1, 3), java=False, progress=False
    )
    poor, rich = (result.calibration for result in report.results)
    assert report.good_cider > 0
    assert poor.count == rich.count == 24
    assert poor.good < rich.good
    for found in (poor, rich):
        assert found.confidence == pytest.approx(0.75)
        assert found.ece == pytest.approx(abs(0.75 - found.good))
        assert found.brier == pytest.approx(found.good * 0.25**2 + (1 - found.good) * 0.75**2)
    written = report.as_dict()["results"][1]["calibration"]
    assert (written["ece"], written["brier"]) == (rich.ece, rich.brier)
    assert sum(one["count"] for one in written["equal_width"]) == 24
    assert "| ECE | ECE by chance | Brier |" in report.as_markdown()


@dataclass
class Unsure(Eye):
    """Has no confidence in red pictures, nor at the beam sizes in `silent`."""

    silent: tuple[int, ...] = ()

    def caption(
        self, pictures: Sequence[Image.Image], decoding: DecodingConfig
    ) -> list[list[Caption]]:
        found = super().caption(pictures, decoding)
        return [
            [replace(one, confidence=None) for one in captions]
            if decoding.beam_size in self.silent or picture.getpixel((0, 0)) == (255, 0, 0)
            else captions
            for picture, captions in zip(pictures, found, strict=True)
        ]


def test_captions_without_a_confidence_are_left_out_of_its_measure():
    report = evaluate(
        Unsure(CALIBRATED, silent=(1,)), ManyColours(), split="test", beam_sizes=(1, 3),
        java=False, progress=False,
    )  # fmt: skip
    none, some = (result.calibration for result in report.results)
    assert none is None
    assert some.count == 16
    assert some.confidence == pytest.approx(0.75)
    first, second = report.as_markdown().splitlines()[4:6]
    assert first.endswith("| - | - | - |")
    assert not second.endswith("| - |")


def test_without_confidence_there_is_nothing_to_compare():
    _, report = run()
    assert report.good_cider is None
    assert [result.calibration for result in report.results] == [None] * 3
    assert "ECE" not in report.as_markdown()


def test_where_people_said_too_little_confidence_is_not_measured():
    report = evaluate(Eye(CALIBRATED), Colours(), split="test", java=False, progress=False)
    assert report.good_cider is None
    assert report.results[0].calibration is None
