"""The gates of a captioner's units: they must explain the states that the graphs gave."""

from pathlib import Path

import numpy as np
import pytest
import torch

from model.bundle.format import WEIGHTS, BundleError
from model.captioning.captioner import Captioner
from model.interpretation.caption_gates import caption_gates, caption_unit_name
from model.runtime.options import Runtime
from tests.app.photos import photo
from tests.tiny import save_tiny_captioner

TEXT = "a red ball on the grass"
HIDDEN = 16

DECODERS = [
    {},
    {"attention": "dot", "attention_heads": 4},
    {"detected_words": 8, "attention": "dot"},
    {"kind": "global"},
]


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep the graphs that OpenVINO needs out of the user's cache."""
    monkeypatch.setenv("UNROLLED_CACHE", str(tmp_path / "cache"))


@pytest.mark.parametrize("runtime", ["torch", "openvino"])
@pytest.mark.parametrize("decoder", DECODERS)
def test_gates_explain_the_states(tmp_path: Path, decoder: dict, runtime: Runtime) -> None:
    folder = save_tiny_captioner(tmp_path / "captioner", **decoder)
    captioner = Captioner.load(folder, "cpu", runtime=runtime)
    caption, states = captioner.score_with_states(photo(60, 50), TEXT)
    assert len(states.ids) == len(caption.tokens)
    config = captioner.config.decoder
    for unit in range(0, len(states.parts) // 2 * HIDDEN, 3):
        cell, number = divmod(unit, HIDDEN)
        hidden, cells = (part[:, number] for part in states.parts[2 * cell : 2 * cell + 2])
        gates = caption_gates(folder, config, states, unit)
        np.testing.assert_allclose(gates.f * cells[:-1] + gates.i * gates.g, cells[1:], atol=1e-5)
        np.testing.assert_allclose(gates.o * np.tanh(gates.c), hidden[1:], atol=1e-5)
        assert (gates.c == cells[1:]).all()
        assert (gates.h == hidden[1:]).all()
        assert np.ptp(gates.i) > 1e-3  # no constants


def test_gates_are_those_of_the_network(tmp_path: Path) -> None:
    """Only c and h could be right by chance: i, f, o and g are compared with the cell's own."""
    folder = save_tiny_captioner(tmp_path / "captioner")
    captioner = Captioner.load(folder, "cpu", runtime="torch")
    decoder = captioner.network.decoder
    seen: list[torch.Tensor] = []
    decoder.language_cell.register_forward_pre_hook(
        lambda cell, inputs: seen.append(inputs[0] + cell.recurrent(inputs[1][0]))
    )
    _, states = captioner.score_with_states(photo(60, 50), TEXT)
    steps = len(states.ids)
    sums = torch.stack([one[0, 0] for one in seen[:steps]])  # (steps, 4 * hidden)
    i, f, g, o = sums.chunk(4, dim=-1)
    expected = {"i": i.sigmoid(), "f": f.sigmoid(), "g": g.tanh(), "o": o.sigmoid()}
    for number in (0, 7, HIDDEN - 1):
        gates = caption_gates(folder, captioner.config.decoder, states, HIDDEN + number)
        for name, values in expected.items():
            np.testing.assert_allclose(getattr(gates, name), values[:, number], atol=1e-5)


def test_states_are_those_of_the_caption_that_is_scored(tmp_path: Path) -> None:
    folder = save_tiny_captioner(tmp_path / "captioner")
    captioner = Captioner.load(folder, "cpu", runtime="torch")
    picture = photo(60, 50)
    caption, states = captioner.score_with_states(picture, TEXT, top_logprobs=2)
    assert caption == captioner.score(picture, TEXT, top_logprobs=2)
    words = [captioner.vocabulary.tokens[i] for i in states.ids]
    assert words[1:] == [token.token for token in caption.tokens][:-1]
    assert [part.shape for part in states.parts] == [(len(words) + 1, HIDDEN)] * 4


def test_units_are_named_by_their_cell(tmp_path: Path) -> None:
    folder = save_tiny_captioner(tmp_path / "captioner")
    config = Captioner.load(folder, "cpu", runtime="torch").config.decoder
    assert caption_unit_name(config, 3) == "looking unit 3"
    assert caption_unit_name(config, HIDDEN + 3) == "speaking unit 3"
    for unit in (-1, 2 * HIDDEN):
        with pytest.raises(ValueError, match=f"no unit {unit}: there are 0 to 31"):
            caption_unit_name(config, unit)


def test_other_cells_have_no_such_gates(tmp_path: Path) -> None:
    folder = save_tiny_captioner(tmp_path / "captioner", cell="gru")
    captioner = Captioner.load(folder, "cpu", runtime="torch")
    _, states = captioner.score_with_states(photo(60, 50), TEXT)
    with pytest.raises(ValueError, match="gates are those of LSTMs, and these cells are GRUs"):
        caption_gates(folder, captioner.config.decoder, states, 0)


def test_damaged_weights_are_told(tmp_path: Path) -> None:
    folder = save_tiny_captioner(tmp_path / "captioner")
    captioner = Captioner.load(folder, "cpu", runtime="torch")
    _, states = captioner.score_with_states(photo(60, 50), TEXT)
    (folder / WEIGHTS).write_bytes(b"no")
    with pytest.raises(BundleError, match="not a complete safetensors file"):
        caption_gates(folder, captioner.config.decoder, states, 0)


def test_weights_that_have_changed_since_are_told(tmp_path: Path) -> None:
    folder = save_tiny_captioner(tmp_path / "captioner")
    captioner = Captioner.load(folder, "cpu", runtime="torch")
    _, states = captioner.score_with_states(photo(60, 50), TEXT)
    for seed, hidden in ((1, HIDDEN), (0, 2 * HIDDEN)):
        other = save_tiny_captioner(tmp_path / f"other {seed}", seed, hidden_size=hidden)
        with pytest.raises(BundleError, match="has changed since it was loaded"):
            caption_gates(other, captioner.config.decoder, states, HIDDEN + 3)
