import json
from copy import deepcopy
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from model.config import RecurrentConfig
from model.data.corpus import Corpus
from model.networks.text_network import TextNetwork
from model.studies.cell_report import CellStudy
from model.studies.cells import CellStudySettings
from model.studies.clipping import train_clipped
from model.studies.flow import gradient_flow, stretches, with_spectral_radius
from model.studies.gradient_curves import FlowCurve
from model.studies.gradients import GradientStudySettings, study_gradients
from model.text.language_model import LanguageModel

Studied = tuple[CellStudy, CellStudySettings, Path]

QUICK: dict[str, Any] = {
    "steps": 20,
    "rows": 6,
    "parameters": 800,
    "training_steps": 4,
    "seeds": 2,
    "validation_share": 0.2,
}


def quiet(line: str) -> None:
    pass


def test_new_networks(corpus: Path, tmp_path: Path) -> None:
    study = study_gradients(GradientStudySettings(corpus, **QUICK), report_progress=quiet)
    cells = ["rnn", "lstm", "lstm", "lstm", "gru", "gru-cho", "mut1", "mut2", "mut3"]
    assert [flow.name for flow in study.flows] == cells
    assert {flow.when for flow in study.flows} == {"at initialisation"}
    assert [flow.part for flow in study.flows[1:4]] == ["state", "h", "c"]
    for flow in study.flows:
        assert len(flow.median) == len(flow.low) == len(flow.high) == 21
        assert all(
            low <= mid <= high
            for low, mid, high in zip(flow.low, flow.median, flow.high, strict=True)
        )
    assert [one.kind for one in study.scaled] == ["orthogonal"] * 3 + ["ordinary"] * 3
    for small, one, large in (study.scaled[:3], study.scaled[3:]):
        assert small.flow.median[20] < one.flow.median[20] < large.flow.median[20]
    assert [(flow.name, flow.part) for flow in study.starts].count(("lstm", "direct")) == 6
    text = study.as_markdown()
    assert "| orthogonal | 0.5 | 0.5 | 0.5 |" in text
    assert "| lstm | ordinary, forget bias 2 | direct |" in text
    files = study.write(tmp_path)
    assert {path.name for path in files} == {path.name for path in tmp_path.iterdir()}
    for name in ("gradients.png", "clipping.png"):
        with Image.open(tmp_path / name) as picture:
            picture.load()
            assert picture.format == "PNG"
    assert json.loads((tmp_path / "gradients.json").read_text())["flows"][0]["median"] == list(
        study.flows[0].median
    )


def test_tables_hold_what_was_measured(corpus: Path) -> None:
    study = study_gradients(
        GradientStudySettings(corpus, cells=("lstm",), **QUICK), report_progress=quiet
    )
    table = study.as_markdown().splitlines()
    assert "| cell | when | part | k = 1 | k = 10 | k = 20 | a step |" in table
    row = next(line for line in table if line.startswith("| lstm | at initialisation | h |"))
    cells = [cell.strip() for cell in row.strip("|").split("|")]
    h = study.flows[1]
    for cell, k in zip(cells[3:6], (1, 10, 20), strict=True):
        median, low, _, high = cell.replace("(", "").replace(")", "").split()
        expected = [h.median[k], h.low[k], h.high[k]]
        assert [float(median), float(low), float(high)] == pytest.approx(expected, rel=0.05)
    assert float(cells[6]) == pytest.approx((h.median[20] / h.median[10]) ** 0.1, abs=1e-3)


def test_clipping_is_compared_over_several_seeds(corpus: Path) -> None:
    settings = GradientStudySettings(corpus, cells=("rnn",), **QUICK | {"seeds": 3, "seed": 5})
    study = study_gradients(settings, report_progress=quiet)
    runs = [(run.spectral_radius, run.clip, run.seed) for run in study.clipping]
    assert runs == [
        (radius, clip, seed) for radius in (0.5, 1.5) for clip in (None, 1.0) for seed in (5, 6, 7)
    ]
    losses = [run.last_loss for run in study.clipping[:3]]
    assert len(set(losses)) == 3
    rows = [line for line in study.as_markdown().splitlines() if "| 0.5 | without clipping" in line]
    cells = [cell.strip() for cell in rows[0].strip("|").split("|")]
    loss, deviation = map(float, cells[2].split(" ± "))
    assert loss == pytest.approx(np.mean(losses), abs=1e-3)
    assert deviation == pytest.approx(np.std(losses, ddof=1), abs=1e-3)
    ratios = [run.flow.median[20] for run in study.clipping[:3]]
    middle, low, _, high = cells[-1].replace("(", "").replace(")", "").split()
    expected = [np.median(ratios), min(ratios), max(ratios)]
    assert [float(middle), float(low), float(high)] == pytest.approx(expected, rel=0.05)
    once = study_gradients(replace(settings, seeds=1), report_progress=quiet)
    assert once.clipping[0] == study.clipping[0]
    assert "±" not in next(line for line in once.as_markdown().splitlines() if "| 0.5 |" in line)


def test_networks_of_a_study_before_and_after(studied: Studied) -> None:
    cells, _, folder = studied
    settings = GradientStudySettings(runs=folder, **QUICK | {"training_steps": 0})
    study = study_gradients(settings, report_progress=quiet)
    assert [(flow.name, flow.when) for flow in study.flows if flow.part == "state"] == [
        (cell, when) for cell in ("rnn", "lstm") for when in ("at initialisation", "after training")
    ]
    assert not study.clipping
    corpus = Corpus.read(Path(cells.corpus), validation_share=cells.validation_share)
    rows = stretches(corpus.validation, 6, 71, seed=1)
    best = cells.best["rnn"]
    trained = LanguageModel.load(folder / best.folder / "bundle", "cpu").network
    torch.manual_seed(cells.seed)
    untrained = TextNetwork(trained.config, len(corpus.vocabulary))
    for network, flow in zip((untrained, trained), study.flows, strict=False):
        ratios = gradient_flow(network, rows, 20)["state"]
        np.testing.assert_allclose(flow.median, np.median(ratios, axis=1))
        np.testing.assert_allclose(flow.high, np.quantile(ratios, 0.9, axis=1))
        np.testing.assert_allclose(flow.mean, ratios.mean(axis=1))
    with pytest.raises(ValueError, match="has no gru: it has rnn, lstm"):
        study_gradients(replace(settings, cells=("gru",)), report_progress=quiet)


@pytest.mark.parametrize("own_text", [True, False])
def test_a_bundle(studied: Studied, corpus: Path, own_text: bool) -> None:
    cells, _, folder = studied
    bundle = folder / cells.best["lstm"].folder / "bundle"
    settings = GradientStudySettings(None if own_text else corpus, weights=bundle, **QUICK)
    study = study_gradients(settings, report_progress=quiet)
    assert len(study.flows) == 6
    assert {flow.name for flow in study.flows} == {f"lstm-{cells.best['lstm'].learning_rate:g}"}
    assert study.text.startswith("what lstm" if own_text else "tale")
    assert len(study.clipping) == (0 if own_text else 8)
    assert study_gradients(settings, report_progress=quiet) == study


def test_clipping_bounds_the_step(corpus: Path) -> None:
    text = Corpus.read(corpus)
    torch.manual_seed(1)
    network = TextNetwork(RecurrentConfig(cell="rnn", hidden_size=24), len(text.vocabulary))
    network = with_spectral_radius(network, 3)
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    options: dict[str, Any] = {
        "start_id": text.vocabulary.start_id,
        "flow_tokens": stretches(text.train, 3, 30, seed=0),
        "flow_steps": 5,
    }
    free = train_clipped(network, text.train, steps=30, clip=None, **options)
    clipped = train_clipped(network, text.train, steps=30, clip=0.5, **options)
    assert free.norms[0] == clipped.norms[0] > 0.5  # the same weights, the same text
    assert free.applied == free.norms
    assert max(clipped.applied) == 0.5
    assert all(a == min(n, 0.5) for a, n in zip(clipped.applied, clipped.norms, strict=True))
    assert clipped.last_loss < clipped.losses[0]
    assert clipped.flow.shape == (6, 3)
    assert not clipped.diverged
    assert all(torch.equal(before[name], tensor) for name, tensor in network.state_dict().items())


def test_a_clipped_step_has_the_gradients_direction(corpus: Path) -> None:
    text = Corpus.read(corpus)
    torch.manual_seed(1)
    network = TextNetwork(RecurrentConfig(cell="rnn", hidden_size=8), len(text.vocabulary))
    tokens = stretches(text.train, 2, 10, seed=0)
    run = train_clipped(
        network,
        text.train,
        start_id=text.vocabulary.start_id,
        steps=2,
        clip=0.1,
        flow_tokens=tokens,
        flow_steps=3,
    )
    network = deepcopy(network)
    count = len(text.train) // 32
    cut = text.train[: 32 * count].view(32, count)
    read = torch.cat([torch.full((32, 1), text.vocabulary.start_id), cut], dim=1)
    losses = []
    for _ in range(2):  # the text is shorter than a chunk: it is read from its beginning again
        logits, _ = network(read[:, :-1], network.initial_state(32))
        loss = torch.nn.functional.cross_entropy(logits.flatten(0, 1), read[:, 1:].flatten())
        losses.append(float(loss.detach()))
        network.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(network.parameters(), 0.1)
        with torch.no_grad():
            for parameter in network.parameters():
                parameter.sub_(parameter.grad)
    assert run.losses == pytest.approx(losses, rel=1e-5)
    ratio = gradient_flow(network, tokens, 3)["state"]
    np.testing.assert_allclose(run.flow, ratio, rtol=1e-4)


def test_a_rate_is_that_of_the_further_half() -> None:
    ratios = np.full((11, 3), 0.9) ** np.arange(11)[:, None]
    assert FlowCurve.of("rnn", "", "state", ratios).factor == pytest.approx(0.9)
    assert FlowCurve.of("rnn", "", "state", ratios * 0).factor is None


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"corpus": None}, "there is nothing to read"),
        ({"runs": Path("a"), "weights": Path("b")}, "not both"),
        ({"weights": Path("b"), "cells": ("rnn",)}, "a bundle already has its cell"),
        ({"cells": ("qrnn",)}, "unknown cell"),
        ({"cells": ()}, "at least one cell"),
        ({"steps": 0}, "steps must be at least 1"),
        ({"seeds": 0}, "seeds must be at least 1"),
        ({"steps": 5001}, "steps must be at most 5000"),
        ({"radii": (0.0,)}, "spectral radii must be above 0"),
        ({"training_steps": -1}, "training_steps must not be negative"),
        ({"validation_share": 0.0}, "validation_share must be in"),
        ({"steps": 200}, "tokens, and 251 are needed in a row"),
        ({"runs": Path("nowhere")}, "nowhere holds no finished study"),
        ({"weights": Path("nowhere")}, "nowhere"),
    ],
)
def test_bad_settings_are_reported(corpus: Path, changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        study_gradients(
            GradientStudySettings(**{"corpus": corpus} | QUICK | changes), report_progress=quiet
        )
