"""What works without PyTorch: everything but GPUs, training and making graphs.

`make test-light` runs these tests in an environment without it; in the full one they run too.
"""

import json
import subprocess
import sys
import time
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import httpx
import pytest
from PIL import Image

from model.bundle.read import load_text_bundle
from model.captioning.captioner import Captioner
from model.runtime.export import ExportError, exported_folder
from model.text.language_model import LanguageModel
from model.text.ngram_model import count

ROOT = Path(__file__).resolve().parents[2]
PHOTO = ROOT / "examples" / "chelsea.jpg"
WRITERS = sorted(path.name for path in (ROOT / "weights" / "text").iterdir())
COMMAND = [sys.executable, "-m", "app.cli.main"]


@pytest.fixture(scope="module")
def captioner() -> Captioner:
    return Captioner.load(device="cpu", self_test=True)


def test_captions_are_those_that_pytorch_gave(captioner: Captioner) -> None:
    # The golden pictures' captions and log-probabilities were recorded with PyTorch.
    assert captioner.self_test() > 0


def test_scores_attention_and_consensus(captioner: Captioner) -> None:
    (found,) = captioner.caption([PHOTO], num_captions=3, consensus=True, attention=True)
    assert all(caption.agreement is not None for caption in found)
    best = found[0]
    assert all(token.attention is not None for token in best.tokens)
    assert best.confidence is not None
    again = captioner.score(Image.open(PHOTO), best.text)
    assert again.logprob == pytest.approx(best.logprob, abs=1e-4)


def test_captions_are_drawn(captioner: Captioner) -> None:
    (one,) = captioner.caption([PHOTO], temperature=0.7, seed=1, num_captions=2)
    (other,) = captioner.caption([PHOTO], temperature=0.7, seed=1, num_captions=2)
    assert [caption.text for caption in one] == [caption.text for caption in other]


@pytest.mark.parametrize("name", WRITERS)
def test_writers_generate_score_and_give_activations(name: str) -> None:
    writer = LanguageModel.load(name, "cpu", "openvino")
    deltas = list(writer.generate("The ", n=2, seed=1, max_tokens=20))
    assert deltas == list(writer.generate("The ", n=2, seed=1, max_tokens=20))
    tokens = [delta.token for delta in deltas if delta.index == 0 and delta.token is not None]
    logprobs = [delta.logprob for delta in deltas if delta.index == 0 and delta.token is not None]
    ids = [writer.vocabulary.tokens.index(token) for token in tokens]
    prompt = writer.encode("The ")
    scored = writer.logprobs([*prompt, *ids])[len(prompt) :]
    assert scored == pytest.approx(logprobs, abs=1e-4)
    values = writer.activations("a man").values
    assert len(values) == len(writer.encode("a man"))
    assert abs(values).max() <= 1
    (best, *_) = writer.search("The ", beam_size=3, max_length=8)
    assert best[1].logprob < 0


def test_ngrams_write() -> None:
    assert "".join(d.text for d in count("abcabcabc", 3).generate("ab", max_tokens=4, seed=1))


def test_a_bundle_without_graphs_says_what_it_needs(tmp_path: Path) -> None:
    if _has_torch():
        pytest.skip("PyTorch can make them")
    folder = tmp_path / "writer"
    folder.mkdir()
    source = ROOT / "weights" / "text" / "bible"
    for path in source.iterdir():
        if path.is_file():
            (folder / path.name).write_bytes(path.read_bytes())
    config = json.loads((source / "config.json").read_text())
    config["sha256"] = {n: d for n, d in config["sha256"].items() if not n.startswith("graphs")}
    (folder / "config.json").write_text(json.dumps(config))
    assert exported_folder(load_text_bundle(folder)) is None
    with pytest.raises(ExportError, match="PyTorch, which makes them, is not installed"):
        LanguageModel.load(folder, "cpu")


def test_commands(tmp_path: Path) -> None:
    captions = _run("caption", PHOTO, "--format", "jsonl")
    assert json.loads(captions)["captions"][0]["text"]
    assert _run("write", "--model", "shakespeare", "--prompt", "ROMEO:", "--max-tokens", "5")
    assert "perplexity" in _run("score", "shakespeare", "To be")
    assert "captioner" in _run("models")
    page = tmp_path / "cells.html"
    _run("cells", "linux", "for (i = 0; i < n; i++) { x[i] = (a + b); }\n" * 8, "--html", page)
    assert "<html" in page.read_text()


@pytest.fixture(scope="module")
def service() -> Iterator[httpx.Client]:
    process = subprocess.Popen(
        [*COMMAND, "serve", "--port", "0"], cwd=ROOT, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    try:
        with httpx.Client(base_url=process.stdout.readline().split()[2], timeout=60) as client:
            while client.get("/health/ready").status_code != 200:
                time.sleep(0.1)
            yield client
    finally:
        process.terminate()
        process.communicate(timeout=30)


def test_the_service_answers_on_every_route(service: httpx.Client) -> None:
    photo = PHOTO.read_bytes()
    jpeg = {"content": photo, "headers": {"Content-Type": "image/jpeg"}}
    options = {"num_captions": 2, "attention": True, "image_gain": True}
    captioned = service.post("/caption", params=options, **jpeg).json()
    best = captioned["captions"][0]
    assert all(token["attention"] for token in best["tokens"])
    form = {"files": {"image": ("cat.jpg", photo)}, "data": {"text": best["text"]}}
    scored = service.post("/score", **form).json()
    assert scored["logprob"] == pytest.approx(best["logprob"], abs=1e-4)
    request = {"model": "shakespeare", "prompt": "ROMEO:", "n": 2, "max_tokens": 10, "seed": 1}
    texts = service.post("/generate-text", json=request).json()["choices"]
    assert len(texts) == 2
    text = {"model": "shakespeare", "text": "To be or not to be"}
    assert service.post("/score", json=text).json()["logprob"] < 0
    activations = service.post("/activations", json=text | {"units": [0, 300]}).json()
    assert len(activations["units"]) == 2
    assert {model["name"] for model in service.get("/models").json()["models"]} >= set(WRITERS)
    assert service.get("/openapi.json").status_code == 200
    assert service.post("/caption", content=b"no", headers=jpeg["headers"]).status_code == 415


def _run(*arguments: object) -> str:
    return subprocess.run(
        [*COMMAND, *map(str, arguments)], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout


def _has_torch() -> bool:
    return find_spec("torch") is not None
