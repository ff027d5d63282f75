"""The gates of units, against the equations and against the network's own cell."""

from pathlib import Path

import numpy as np
import pytest
import torch

from model.bundle.format import WEIGHTS, BundleError
from model.interpretation.gates import GRUGates, unit_gates
from model.runtime.options import Runtime
from model.text.language_model import LanguageModel
from tests.tiny import save_tiny_language_model

TEXT = "Twinkle, twinkle"


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep the graphs that OpenVINO needs out of the user's cache."""
    monkeypatch.setenv("UNROLLED_CACHE", str(tmp_path / "cache"))


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
    found = unit_gates(folder, language_model.config.network, states, units)
    for unit, gates in zip(units, found, strict=True):
        layer, index = divmod(unit, hidden)
        for name, values in expected_gates(language_model, layer).items():
            np.testing.assert_allclose(getattr(gates, name), values[:, index], atol=2e-3)


def test_gates_explain_the_states(tmp_path: Path) -> None:
    folder = save_tiny_language_model(tmp_path / "verse", layers=2)
    language_model = LanguageModel.load(folder, "cpu", "torch")
    states = language_model.activations(TEXT, states=True).states
    for unit in (1, 20):
        (gates,) = unit_gates(folder, language_model.config.network, states, [unit])
        before = states.parts[1][:-1].reshape(len(TEXT), -1)[:, unit]
        np.testing.assert_allclose(gates.f * before + gates.i * gates.g, gates.c, atol=1e-5)
        np.testing.assert_allclose(gates.o * np.tanh(gates.c), gates.h, atol=1e-5)


@pytest.mark.parametrize("runtime", ["torch", "openvino"])
@pytest.mark.parametrize("network", [{"layers": 2}, {"embedding_size": 5}])
def test_the_gates_of_a_gru_explain_its_states(
    tmp_path: Path, network: dict, runtime: Runtime
) -> None:
    folder = save_tiny_language_model(tmp_path / "verse", cell="gru", **network)
    language_model = LanguageModel.load(folder, "cpu", runtime)
    states = language_model.activations(TEXT, states=True).states
    last = 12 * network.get("layers", 1) - 1
    for unit in (1, last):
        (gates,) = unit_gates(folder, language_model.config.network, states, [unit])
        hidden = states.parts[0].reshape(len(TEXT) + 1, -1)[:, unit]
        assert isinstance(gates, GRUGates)
        assert (gates.h == hidden[1:]).all()
        expected = (1 - gates.z) * gates.n + gates.z * hidden[:-1]
        np.testing.assert_allclose(expected, gates.h, atol=1e-5)
        assert np.ptp(gates.r) > 1e-3


def test_the_reset_gate_is_that_of_the_network(tmp_path: Path) -> None:
    folder = save_tiny_language_model(tmp_path / "verse", cell="gru")
    language_model = LanguageModel.load(folder, "cpu", "torch")
    states = language_model.activations(TEXT, states=True).states
    network = language_model.network
    with torch.inference_mode():
        read = network.recurrent.projections[0](network.read(torch.tensor(states.ids)[None, 1:]))
        recurrent = network.recurrent.cells[0].recurrent(torch.tensor(states.parts[0][:-1, 0]))
        expected = (read[0] + recurrent)[:, :12].sigmoid().numpy()
    for unit, gates in enumerate(
        unit_gates(folder, language_model.config.network, states, range(12))
    ):
        np.testing.assert_allclose(gates.r, expected[:, unit], atol=1e-5)


def test_a_plain_rnn_has_its_output_alone(tmp_path: Path) -> None:
    folder = save_tiny_language_model(tmp_path / "verse", cell="rnn")
    language_model = LanguageModel.load(folder, "cpu", "torch")
    states = language_model.activations(TEXT, states=True).states
    (gates,) = unit_gates(folder, language_model.config.network, states, [3])
    assert list(vars(gates)) == ["h"]
    assert (gates.h == states.parts[0][1:, 0, 3]).all()


def test_other_cells_have_no_such_gates(tmp_path: Path) -> None:
    folder = save_tiny_language_model(tmp_path / "verse", cell="mut1")
    language_model = LanguageModel.load(folder, "cpu", "torch")
    states = language_model.activations(TEXT, states=True).states
    says = "gates are those of RNNs, GRUs, LSTMs, and these cells are MUT1s"
    with pytest.raises(ValueError, match=says):
        unit_gates(folder, language_model.config.network, states, [0])


def test_damaged_weights_are_told(tmp_path: Path) -> None:
    folder = save_tiny_language_model(tmp_path / "verse")
    language_model = LanguageModel.load(folder, "cpu", "torch")
    states = language_model.activations(TEXT, states=True).states
    (folder / WEIGHTS).write_bytes(b"no")
    with pytest.raises(BundleError, match="not a complete safetensors file"):
        unit_gates(folder, language_model.config.network, states, [0])


@pytest.mark.parametrize("cell", ["lstm", "gru"])
def test_weights_that_have_changed_since_are_told(tmp_path: Path, cell: str) -> None:
    folder = save_tiny_language_model(tmp_path / "verse", cell=cell)
    language_model = LanguageModel.load(folder, "cpu", "torch")
    states = language_model.activations(TEXT, states=True).states
    for seed, hidden in ((1, 12), (0, 24)):
        other = save_tiny_language_model(
            tmp_path / f"other {seed}", seed, cell=cell, hidden_size=hidden
        )
        with pytest.raises(BundleError, match="has changed since it was loaded"):
            unit_gates(other, language_model.config.network, states, [0])
