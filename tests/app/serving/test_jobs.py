import asyncio
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest

from app.errors import TooManyPixels
from app.serving import jobs as stages
from app.serving.batcher import Pending
from model.captioning.captioner import Captioner
from model.config import DecodingConfig, SamplingConfig
from tests.app.photos import encoded, photo
from tests.tiny import tiny_language_model


def infer(
    captioner: Captioner, *asked: stages.CaptionJob, cancelled: Sequence[int] = ()
) -> Sequence[stages.CaptionJobResult | None]:
    """Infer a batch, of which some have gone."""

    async def in_a_loop() -> Sequence[stages.CaptionJobResult | None]:
        batch = [Pending(one) for one in asked]
        for index in cancelled:
            batch[index].result.cancel()
        return stages.infer(captioner, batch)

    return asyncio.run(in_a_loop())


def test_the_stages_together_are_what_the_captioner_says(bundle: Path) -> None:
    captioner = Captioner.load(bundle, "cpu")
    decoded = stages.decode(captioner, encoded(photo()), max_pixels=10_000)
    asked = stages.CaptionJob(decoded.pixels, DecodingConfig(num_captions=2), attention=True)
    (inferred,) = infer(captioner, asked)
    assert inferred.captions == captioner.caption([photo()], num_captions=2, attention=True)[0]
    assert (decoded.width, decoded.height, decoded.format) == (60, 40, "PNG")
    times = [decoded.began, decoded.ended, inferred.began, inferred.encoded, inferred.ended]
    assert times == sorted(times)


def test_grounding_reaches_the_captioner(finished_bundle: Path) -> None:
    captioner = Captioner.load(finished_bundle, "cpu")
    pixels = captioner.prepare([photo()])
    (inferred,) = infer(
        captioner, stages.CaptionJob(pixels, captioner.config.decoding, image_gain=True)
    )
    assert inferred.captions == captioner.caption([photo()], image_gain=True)[0]


def test_a_batch_holds_whatever_was_asked_for(bundle: Path) -> None:
    captioner = Captioner.load(bundle, "cpu")
    pictures = [photo(30 + 10 * i, 40) for i in range(5)]
    decodings = [DecodingConfig(beam_size=1 + i % 2, num_captions=1 + i % 2) for i in range(5)]
    asked = [
        stages.CaptionJob(captioner.prepare([picture]), decoding)
        for picture, decoding in zip(pictures, decodings, strict=True)
    ]
    found = infer(captioner, *asked, cancelled=[2])
    assert found[2] is None
    for index in (0, 1, 3, 4):
        (expected,) = captioner.caption([pictures[index]], **asdict(decodings[index]))
        assert [caption.text for caption in found[index].captions] == [c.text for c in expected]
        assert [caption.logprob for caption in found[index].captions] == pytest.approx(
            [caption.logprob for caption in expected], abs=1e-4
        )


def test_a_search_is_given_up_between_two_words(bundle: Path) -> None:
    captioner = Captioner.load(bundle, "cpu")
    steps, step = [], captioner.runner.step

    async def in_a_loop() -> Sequence[stages.CaptionJobResult | None]:
        asked = stages.CaptionJob(captioner.prepare([photo()]), DecodingConfig())
        batch = [Pending(asked), Pending(asked)]

        def leave(*arguments: Any) -> Any:
            batch[len(steps)].result.cancel()
            steps.append(arguments)
            return step(*arguments)

        captioner.runner.step = leave
        return stages.infer(captioner, batch)

    assert asyncio.run(in_a_loop()) == [None, None]
    assert len(steps) == 2


def test_the_pixel_cap_is_passed_on(bundle: Path) -> None:
    captioner = Captioner.load(bundle, "cpu")
    with pytest.raises(TooManyPixels):
        stages.decode(captioner, encoded(photo()), max_pixels=2_000)


def test_a_text_is_written_in_slices_and_is_the_same_text() -> None:
    language_model = tiny_language_model()
    sampling = SamplingConfig(max_tokens=2_000)
    order = stages.GenerationRequest("Twin", n=1, seed=7, stop=(), top=2, sampling=sampling)
    texts = stages.start_generation(language_model, order)
    slices, ended = [], False
    while not ended:
        pieces, ended = stages.write(texts)
        slices.append(pieces)
    assert len(slices) > 3
    whole = language_model.generate("Twin", seed=7, top=2, max_tokens=2_000)
    assert [piece for pieces in slices for piece in pieces] == list(whole)


def test_what_others_moments_have_written_is_given_at_once() -> None:
    language_model = tiny_language_model()
    sampling = SamplingConfig(max_tokens=5_000)
    orders = [stages.GenerationRequest("", 1, seed, (), 0, sampling) for seed in (1, 2)]
    one, other = (stages.start_generation(language_model, order) for order in orders)
    stages.write(one)
    first, _ = stages.write(other)  # joins, and writes both
    waiting, ended = stages.write(one)
    assert not ended
    assert abs(len(waiting) - len(first)) <= 1
    assert not other.waits  # nothing more was written for it


@pytest.mark.parametrize("work", ["score_incrementally", "activations_incrementally"])
def test_a_text_is_read_in_slices(work: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stages, "_SLICE", 0.0)  # one chunk of the text a slice
    language_model = tiny_language_model()
    reading = getattr(language_model, work)("Twinkle, " * 700)
    slices = 1
    while (ended := stages.advance(reading)) is None:
        slices += 1
    assert slices > 10
    assert len(ended[0].tokens) == 6300
