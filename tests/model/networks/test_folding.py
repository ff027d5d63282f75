"""Folding removes layers and keeps the output; where it cannot, nothing is folded."""

import pytest
import torch
from torch import nn

from model.config import DecoderConfig, EncoderConfig
from model.networks.decoder import Decoder, make_decoder
from model.networks.encoder import Encoder
from model.networks.folding import fold_batch_norm, fold_output


def norms(network: nn.Module) -> int:
    return sum(isinstance(module, nn.BatchNorm2d) for module in network.modules())


def with_statistics(network: nn.Module) -> nn.Module:
    """Randomise the statistics of every normalisation, as training would."""
    generator = torch.Generator().manual_seed(1)
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            for part in (module.running_mean, module.bias):
                part.data.normal_(0, 0.1, generator=generator)
            for part in (module.running_var, module.weight):
                part.data.uniform_(0.5, 1.5, generator=generator)
    return network.eval()


def pictures() -> torch.Tensor:
    return torch.randn(2, 3, 96, 96, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize(
    "name",
    [
        "timm/tf_efficientnet_lite0",
        "timm/test_resnet",
        "timm/mobilenetv3_small_050",
        "torchvision/resnet18",
        "torchvision/mobilenet_v3_small",
    ],
)
def test_a_folded_encoder_returns_the_same_grid_without_normalisation(name):
    torch.manual_seed(0)
    # In double precision, so that rounding does not matter.
    encoder = with_statistics(Encoder(EncoderConfig(name))).double()
    given = pictures().double()
    before = {key: value.clone() for key, value in encoder.state_dict().items()}
    with torch.inference_mode():
        folded, norms_folded = fold_batch_norm(encoder, given[:1])
        assert norms_folded
        torch.testing.assert_close(folded(given), encoder(given), rtol=1e-9, atol=1e-9)
    assert norms(encoder) > 0
    assert norms(folded) == 0
    for key, value in encoder.state_dict().items():
        assert torch.equal(value, before[key])


def test_a_normalisation_without_a_convolution_before_it_stays():
    network = with_statistics(nn.Sequential(nn.BatchNorm2d(3), nn.Conv2d(3, 4, 1), nn.ReLU()))
    folded, _ = fold_batch_norm(network, pictures())
    assert norms(folded) == 1
    assert torch.equal(folded(pictures()), network(pictures()))


def test_a_normalisation_without_running_statistics_stays():
    norm = nn.BatchNorm2d(4, track_running_stats=False)
    network = nn.Sequential(nn.Conv2d(3, 4, 1), norm)
    assert norms(fold_batch_norm(network, pictures())[0]) == 1


class Twice(nn.Module):
    """Uses the convolution's output twice: in the normalisation and in a sum."""

    def __init__(self) -> None:
        super().__init__()
        self.convolution = nn.Conv2d(3, 4, 1)
        self.norm = nn.BatchNorm2d(4)

    def forward(self, pixels: torch.Tensor) -> torch.Tensor:
        features = self.convolution(pixels)
        return self.norm(features) + features


class Again(nn.Module):
    """Runs its convolution twice, and normalises once."""

    def __init__(self) -> None:
        super().__init__()
        self.convolution = nn.Conv2d(3, 3, 1)
        self.norm = nn.BatchNorm2d(3)

    def forward(self, pixels: torch.Tensor) -> torch.Tensor:
        return self.norm(self.convolution(self.convolution(pixels)))


@pytest.mark.parametrize("kind", [Twice, Again])
def test_a_network_that_folding_would_change_is_not_folded(kind):
    torch.manual_seed(0)
    network = with_statistics(kind())
    kept, folds = fold_batch_norm(network, pictures())
    assert folds == []
    assert norms(kept) == 1
    with torch.inference_mode():
        assert torch.equal(kept(pictures()), network(pictures()))


def decoder(**options: object) -> Decoder:
    torch.manual_seed(0)
    sizes = {"hidden_size": 8, "embedding_size": 8, "detected_words": 26}
    config = DecoderConfig(**sizes | {"tie_output": True} | options)
    made = make_decoder(config, 30, 4).eval()
    for part in made.parameters():
        part.data.normal_(0, 0.5)
    return made


@torch.inference_mode()
def test_a_folded_output_is_one_product_with_the_same_logits():
    tied = decoder()
    folded = fold_output(tied)
    assert folded.to_word.weight.shape == (30, 8)
    assert tied.to_word.weight.shape == (8, 8)  # unchanged
    output, evidence = torch.randn(2, 3, 8), torch.rand(2, 1, 30)
    for added in (None, evidence):
        logits, expected = folded.logits(output, added), tied.logits(output, added)
        torch.testing.assert_close(logits, expected, rtol=1e-5, atol=1e-5)
    tokens = torch.tensor([[1, 2]])
    assert torch.equal(folded.project_words(tokens), tied.project_words(tokens))


@pytest.mark.parametrize("options", [{"tie_output": False}, {"hidden_size": 16}], ids=str)
def test_an_output_that_folding_would_not_speed_up_stays(options):
    kept = decoder(**options)
    assert fold_output(kept) is kept
