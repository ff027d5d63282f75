"""The gates of LSTM units, against the equations and against the network's own cell."""

from pathlib import Path

import numpy as np
import pytest
import torch

from model.bundle.format import WEIGHTS, BundleError
from model.interpretation.gates import lstm_gates
from model.text.language_model import LanguageModel
from tests.tiny import save_tiny_language_model

TEXT = "Twinkle, twinkle"


def expected_gates(language_model: LanguageModel, layer: int) -> dict[str, np.ndarray]:
    """Every gate of a layer after each token, (tokens, hidden), by the network's own modules."""
    network = language_model.network
    ids = [language_model.vocabulary.start_id, *language_model.encode(TEXT)]
    with torch.inference_mode():
        inputs = network.read(torch.tensor([ids]))
        (h, c), _ = network.recurrent.states(inputs, network.initial_state(1))
        below = inputs[0, 1:] if layer == 0 else h[0, 1:, layer - 1]
        cell = network.recurrent.cells[layer]
        sums = network.recurrent.projections[layer](below) + cell.recurrent(h[0, :-1, layer])
        i, f, g, o = sums.chunk(4, dim=-1)
    return {
        "i": i.sigmoid().numpy(),
        "f": f.sigmoid().numpy(),
        "o": o.sigmoid().numpy(),
        "g": g.tanh().numpy(),
        "c": c[0, 1:, layer].numpy(),
        "h": h[0, 1:, layer].numpy(),
    }


@pytest.mark.parametrize(
    "network",
    [{"layers": 2}, {"layers": 1, "embedding_size": 5}, {"embedding_size": 6, "tie_output": True}],
)
def test_gates_are_those_of_the_network(tmp_path: Path, network: dict) -> None:
    folder = save_tiny_language_model(tmp_path / "verse", **network)
    language_model = LanguageModel.load(folder, "cpu", "torch")
    states = language_model.activations(TEXT, states=True).states
    hidden, layers = 12, network.get("layers", 1)
    units = [0, 3, hidden * layers - 1]
    found = lstm_gates(folder, language_model.config.network, states, units)
    for unit, gates in zip(units, found, strict=True):
        layer, index = divmod(unit, hidden)
        for name, values in expected_gates(language_model, layer).items():
            np.testing.assert_allclose(getattr(gates, name), values[:, index], atol=2e-3)


def test_gates_explain_the_states(tmp_path: Path) -> None:
    folder = save_tiny_language_model(tmp_path / "verse", layers=2)
    language_model = LanguageModel.load(folder, "cpu", "torch")
    states = language_model.activations(TEXT, states=True).states
    for unit in (1, 20):
        (gates,) = lstm_gates(folder, language_model.config.network, states, [unit])
        before = states.parts[1][:-1].reshape(len(TEXT), -1)[:, unit]
        np.testing.assert_allclose(gates.f * before + gates.i * gates.g, gates.c, atol=1e-5)
        np.testing.assert_allclose(gates.o * np.tanh(gates.c), gates.h, atol=1e-5)


def test_other_cells_have_no_such_gates(tmp_path: Path) -> None:
    folder = save_tiny_language_model(tmp_path / "verse", cell="gru")
    language_model = LanguageModel.load(folder, "cpu", "torch")
    states = language_model.activations(TEXT, states=True).states
    with pytest.raises(ValueError, match="gates are those of an LSTM, and these cells are GRUs"):
        lstm_gates(folder, language_model.config.network, states, [0])


def test_damaged_weights_are_told(tmp_path: Path) -> None:
    folder = save_tiny_language_model(tmp_path / "verse")
    language_model = LanguageModel.load(folder, "cpu", "torch")
    states = language_model.activations(TEXT, states=True).states
    (folder / WEIGHTS).write_bytes(b"no")
    with pytest.raises(BundleError, match="not a complete safetensors file"):
        lstm_gates(folder, language_model.config.network, states, [0])
