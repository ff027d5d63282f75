from pathlib import Path

import pytest

from app import stages
from app.errors import TooManyPixels
from model.captioner import Captioner
from model.config import DecodingConfig, SamplingConfig
from tests.app.pictures import encoded, photo
from tests.tiny import tiny_language_model


def test_the_stages_together_are_what_the_captioner_says(bundle: Path) -> None:
    captioner = Captioner.load(bundle, "cpu")
    decoded = stages.decode(captioner, encoded(photo()), max_pixels=10_000)
    inferred = stages.infer(captioner, decoded.pixels, DecodingConfig(num_captions=2), True)
    assert inferred.captions == captioner.caption([photo()], num_captions=2, attention=True)[0]
    assert (decoded.width, decoded.height, decoded.format) == (60, 40, "PNG")
    times = [decoded.began, decoded.ended, inferred.began, inferred.encoded, inferred.ended]
    assert times == sorted(times)


def test_grounding_reaches_the_captioner(finished_bundle: Path) -> None:
    captioner = Captioner.load(finished_bundle, "cpu")
    pixels = captioner.prepare([photo()])
    inferred = stages.infer(captioner, pixels, captioner.config.decoding, False, True)
    assert inferred.captions == captioner.caption([photo()], grounding=True)[0]


def test_the_pixel_cap_is_passed_on(bundle: Path) -> None:
    captioner = Captioner.load(bundle, "cpu")
    with pytest.raises(TooManyPixels):
        stages.decode(captioner, encoded(photo()), max_pixels=2_000)


def test_a_text_is_written_in_slices_and_is_the_same_text() -> None:
    writer = tiny_language_model()
    sampling = SamplingConfig(max_tokens=2_000)
    order = stages.Order("Twin", n=1, seed=7, stop=(), top=2, sampling=sampling)
    texts = stages.begin(writer, order)
    slices, ended = [], False
    while not ended:
        pieces, ended = stages.write(texts)
        slices.append(pieces)
    assert len(slices) > 3
    whole = writer.generate("Twin", seed=7, top=2, max_tokens=2_000)
    assert [piece for pieces in slices for piece in pieces] == list(whole)


@pytest.mark.parametrize("work", ["score_in_turns", "activations_in_turns"])
def test_a_text_is_read_in_slices(work: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stages, "_SLICE", 0.0)  # one chunk of the text a slice
    writer = tiny_language_model()
    reading = getattr(writer, work)("Twinkle, " * 700)
    slices = 1
    while (ended := stages.go_on(reading)) is None:
        slices += 1
    assert slices > 10
    assert len(ended[0].tokens) == 6300
