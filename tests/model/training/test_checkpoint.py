"""A checkpoint holds everything, fits only its network, and is written whole or not at all."""

from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from model.training import checkpoint
from model.training.checkpoint import load_checkpoint, read_progress, save_checkpoint

Parts = tuple[dict[str, nn.Module], torch.optim.Optimizer]
PROGRESS = {"step": 7, "best": {"cider": 0.1 + 0.2, "epoch": 1}, "curve": [{"step": 3}]}


def make_parts(seed: int, width: int = 4, *, steps: int = 0, trained: int = 3) -> Parts:
    """Make a network with normalisation and tied weights, a second one, and an optimizer.

    `trained` parameters are: 3 the layer's and its normalisation's weights, 5 their biases too.
    """
    torch.manual_seed(seed)
    network = nn.Sequential(nn.Linear(width, width), nn.BatchNorm1d(width), nn.Linear(width, width))
    network[2].weight = network[0].weight
    parameters = [network[0].weight, network[1].weight, network[0].bias][:trained]
    groups = [{"params": parameters}]
    if trained > 3:
        groups.append({"params": [network[1].bias, network[2].bias]})
    optimizer = torch.optim.AdamW(groups, lr=0.1, fused=True)
    for _ in range(steps):
        network(torch.randn(8, width)).square().sum().backward()
        optimizer.step()
        optimizer.zero_grad()
    return {"network": network, "average": nn.Linear(width, 2)}, optimizer


def all_tensors(parts: Parts) -> dict[str, torch.Tensor]:
    modules, optimizer = parts
    tensors = {
        f"{module_name}/{name}": tensor.clone()
        for module_name, module in modules.items()
        for name, tensor in module.state_dict().items()
    }
    for index, state in optimizer.state_dict()["state"].items():
        tensors |= {f"{index}/{name}": tensor.clone() for name, tensor in state.items()}
    return tensors


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "checkpoint.safetensors"


@pytest.fixture
def saved(path: Path) -> Parts:
    parts = make_parts(1, steps=3)
    save_checkpoint(path, *parts, PROGRESS)
    return parts


def test_everything_is_restored_bit_for_bit(path, saved):
    others = make_parts(2)
    load_checkpoint(path, *others)
    before, after = all_tensors(saved), all_tensors(others)
    assert before.keys() == after.keys()
    assert all(torch.equal(before[name], after[name]) for name in before)
    assert read_progress(path) == PROGRESS


def test_the_next_step_is_the_same(path, saved):
    others = make_parts(2)
    load_checkpoint(path, *others)
    for modules, optimizer in (saved, others):
        modules["network"](torch.arange(32.0).view(8, 4)).square().sum().backward()
        optimizer.step()
    before, after = all_tensors(saved), all_tensors(others)
    assert all(torch.equal(before[name], after[name]) for name in before)


def test_saving_leaves_no_other_file(path, saved):
    save_checkpoint(path, *saved, PROGRESS)
    assert list(path.parent.iterdir()) == [path]


def test_a_checkpoint_of_another_network_is_refused(path, saved):
    with pytest.raises(ValueError, match="is the checkpoint of another network"):
        load_checkpoint(path, *make_parts(1, width=5))


def test_a_checkpoint_of_a_smaller_network_is_refused(path, saved):
    modules, optimizer = make_parts(1)
    modules["network"].append(nn.Linear(4, 4))
    with pytest.raises(ValueError, match="is the checkpoint of another network"):
        load_checkpoint(path, modules, optimizer)


@pytest.mark.parametrize("trained", [1, 2, 5])
def test_a_checkpoint_of_another_optimizer_is_refused(path, saved, trained):
    with pytest.raises(ValueError, match="is the checkpoint of another optimizer"):
        load_checkpoint(path, *make_parts(1, trained=trained))


def test_parameters_in_another_order_are_refused(path, saved):
    modules, optimizer = make_parts(1)
    optimizer.param_groups[0]["params"].reverse()
    with pytest.raises(ValueError, match="is the checkpoint of another optimizer"):
        load_checkpoint(path, modules, optimizer)


def crash(*_: Any, **__: Any) -> None:
    raise OSError("no space left on device")


def test_a_crash_while_writing_leaves_the_old_one(path, saved, monkeypatch):
    def half(tensors: object, file: Path, metadata: object) -> None:
        file.write_bytes(b"half of it")
        crash()

    before = path.read_bytes()
    monkeypatch.setattr(checkpoint, "save_file", half)
    with pytest.raises(OSError, match="no space"):
        save_checkpoint(path, *make_parts(2, steps=1), {"step": 8})
    assert path.read_bytes() == before


def test_a_crash_before_the_renaming_leaves_the_old_one(path, saved, monkeypatch):
    before = path.read_bytes()
    monkeypatch.setattr(Path, "replace", crash)
    with pytest.raises(OSError, match="no space"):
        save_checkpoint(path, *make_parts(2, steps=1), {"step": 8})
    assert path.read_bytes() == before


@pytest.mark.parametrize("kept", [0, 5, 200])
def test_a_truncated_checkpoint_is_refused(path, saved, kept):
    path.write_bytes(path.read_bytes()[:kept])
    with pytest.raises(ValueError, match=r"is not a (complete safetensors file|checkpoint)"):
        load_checkpoint(path, *make_parts(1))
    with pytest.raises(ValueError, match=r"is not a (complete safetensors file|checkpoint)"):
        read_progress(path)


def test_weights_without_progress_are_not_a_checkpoint(path):
    save_file({"weight": torch.zeros(2)}, path)
    with pytest.raises(ValueError, match=r"is not a (complete safetensors file|checkpoint)"):
        read_progress(path)
