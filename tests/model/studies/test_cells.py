import json
import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from model.bundle.read import load_bundle
from model.config import TextConfig
from model.data.corpus import Corpus
from model.studies import cells as module
from model.studies.cell_report import CellStudy
from model.studies.cells import CellStudySettings, study_cells
from model.text.ngram import NGram
from model.training.trainer import Trainer
from tests.model.studies.conftest import TINY
from tests.model.training.recipes import read_curve

Studied = tuple[CellStudy, CellStudySettings, Path]


def quiet(line: str) -> None:
    pass


def rows(markdown: str) -> list[list[str]]:
    lines = [line for line in markdown.splitlines() if line.startswith("| ")]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]


def test_every_cell_is_trained_with_every_rate(studied: Studied) -> None:
    study, settings, folder = studied
    assert [(run.cell, run.learning_rate) for run in study.runs] == [
        (cell, rate) for cell in settings.cells for rate in settings.learning_rates
    ]
    for run in study.runs:
        bundle = load_bundle(folder / run.folder / "bundle", TextConfig)
        network = bundle.config.network
        assert (network.cell, network.hidden_size) == (run.cell, run.hidden_size)
        recipe = json.loads((folder / run.folder / "recipe.json").read_text())
        assert recipe["optimisation"]["learning_rate"] == run.learning_rate
        assert recipe["optimisation"]["epochs"] == 2
        assert abs(run.parameters - 1000) < 100


def test_tables_hold_what_was_measured(studied: Studied) -> None:
    study, _, folder = studied
    table = rows((folder / "cells.md").read_text())
    for cell, best in study.best.items():
        curves = {run.folder: read_curve(folder / run.folder) for run in study.runs}
        validations = {
            name: [point["validation_loss"] for point in curve if "validation_loss" in point]
            for name, curve in curves.items()
        }
        mine = [run for run in study.runs if run.cell == cell]
        assert best.nats == min(min(validations[run.folder]) for run in mine)
        seconds = [point["seconds"] for point in curves[best.folder] if "seconds" in point]
        assert best.seconds == pytest.approx(sum(seconds))
        assert best.seconds_an_epoch == pytest.approx(sum(seconds) / 2)
        assert best.characters_a_second == pytest.approx(
            study.training_characters / best.seconds_an_epoch
        )
        first = next(row for row in table if row[0] == cell)
        assert first[1:3] == [str(best.hidden_size), f"{best.parameters:,}"]
        assert float(first[3]) == best.learning_rate
        assert float(first[4]) == pytest.approx(best.nats, abs=1e-4)
        assert float(first[5]) == pytest.approx(best.nats / math.log(2), abs=1e-3)
        tried = next(row for row in table if row[0] == cell and len(row) == 3)
        for shown, run in zip(tried[1:], mine, strict=True):
            assert float(shown) == pytest.approx(min(validations[run.folder]), abs=1e-4)


def test_ngrams_are_of_the_same_split(studied: Studied) -> None:
    study, settings, _ = studied
    corpus = Corpus.read(settings.corpus, validation_share=0.2)
    assert study.training_characters == len(corpus.train)
    ngram = NGram.train(corpus.train.numpy(), len(corpus.vocabulary), 5)
    expected = ngram.orders(corpus.validation.numpy())
    assert list(study.ngrams) == expected.tolist()
    table = rows(study.as_markdown())
    shown = [float(row[1]) for row in table if row[0].endswith("-gram") and row[0] != "n-gram"]
    assert shown == pytest.approx(list(expected), abs=1e-4)


def test_files(studied: Studied) -> None:
    study, _, folder = studied
    assert {path.name for path in folder.iterdir()} == {
        *("cells.json", "cells.md", "curves.png", "ngrams.png", "runs")
    }
    for name in ("curves.png", "ngrams.png"):
        with Image.open(folder / name) as picture:
            picture.load()
            assert picture.format == "PNG"
    assert CellStudy.read(folder) == study
    written = json.loads((folder / "cells.json").read_text())
    assert [run["nats"] for run in written["runs"]] == [run.nats for run in study.runs]


def test_a_finished_study_trains_nothing_again(
    studied: Studied, monkeypatch: pytest.MonkeyPatch
) -> None:
    study, settings, folder = studied
    monkeypatch.setattr(module, "main", None)
    again = study_cells(settings, folder, report_progress=quiet)
    assert replace(again, ngram_seconds=0) == replace(study, ngram_seconds=0)


def test_an_interrupted_study_goes_on(
    studied: Studied, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Cut off in the third run's second epoch; the first two are not trained again."""
    study, settings, _ = studied
    trained: list[str] = []
    train, step = module.main, Trainer._step

    def counting(config: Path, output: Path) -> Path:
        trained.append(output.name)
        return train(config, output)

    def stopping(trainer: Trainer, chunk: Any) -> tuple[dict[str, float], float]:
        if len(trained) == 3 and trainer.step > trainer.task.steps_per_epoch:
            raise KeyboardInterrupt
        return step(trainer, chunk)

    monkeypatch.setattr(module, "main", counting)
    with monkeypatch.context() as patch:
        patch.setattr(Trainer, "_step", stopping)
        with pytest.raises(KeyboardInterrupt):
            study_cells(settings, tmp_path, report_progress=quiet)
    assert trained == ["rnn-0.003", "rnn-0.02", "lstm-0.003"]
    trained.clear()
    messages: list[str] = []
    resumed = study_cells(settings, tmp_path, report_progress=messages.append)
    assert trained == ["lstm-0.003", "lstm-0.02"]
    assert "rnn-0.02 is already finished" in messages
    for run, expected in zip(resumed.runs, study.runs, strict=True):
        assert [(e.loss, e.nats) for e in run.epochs] == [(e.loss, e.nats) for e in expected.epochs]
        assert run.seconds > 0


def test_other_settings_need_another_folder(studied: Studied, tmp_path: Path) -> None:
    _, settings, folder = studied
    with pytest.raises(ValueError, match=r"rnn-0\.003 is a run with other settings"):
        study_cells(replace(settings, epochs=3), folder, report_progress=quiet)
    other = tmp_path / settings.corpus.name
    other.write_text(settings.corpus.read_text().replace("cat", "rat"))
    with pytest.raises(ValueError, match="or of another corpus"):
        study_cells(replace(settings, corpus=other), folder, report_progress=quiet)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"cells": ("rnn", "qrnn")}, "unknown cell 'qrnn'"),
        ({"learning_rates": ()}, "learning rates must differ"),
        ({"learning_rates": (0.1, 0.1)}, "learning rates must differ"),
        ({"learning_rates": (math.nan,)}, "learning rates must differ"),
        ({"epochs": 0}, "epochs must be at least 1, got 0"),
        ({"characters": 0}, "characters must be at least 1"),
        ({"order": 21}, r"order must be in 0\.\.20, got 21"),
        ({"validation_share": 1}, "validation_share must be in"),
        ({"parameters": 10}, "10 parameters are too few"),
    ],
)
def test_bad_settings_are_reported(
    corpus: Path, tmp_path: Path, changes: dict[str, Any], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        study_cells(CellStudySettings(corpus, **TINY | changes), tmp_path, report_progress=quiet)
    assert not list(tmp_path.iterdir())


def test_a_missing_corpus_is_reported(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"nothing\.txt"):
        study_cells(CellStudySettings(tmp_path / "nothing.txt"), tmp_path, report_progress=quiet)


def test_reading_anything_but_a_study_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="holds no finished study of cells"):
        CellStudy.read(tmp_path)
    (tmp_path / "cells.json").write_text("{}")
    with pytest.raises(ValueError, match="is not a study of cells"):
        CellStudy.read(tmp_path)
