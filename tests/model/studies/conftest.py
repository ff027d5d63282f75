from collections.abc import Iterator
from pathlib import Path

import pytest

from model.studies.cell_report import CellStudy
from model.studies.cells import CellStudySettings, study_cells
from tests.model.training.recipes import forget_accelerate
from tests.model.training.text_recipes import tale

TINY = {
    "cells": ("rnn", "lstm"),
    "parameters": 1_000,
    "epochs": 2,
    "streams": 4,
    "steps": 16,
    "learning_rates": (0.003, 0.02),
    "order": 5,
    "validation_share": 0.2,
    "device": "cpu",
}


@pytest.fixture(autouse=True)
def _own_precision() -> Iterator[None]:
    forget_accelerate()
    yield
    forget_accelerate()


@pytest.fixture(scope="session")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("corpus") / "tale.txt"
    path.write_text(tale(lines=60), encoding="utf-8")
    return path


@pytest.fixture(scope="session")
def studied(
    corpus: Path, tmp_path_factory: pytest.TempPathFactory
) -> tuple[CellStudy, CellStudySettings, Path]:
    """A finished study of two tiny cells, its settings and its folder."""
    forget_accelerate()
    folder = tmp_path_factory.mktemp("study")
    settings = CellStudySettings(corpus, **TINY)
    study = study_cells(settings, folder, report_progress=lambda line: None)
    study.write(folder)
    return study, settings, folder
