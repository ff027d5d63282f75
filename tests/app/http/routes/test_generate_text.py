"""`POST /generate-text`: whole and streamed responses."""

import itertools
import math
from pathlib import Path

import httpx
import pytest

from model.text.language_model import LanguageModel
from model.vocabulary import END
from tests.app.servers import in_thread
from tests.app.writers import events, generate, save_writer, texts


def test_the_response_is_complete_and_consistent(writers: httpx.Client) -> None:
    response = writers.post("/generate-text", json={"model": "verse", "prompt": "Twin", "seed": 3})
    body = response.json()
    assert set(body) == {
        "model", "model_version", "request_id", "seed", "choices", "usage", "timing_ms",
    }  # fmt: skip
    assert (body["model"], body["model_version"], body["seed"]) == ("verse", "0", 3)
    assert body["request_id"] == response.headers["x-request-id"]
    (choice,) = body["choices"]
    assert set(choice) == {"index", "text", "finish_reason", "logprob"}
    assert (choice["index"], choice["finish_reason"]) == (0, "length")
    assert body["usage"] == {"prompt_tokens": 4, "completion_tokens": 20, "total_tokens": 24}
    assert 0 < body["timing_ms"]["model"] <= body["timing_ms"]["total"]


def test_the_text_is_that_of_the_language_model(writers: httpx.Client, weights: Path) -> None:
    verse = LanguageModel.load(weights / "text" / "verse", "cpu")
    deltas = list(verse.generate("Twin", seed=3, temperature=0.5, top_k=4))
    (found,) = generate(writers, prompt="Twin", seed=3, temperature=0.5, top_k=4)["choices"]
    assert found["text"] == "".join(delta.text for delta in deltas)
    logprobs = [delta.logprob for delta in deltas if delta.logprob is not None]
    assert found["logprob"] == pytest.approx(math.fsum(logprobs), abs=1e-4)


def test_the_same_seed_gives_the_same_text(writers: httpx.Client) -> None:
    assert texts(writers, seed=5) == texts(writers, seed=5) != texts(writers, seed=6)
    drawn, other = generate(writers), generate(writers, seed=None)
    assert drawn["seed"] != other["seed"]
    assert texts(writers, seed=drawn["seed"]) == [drawn["choices"][0]["text"]]


def test_several_texts_use_consecutive_seeds(writers: httpx.Client) -> None:
    body = generate(writers, n=3, seed=5)
    assert [choice["index"] for choice in body["choices"]] == [0, 1, 2]
    alone = [texts(writers, seed=seed)[0] for seed in (5, 6, 7)]
    assert [choice["text"] for choice in body["choices"]] == alone
    assert body["usage"] == {"prompt_tokens": 0, "completion_tokens": 60, "total_tokens": 60}


@pytest.mark.parametrize("several", [False, True])
def test_a_stop_string_ends_the_text(writers: httpx.Client, several: bool) -> None:
    (whole,) = texts(writers, seed=5, max_tokens=40)
    stop = whole[10:12]
    (choice,) = generate(writers, seed=5, max_tokens=40, stop=["☃", stop] if several else stop)[
        "choices"
    ]
    assert choice["text"] == whole[: whole.index(stop)]
    assert choice["finish_reason"] == "stop"


def test_the_end_token_ends_the_text(writers: httpx.Client) -> None:
    choices = generate(writers, model="notes", prompt="a", n=16, seed=1, logprobs=0)["choices"]
    ended = [choice for choice in choices if choice["finish_reason"] == "stop"]
    assert ended
    for choice in ended:
        assert choice["logprobs"]["tokens"][-1] == END
        assert choice["text"] == "".join(f" {t}" for t in choice["logprobs"]["tokens"][:-1])


def test_echo_starts_the_text_with_the_prompt(writers: httpx.Client) -> None:
    prompt = "Twinkle\0 ☃ “é”"
    (plain,) = texts(writers, prompt=prompt, seed=1)
    body = generate(writers, prompt=prompt, seed=1, echo=True, logprobs=0)
    (choice,) = body["choices"]
    assert choice["text"] == prompt + plain
    assert choice["logprobs"]["text_offset"][0] == len(prompt)


def test_logprobs_are_returned_on_request(writers: httpx.Client) -> None:
    (choice,) = generate(writers, prompt="Twin", seed=1, logprobs=3, temperature=0.3)["choices"]
    logprobs = choice["logprobs"]
    assert set(logprobs) == {"tokens", "token_logprobs", "top_logprobs", "text_offset"}
    assert "".join(logprobs["tokens"]) == choice["text"]
    assert logprobs["text_offset"] == list(range(20))
    assert math.fsum(logprobs["token_logprobs"]) == pytest.approx(choice["logprob"])
    for token, logprob, top in zip(
        logprobs["tokens"], logprobs["token_logprobs"], logprobs["top_logprobs"], strict=True
    ):
        assert len(top) == 3
        assert list(top.values()) == sorted(top.values(), reverse=True)
        assert top.get(token, logprob) == logprob
    (choice,) = generate(writers, logprobs=0)["choices"]
    assert choice["logprobs"]["top_logprobs"] is None


def test_logprobs_are_the_same_as_in_score(writers: httpx.Client) -> None:
    (choice,) = generate(writers, prompt="Twin", seed=1, logprobs=0, temperature=0.3)["choices"]
    scored = writers.post("/score", json={"model": "verse", "text": "Twin" + choice["text"]}).json()
    after_prompt = [token["logprob"] for token in scored["tokens"][4:]]
    assert choice["logprobs"]["token_logprobs"] == pytest.approx(after_prompt, abs=1e-4)


def test_sampling_options_reach_the_model(writers: httpx.Client) -> None:
    greedy = texts(writers, temperature=0, seed=1)
    assert texts(writers, temperature=0, seed=2) == greedy
    assert texts(writers, top_k=1, seed=2) == texts(writers, top_p=1e-9, seed=2) == greedy
    assert texts(writers, temperature=5e-324, seed=2) == greedy
    (varied,) = texts(writers, temperature=0, no_repeat_ngram_size=2, max_tokens=30)
    pairs = list(itertools.pairwise(varied))
    assert len(set(pairs)) == len(pairs)
    (short,) = texts(writers, max_tokens=1)
    assert len(short) == 1


def test_the_only_language_model_need_not_be_named(tmp_path) -> None:
    save_writer(tmp_path / "text" / "verse")
    with in_thread(tmp_path) as service:
        response = service.client.post("/generate-text", json={})
        assert response.status_code == 200
        assert response.json()["model"] == "verse"
        assert [m["name"] for m in service.client.get("/models").json()["models"]] == ["verse"]
        response = service.client.post(
            "/caption", content=b"x", headers={"Content-Type": "image/x"}
        )
        assert response.status_code == 404


@pytest.mark.parametrize("body", [
    {"prompt": "Twin", "seed": 3},
    {"prompt": "Twin", "seed": 3, "n": 3, "echo": True, "logprobs": 2, "max_tokens": 700},
    {"model": "notes", "prompt": "a", "seed": 1, "n": 4, "stop": ["c", "d e"]},
])  # fmt: skip
def test_a_streamed_text_is_the_same(writers: httpx.Client, body: dict) -> None:
    whole, chunks = generate(writers, **body), events(writers, **body)
    for chunk in chunks:
        assert {chunk[k] for k in ("model", "model_version")} == {whole["model"], "0"}
        assert chunk["seed"] == whole["seed"]
        assert chunk["request_id"] == chunks[0]["request_id"]
    for choice in whole["choices"]:
        parts = [p for c in chunks for p in c["choices"] if p["index"] == choice["index"]]
        assert "".join(part["text"] for part in parts) == choice["text"]
        assert [part["finish_reason"] for part in parts[:-1]] == [None] * (len(parts) - 1)
        assert parts[-1]["finish_reason"] == choice["finish_reason"]
        assert math.fsum(part["logprob"] for part in parts) == pytest.approx(choice["logprob"])
        for name in choice.get("logprobs", ()):
            joined = [value for part in parts for value in part["logprobs"][name]]
            assert joined == choice["logprobs"][name]
    assert chunks[-1]["usage"] == whole["usage"]
    assert all("usage" not in chunk for chunk in chunks[:-1])
