"""The probabilities of tags are fitted to what people say."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from app.cli.main import app
from model.captioning.captioner import Captioner
from model.captioning.tags import Tagger
from model.captioning.word_kinds import word_kind
from model.config import TaggingConfig
from model.data.karpathy import CaptionDataset
from model.evaluation.captioner import evaluate
from model.training.finalize.tagging import calibrate_tags
from tests.model.data.toys import draw
from tests.tiny import WORDS, rebuild, save_tiny_captioner, tiny_captioner

TRUTH = TaggingConfig(evidence=0.6, usual=1.3, intercept=-0.4)
PICTURES = 60


def write_set(folder: Path, captioner: Captioner) -> tuple[Path, Path]:
    """A data set whose people say words with the probabilities of `TRUTH`."""
    random = np.random.default_rng(0)
    (folder / "toys").mkdir(parents=True)
    tagger = Tagger(captioner.runner.usual_words, TRUTH, captioner.vocabulary)
    images = []
    for number in range(PICTURES):
        picture = draw(number)
        picture.save(folder / "toys" / f"{number}.png")
        grid = captioner.encode(captioner.prepare([picture]))
        evidence = captioner.runner.encode_context(grid).evidence[0].numpy()
        chances = tagger.probabilities(evidence)
        words = captioner.vocabulary.tokens[4 : 4 + len(chances)]
        said = " ".join(w for w, p in zip(words, chances, strict=True) if random.random() < p)
        sentences = [{"raw": said or "nothing"}] + [{"raw": "nothing else"}] * 4
        images.append({"filename": f"{number}.png", "split": "val", "sentences": sentences})
    images.append({"filename": "0.png", "split": "val", "sentences": [{"raw": "too few"}]})
    file = folder / "toys.json"
    file.write_text(json.dumps({"dataset": "toys", "images": images}))
    return file, folder / "toys"


def test_the_fit_finds_what_people_say_by(tmp_path):
    captioner = tiny_captioner(detected_words=len(WORDS))
    file, toys = write_set(tmp_path, captioner)
    dataset = CaptionDataset(file, [toys])
    fitted = calibrate_tags(captioner, [dataset], batch_size=7, progress=False)
    assert fitted.evidence == pytest.approx(TRUTH.evidence, abs=0.25)
    assert fitted.usual == pytest.approx(TRUTH.usual, abs=0.4)
    assert fitted.intercept == pytest.approx(TRUTH.intercept, abs=0.4)

    calibrated = rebuild(captioner, replace(captioner.config, tagging=fitted))
    report = evaluate(calibrated, dataset, split="val", beam_sizes=(1,), java=False, progress=False)
    whole = next(one for one in report.tags if (one.kind, one.min_probability) == (None, 0.1))
    assert whole.precision == pytest.approx(whole.probability, abs=0.1)
    assert "| probability | tags a picture | true | nouns | true | verbs | true |" in (
        report.as_markdown()
    )


def test_a_captioner_without_a_detector_has_no_tags(tmp_path):
    file, toys = write_set(tmp_path, tiny_captioner(detected_words=5))
    assert calibrate_tags(tiny_captioner(), [CaptionDataset(file, [toys])]) is None


def test_the_command_adds_tags_to_a_bundle(tmp_path):
    bundle = save_tiny_captioner(tmp_path / "bundle", detected_words=len(WORDS))
    file, toys = write_set(tmp_path / "set", Captioner.load(bundle, "cpu", runtime="torch"))
    command = ["finalize", "tags", bundle, "--dataset", file, "--pictures", toys]
    command += ["--device", "cpu", "--limit", "40"]
    before = {path.name: path.read_bytes() for path in bundle.iterdir()}
    result = CliRunner().invoke(app, list(map(str, command)))
    assert result.exit_code == 0, result.output
    assert result.stdout.startswith("probability = sigmoid(")
    loaded = Captioner.load(bundle, "cpu", runtime="torch")
    assert loaded.has_tags
    grid = loaded.encode(loaded.prepare([draw(1)]))
    assert all(word_kind(tag.word) for tag in loaded.tags(grid)[0])
    after = {path.name: path.read_bytes() for path in bundle.iterdir()}
    assert {name for name in before if before[name] != after[name]} == {"config.json"}
    bare = save_tiny_captioner(tmp_path / "bare")
    command[2] = bare
    refused = CliRunner().invoke(app, list(map(str, command)))
    assert refused.exit_code == 1
    assert "no word detector" in refused.stderr
