from collections.abc import Collection, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest

from app.errors import TooManyPixels
from app.serving import jobs
from app.serving.jobs import CaptionJob, CaptionJobResult
from model.captioning.captioner import Captioner
from model.config import DecodingConfig, SamplingConfig
from model.pictures.cost import Cost
from model.text.request import GenerationRequest
from tests.app.photos import encoded, photo
from tests.tiny import tiny_language_model


def run(
    *caption_jobs: CaptionJob, cancelled: Collection[int] = ()
) -> Sequence[CaptionJobResult | None]:
    return jobs.run_caption_jobs(caption_jobs, lambda index: index in cancelled)


def test_the_jobs_together_give_what_the_captioner_gives(bundle: Path) -> None:
    captioner = Captioner.load(bundle, "cpu")
    picture = jobs.prepare_picture(captioner, encoded(photo()), max_pixels=10_000)
    job = CaptionJob(captioner, picture.pixels, DecodingConfig(num_captions=2), attention=True)
    (result,) = run(job)
    assert result.captions == captioner.caption([photo()], num_captions=2, attention=True)[0]
    assert (picture.width, picture.height, picture.format) == (60, 40, "PNG")
    times = [picture.started, picture.ended, result.started, result.encoded, result.ended]
    assert times == sorted(times)


def test_a_picture_that_costs_much_is_left_to_a_process(
    bundle: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    captioner = Captioner.load(bundle, "cpu")
    monkeypatch.setattr(jobs, "_MAX_MEMORY", 5_000)
    found = jobs.prepare_picture(captioner, encoded(photo()), max_pixels=10_000)
    assert isinstance(found, Cost)
    assert found.memory > 5_000


def test_image_gain_reaches_the_captioner(finished_bundle: Path) -> None:
    captioner = Captioner.load(finished_bundle, "cpu")
    pixels = captioner.prepare([photo()])
    (result,) = run(CaptionJob(captioner, pixels, captioner.config.decoding, image_gain=True))
    assert result.captions == captioner.caption([photo()], image_gain=True)[0]


def test_a_batch_may_mix_captioners_and_options(bundle: Path) -> None:
    captioner, other = Captioner.load(bundle, "cpu"), Captioner.load(bundle, "cpu")
    pictures = [photo(30 + 10 * i, 40) for i in range(5)]
    decodings = [DecodingConfig(beam_size=1 + i % 2, num_captions=1 + i % 2) for i in range(5)]
    captioners = [captioner, captioner, captioner, other, captioner]
    caption_jobs = [
        CaptionJob(captioner, captioner.prepare([picture]), decoding)
        for captioner, picture, decoding in zip(captioners, pictures, decodings, strict=True)
    ]
    results = run(*caption_jobs, cancelled=[2])
    assert results[2] is None
    for index in (0, 1, 3, 4):
        (expected,) = captioner.caption([pictures[index]], **asdict(decodings[index]))
        assert [caption.text for caption in results[index].captions] == [c.text for c in expected]
        assert [caption.logprob for caption in results[index].captions] == pytest.approx(
            [caption.logprob for caption in expected], abs=1e-4
        )


def test_a_search_stops_once_all_its_jobs_are_cancelled(bundle: Path) -> None:
    captioner = Captioner.load(bundle, "cpu")
    step, cancelled = captioner.runner.step, []

    def cancel_one(*arguments: Any) -> Any:
        cancelled.append(len(cancelled))
        return step(*arguments)

    captioner.runner.step = cancel_one
    job = CaptionJob(captioner, captioner.prepare([photo()]), DecodingConfig())
    assert run(job, job, cancelled=cancelled) == [None, None]
    assert len(cancelled) == 2


def test_the_pixel_limit_is_passed_on(bundle: Path) -> None:
    captioner = Captioner.load(bundle, "cpu")
    with pytest.raises(TooManyPixels):
        jobs.prepare_picture(captioner, encoded(photo()), max_pixels=2_000)


def test_a_text_generated_in_time_slices_is_the_same_text() -> None:
    language_model = tiny_language_model()
    sampling = SamplingConfig(max_tokens=2_000)
    request = GenerationRequest("Twin", sampling, seed=7, top_logprobs=2)
    generation = jobs.start_generation(language_model, request)
    slices, ended = [], False
    while not ended:
        deltas, ended = jobs.advance_generation(generation)
        slices.append(deltas)
    assert len(slices) > 3
    whole = language_model.generate("Twin", seed=7, top_logprobs=2, max_tokens=2_000)
    assert [delta for deltas in slices for delta in deltas] == list(whole)


def test_deltas_from_other_requests_steps_are_returned_at_once() -> None:
    language_model = tiny_language_model()
    sampling = SamplingConfig(max_tokens=5_000)
    requests = [GenerationRequest("", sampling, seed=seed) for seed in (1, 2)]
    one, other = (jobs.start_generation(language_model, request) for request in requests)
    jobs.advance_generation(one)
    first, _ = jobs.advance_generation(other)  # joins the batch, and advances both
    waiting, ended = jobs.advance_generation(one)
    assert not ended
    assert abs(len(waiting) - len(first)) <= 1
    assert not other.has_deltas  # no step was needed


@pytest.mark.parametrize("work", ["score_incrementally", "activations_incrementally"])
def test_a_text_is_read_in_time_slices(work: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(jobs, "_TIME_SLICE", 0.0)  # one chunk of the text per slice
    language_model = tiny_language_model()
    incremental = getattr(language_model, work)("Twinkle, " * 700)
    slices = 1
    while (finished := jobs.advance(incremental)) is None:
        slices += 1
    assert slices > 10
    assert len(finished[0].tokens) == 6300
