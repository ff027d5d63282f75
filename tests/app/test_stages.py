from pathlib import Path

import pytest
import torch

from app import stages
from app.errors import TooManyPixels
from app.settings import Settings
from model.config import DecodingConfig
from model.encoder import Encoder
from tests.app.pictures import encoded, photo


def test_what_is_loaded_is_warm(bundle: Path) -> None:
    seen = []

    def note(module: torch.nn.Module, *_: object) -> None:
        if isinstance(module, Encoder):
            seen.append(module)

    with torch.nn.modules.module.register_module_forward_hook(note):
        captioner = stages.load(Settings(weights=bundle, device="cpu", threads=1))
    assert seen == [captioner.network.encoder]


def test_the_stages_together_are_what_the_captioner_says(bundle: Path) -> None:
    captioner = stages.load(Settings(weights=bundle, device="cpu"))
    decoded = stages.decode(captioner, encoded(photo()), max_pixels=10_000)
    inferred = stages.infer(captioner, decoded.pixels, DecodingConfig(num_captions=2), True)
    assert inferred.captions == captioner.caption([photo()], num_captions=2, attention=True)[0]
    assert (decoded.width, decoded.height, decoded.format) == (60, 40, "PNG")
    times = [decoded.began, decoded.ended, inferred.began, inferred.encoded, inferred.ended]
    assert times == sorted(times)


def test_the_pixel_cap_is_passed_on(bundle: Path) -> None:
    captioner = stages.load(Settings(weights=bundle, device="cpu"))
    with pytest.raises(TooManyPixels):
        stages.decode(captioner, encoded(photo()), max_pixels=2_000)
