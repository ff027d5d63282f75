"""`unrolled models`."""

import json
from collections.abc import Callable
from pathlib import Path

from click.testing import Result

from tests.tiny import save_tiny_language_model

Run = Callable[..., Result]


def test_bundles_are_listed(run: Run, bundle: Path) -> None:
    (found,) = json.loads(run("models", "--json").stdout)
    assert (found["name"], found["version"], found["folder"]) == ("tiny", "0", str(bundle))
    table = run("models").stdout
    assert all(part in table for part in ("tiny", "captioner", "MB"))


def test_scores_are_listed(run: Run, bundle: Path, tmp_path: Path) -> None:
    config = json.loads((bundle / "config.json").read_text())
    config["scores"] = {"flickr8k test": {"3": {"CIDEr": 0.5, "BLEU-4": 0.25}}}
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "config.json").write_text(json.dumps(config))
    language_model = save_tiny_language_model(tmp_path / "b")
    config = json.loads((language_model / "config.json").read_text())
    config["scores"] = {"a-corpus/validation": {"model": {
        "nats_per_character": 1.25, "perplexity": 3.49, "bits_per_character": 1.803,
    }}}  # fmt: skip
    (language_model / "config.json").write_text(json.dumps(config))
    table = run("models", "--weights", tmp_path).stdout
    assert max(map(len, table.splitlines())) <= 80
    lines = [line.split() for line in table.splitlines()]
    assert ["test", "set", "beam", "CIDEr", "BLEU-4"] in lines
    assert ["flickr8k", "test", "3", "0.500", "0.250"] in lines
    assert ["a-corpus/validation", "1.250", "3.490", "1.803"] in lines
