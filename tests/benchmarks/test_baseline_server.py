"""The baseline server captions pictures, with the log-probabilities of the same network."""

import io

import pytest
import torch
from fastapi.testclient import TestClient
from PIL import Image

from benchmarks.baseline_server import make_app, search
from model.captioning.scoring import score_tokens
from tests.tiny import tiny_captioner


@pytest.mark.parametrize("colour", ["red", "navy", "white"])
def test_the_log_probability_is_that_of_the_caption(colour: str):
    captioner = tiny_captioner()
    pixels = torch.as_tensor(captioner.prepare([Image.new("RGB", (30, 20), colour)]))

    with torch.inference_mode():
        tokens, logprob = search(captioner, pixels)
        picture = captioner.network.decoder.encode_context(captioner.network.encoder(pixels))
        (logprobs,) = score_tokens(captioner.network.decoder, picture, [tokens])

    assert logprob == pytest.approx(sum(logprobs), abs=1e-4)
    assert captioner.vocabulary.end_id not in tokens[:-1]
    assert 1 <= len(tokens) <= 20


def test_a_photograph_is_captioned():
    captioner = tiny_captioner()
    file = io.BytesIO()
    Image.new("RGB", (64, 48), "red").save(file, "JPEG")

    answer = TestClient(make_app(captioner)).post(
        "/caption?beam_size=3", content=file.getvalue(), headers={"Content-Type": "image/jpeg"}
    )

    assert answer.status_code == 200
    assert set(answer.json()) == {"text", "logprob"}
    assert answer.json()["logprob"] < 0
