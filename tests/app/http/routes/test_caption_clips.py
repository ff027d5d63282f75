"""`POST /caption` with clips: animations, pages and films."""

import base64
from collections.abc import Iterator

import httpx
import pytest
from PIL import Image

from app.pictures import process
from app.serving import clips as serving_clips
from model.bundle.discovery import SHIPPED_WEIGHTS
from model.pictures import formats
from model.pictures.cost import Cost
from tests.app.answers import assert_error, captions, raw
from tests.app.clips import PHOTOGRAPHS, SIZE, animated, cut, film, pan, still
from tests.app.photos import encoded
from tests.app.servers import Service, in_thread

GIF = animated(cut(), "GIF")


def best(response: httpx.Response) -> list[str]:
    """The best caption of each frame."""
    assert response.status_code == 200, response.text
    return [frame["captions"][0]["text"] for frame in response.json()["frames"]]


@pytest.fixture(scope="module")
def trained() -> Iterator[httpx.Client]:
    """A client of a service with the shipped captioner."""
    with in_thread(SHIPPED_WEIGHTS / "captioner", self_test=False) as running:
        yield running.client


@pytest.mark.parametrize("name", ["GIF", "WEBP", "PNG", "AVIF", "TIFF", "MP4", "WebM"])
def test_captions_change_at_the_cut(trained: httpx.Client, name: str) -> None:
    stored = cut(size=(224, 160))
    if name in {"MP4", "WebM"}:
        pytest.importorskip("av")
        codec = {"MP4": ("mp4", "libx264"), "WebM": ("webm", "libvpx-vp9")}[name]
        data = film(stored, *codec)
    else:
        data = animated(stored, name)
    response = raw(trained, data, "video/mp4", frames=5)
    body = response.json()
    assert [frame["index"] for frame in body["frames"]] == [1, 3, 5, 7, 9]
    captions = best(response)
    assert all("dog" in caption for caption in captions[:2])
    assert all("pizza" in caption for caption in captions[2:])
    assert "pizza" in body["captions"][0]["text"]  # three of the five frames
    times = [frame.get("seconds") for frame in body["frames"]]
    assert times == ([None] * 5 if name == "TIFF" else pytest.approx([0.1, 0.3, 0.5, 0.7, 0.9]))
    info = body["image"]
    assert (info["width"], info["height"], info["format"], info["length"]) == (224, 160, name, 10)
    if name not in {"TIFF", "AVIF"}:
        assert info["duration"] == pytest.approx(1)
    timing = body["timing_ms"]
    stages = [timing[stage] for stage in ("decode", "queue", "encode", "search")]
    assert all(milliseconds >= 0 for milliseconds in stages)
    assert timing["total"] == pytest.approx(sum(stages), abs=0.1)


def test_without_frames_a_picture_is_what_it_was(client: httpx.Client) -> None:
    body = raw(client, GIF).json()
    assert set(body) == {
        "model", "model_version", "request_id", "captions", "image", "timing_ms",
    }  # fmt: skip
    assert body["image"] == {"width": SIZE[0], "height": SIZE[1], "format": "GIF"}
    assert body["captions"] == raw(client, GIF, frames=1).json()["captions"]


def test_a_still_picture_is_one_frame(client: httpx.Client) -> None:
    data = (PHOTOGRAPHS / "dog.jpg").read_bytes()
    body = raw(client, data, frames=8).json()
    (frame,) = body["frames"]
    assert set(frame) == {"index", "captions"}
    assert frame["captions"] == body["captions"]
    alone = captions(raw(client, data))
    assert [one["text"] for one in body["captions"]] == [one["text"] for one in alone]
    assert body["image"]["length"] == 1


def test_the_first_frame_of_a_film_needs_no_option(client: httpx.Client) -> None:
    pytest.importorskip("av")
    body = raw(client, film(cut()), "video/mp4").json()
    (frame,) = body["frames"]
    assert (frame["index"], frame["seconds"]) == (0, 0)
    assert frame["captions"] == body["captions"]


def test_a_pan_has_a_caption_for_all_of_it(finished: httpx.Client) -> None:
    body = raw(finished, animated(pan("surfing"), "WEBP"), frames=4, num_captions=2).json()
    assert len(body["frames"]) == 4
    assert all(len(frame["captions"]) == 2 for frame in body["frames"])
    texts = {one["text"] for frame in body["frames"] for one in frame["captions"]}
    assert len(body["captions"]) == 2
    for one in body["captions"]:
        assert one["text"] in texts
        assert "confidence" not in one
        assert 0 <= one["agreement"] <= 1
    assert "confidence" in body["frames"][0]["captions"][0]


def test_options_reach_the_frames(finished: httpx.Client) -> None:
    parameters = {"attention": True, "image_gain": True, "top_logprobs": 2, "style": "alt"}
    body = raw(finished, GIF, frames=2, **parameters).json()
    for frame in body["frames"]:
        caption = frame["captions"][0]
        assert caption["alt_text"].endswith(".")
        assert {"attention", "image_gain", "top_logprobs"} <= set(caption["tokens"][0])
    assert body["captions"][0]["alt_text"].endswith(".")


def test_several_clips_and_pictures_are_captioned_with_one_request(client: httpx.Client) -> None:
    files = [GIF, encoded(still("dog")), GIF[:2000]]
    images = [base64.b64encode(one).decode() for one in files]
    response = client.post("/caption", params={"frames": 3}, json={"images": images})
    clip, picture, broken = response.json()["results"]
    assert [len(clip["frames"]), len(picture["frames"])] == [3, 1]
    assert broken["error"]["code"] == "malformed_image"


@pytest.mark.parametrize(
    ("parameters", "says"),
    [
        ({"frames": 33}, "at most 32"),
        ({"frames": 65}, "less than or equal to 64"),
        ({"frames": 0}, "greater than or equal to 1"),
        ({"frames": "all"}, "frames"),
        ({"frames": 4, "trace": True}, "leave them out for a clip"),
        ({"frames": 4, "overlay": True}, "leave them out for a clip"),
        ({"frames": 4, "min_confidence": 0.5}, "the caption of a clip has no confidence"),
    ],
)
def test_what_a_clip_cannot_have_is_refused(
    client: httpx.Client, parameters: dict[str, object], says: str
) -> None:
    response = raw(client, GIF, **parameters)
    assert says in assert_error(response, 422, "invalid_parameter")


def test_a_clip_that_is_cut_short_is_refused(client: httpx.Client) -> None:
    response = raw(client, GIF[: len(GIF) // 2], frames=4)
    assert "cut short" in assert_error(response, 400, "malformed_image")


def test_a_film_is_refused_by_name_without_the_extra(
    client: httpx.Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(formats, "HAS_VIDEO", False)
    data = b"\0\0\0\x18ftypisom\0\0\0\0isommp42" + bytes(100)
    message = assert_error(raw(client, data, "video/mp4", frames=4), 415, "unsupported_image")
    assert "MP4" in message
    assert "pip install 'unrolled[video]'" in message


def test_a_costly_clip_is_decoded_in_a_process(
    client: httpx.Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = raw(client, GIF, frames=4).json()
    monkeypatch.setattr(serving_clips, "fits_thread", lambda cost: False)
    found = raw(client, GIF, frames=4).json()
    for volatile in ("request_id", "timing_ms"):
        del expected[volatile], found[volatile]
    assert found == expected


def test_a_clip_that_takes_too_long_is_stopped_at_the_deadline(
    service: Service, bundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    import asyncio
    import sys

    start = asyncio.create_subprocess_exec

    async def start_other(*_: str, **options: object) -> asyncio.subprocess.Process:
        return await start(sys.executable, "-c", "import time; time.sleep(600)", **options)

    with in_thread(bundle, deadline=1) as slow:
        monkeypatch.setattr(serving_clips, "fits_thread", lambda cost: False)
        monkeypatch.setattr(process.asyncio, "create_subprocess_exec", start_other)
        response = raw(slow.client, GIF, frames=4)
        assert_error(response, 503, "deadline_exceeded")
        assert slow.engine.worker.in_flight == 0


def test_a_film_never_runs_in_the_service_itself() -> None:
    found = serving_clips.prepare_clip(None, b"\0\0\0\x18ftypisom\0\0\0\0isommp42", 4, 10**6)
    assert isinstance(found, Cost)


def test_a_giant_clip_is_refused_before_it_is_decoded(client: httpx.Client) -> None:
    large = Image.new("L", (7000, 7000))
    data = animated([large, Image.new("L", (7000, 7000), 9)], "GIF")
    response = raw(client, data, frames=2)
    assert "smaller frames" in assert_error(response, 413, "image_too_costly")
