"""Any CNN encodes into a grid; frozen stages do not change, tuned ones get gradients."""

import copy

import pytest
import torch
from torch import nn

from model.config import EncoderConfig
from model.networks.encoder import Encoder

# Name, channels, and rows and columns of the grid of a picture of 96 x 128.
NETWORKS = [
    ("timm/test_efficientnet", 256, (3, 4)),
    ("timm/test_resnet", 96, (3, 4)),
    ("timm/test_convnext", 64, (3, 4)),
    ("timm/mobilenetv3_small_050", 288, (3, 4)),
    ("torchvision/resnet18", 512, (3, 4)),
    ("torchvision/mobilenet_v3_small", 576, (3, 4)),
    ("torchvision/squeezenet1_1", 512, (5, 7)),
    ("torchvision/shufflenet_v2_x0_5", 1024, (3, 4)),
    ("torchvision/mnasnet0_5", 1280, (3, 4)),
]
NAMES = [name for name, _, _ in NETWORKS]
# Each nests its modules differently; the second and third have some after the grid.
KINDS = [
    "timm/test_efficientnet",
    "timm/test_convnext",
    "timm/mobilenetv3_small_050",
    "torchvision/resnet18",
    "torchvision/squeezenet1_1",
]


def make_encoder(name: str = "timm/test_efficientnet") -> Encoder:
    torch.manual_seed(0)
    return Encoder(EncoderConfig(name))


def pictures(count: int = 2) -> torch.Tensor:
    return torch.randn(count, 3, 96, 128, generator=torch.Generator().manual_seed(0))


def norms(module: nn.Module) -> list[nn.Module]:
    return [m for m in module.modules() if isinstance(m, nn.modules.batchnorm._BatchNorm)]


def statistics(encoder: Encoder) -> dict[str, torch.Tensor]:
    return {name: buffer.clone() for name, buffer in encoder.named_buffers()}


@pytest.mark.parametrize(("name", "channels", "cells"), NETWORKS, ids=NAMES)
def test_a_cnn_returns_a_grid_with_channels_last(name, channels, cells):
    encoder = make_encoder(name).eval()
    with torch.inference_mode():
        grid = encoder(pictures())
    assert grid.shape == (2, *cells, channels)
    assert encoder.channels == channels
    assert grid.is_contiguous()


def test_the_grid_is_the_output_of_the_last_layer():
    encoder = make_encoder("torchvision/resnet18").eval()
    layers = dict(encoder.trunk.named_children())
    with torch.inference_mode():
        grid = layers["maxpool"](layers["relu"](layers["bn1"](layers["conv1"](pictures()))))
        for i in range(1, 5):
            grid = layers[f"layer{i}"](grid)
        assert torch.equal(encoder(pictures()), grid.permute(0, 2, 3, 1))


@pytest.mark.parametrize("name", ["timm/nobody", "torchvision/nobody", "torchvision/fcn_resnet50"])
def test_an_unknown_network_is_refused(name):
    with pytest.raises(ValueError, match=f"has no network '{name.split('/')[1]}'"):
        make_encoder(name)


@pytest.mark.parametrize("name", ["timm/test_vit", "torchvision/vit_b_32", "torchvision/swin_t"])
def test_a_transformer_is_refused(name):
    with torch.device("meta"), pytest.raises(ValueError, match=f"{name} has no grid"):
        make_encoder(name)


def test_the_same_seed_gives_the_same_weights():
    first, second = make_encoder().state_dict(), make_encoder().state_dict()
    assert all(torch.equal(first[name], second[name]) for name in first)


def test_a_new_encoder_is_frozen():
    encoder = make_encoder()
    assert encoder.frozen
    assert not any(p.requires_grad for p in encoder.parameters())


@pytest.mark.parametrize("name", KINDS)
def test_tuning_from_stage_0_trains_every_parameter_that_is_used(name):
    encoder = make_encoder(name).tune(0)
    encoder(pictures()).square().sum().backward()
    trained = [p for p in encoder.parameters() if p.requires_grad]
    assert trained
    assert all(p.grad is not None for p in trained)


@pytest.mark.parametrize("name", KINDS)
def test_the_last_stage_affects_the_grid(name):
    encoder = make_encoder(name).tune(-1)
    encoder(pictures()).square().sum().backward()
    trained = [p for p in encoder.parameters() if p.requires_grad]
    assert trained
    assert any(p.grad is not None and p.grad.abs().sum() > 0 for p in trained)


@pytest.mark.parametrize("first", [-2, -3, 0, 4])
def test_gradients_flow_only_where_tuned(first):
    encoder = make_encoder().tune(first)
    encoder(pictures()).square().sum().backward()
    for stage in encoder.stages()[first:]:
        assert all(p.grad is not None for p in stage.parameters())
    for stage in encoder.stages()[: first if first else 0]:
        assert all(p.grad is None and not p.requires_grad for p in stage.parameters())


def test_stages_hold_every_parameter_once():
    encoder = make_encoder()
    held = [id(p) for stage in encoder.stages() for p in stage.parameters()]
    assert len(held) == len(set(held))
    assert set(held) == {id(p) for p in encoder.parameters()}


@pytest.mark.parametrize("beyond", [9, -10, 100])
def test_an_unknown_stage_is_refused(beyond):
    encoder = make_encoder()
    assert len(encoder.stages()) == 9
    with pytest.raises(ValueError, match=r"first_stage must be in -9\.\.8"):
        encoder.tune(beyond)


def test_tuning_again_replaces_the_last_choice():
    encoder = make_encoder().tune(0).tune(-1)
    assert not any(p.requires_grad for stage in encoder.stages()[:-1] for p in stage.parameters())
    assert encoder.tune(None).frozen
    assert not any(p.requires_grad for p in encoder.parameters())


def test_a_frozen_encoder_stays_in_evaluation_while_training():
    encoder = make_encoder().train()
    assert encoder.training
    assert norms(encoder)
    assert not any(module.training for module in encoder.trunk.modules())
    before = statistics(encoder)
    encoder(pictures())
    assert all(torch.equal(before[name], now) for name, now in encoder.named_buffers())


def test_a_tuned_stage_keeps_its_statistics():
    encoder = make_encoder().tune(-3).train()
    assert all(stage.training for stage in encoder.stages()[-3:-1])
    assert norms(encoder)
    assert not any(norm.training for norm in norms(encoder))
    before = statistics(encoder)
    encoder(pictures())
    assert all(torch.equal(before[name], now) for name, now in encoder.named_buffers())


def test_a_tuned_stage_may_update_its_statistics():
    encoder = make_encoder().tune(-3, update_batch_norm=True).train()
    before = statistics(encoder)
    encoder(pictures())
    changed = {name for name, now in encoder.named_buffers() if not torch.equal(before[name], now)}
    tuned = {id(buffer) for stage in encoder.stages()[-3:] for buffer in stage.buffers()}
    assert changed == {name for name, now in encoder.named_buffers() if id(now) in tuned}
    assert changed


@pytest.mark.parametrize("update", [False, True])
def test_eval_reaches_every_module(update):
    encoder = make_encoder().tune(0, update_batch_norm=update).train().eval()
    assert not any(module.training for module in encoder.modules())


def test_tuning_while_training_takes_effect_at_once():
    encoder = make_encoder().train().tune(-2)
    assert encoder.stages()[-2].training
    assert not encoder.tune(None).stages()[-2].training


def test_tuning_a_copy_does_not_change_the_original():
    encoder = make_encoder().tune(-1)
    other = copy.deepcopy(encoder)
    other.tune(0)
    assert all(p.requires_grad for p in other.parameters())
    assert not any(p.requires_grad for p in encoder.stages()[0].parameters())
