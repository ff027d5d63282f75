"""Training pictures are seen once each, and what is made of them is what the captioner sees."""

import pytest
import torch

from model.captioning.captioner import Captioner
from model.data.karpathy import CaptionDataset
from model.training.finalize.training_pictures import encode_training_pictures
from tests.model.evaluation.agreeing import write_agreeing_set
from tests.tiny import tiny_captioner


@pytest.fixture(scope="module")
def captioner() -> Captioner:
    return tiny_captioner(seed=4)


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory, captioner: Captioner) -> CaptionDataset:
    return write_agreeing_set(tmp_path_factory.mktemp("toys"), captioner)


def test_the_mean_picture_is_the_mean_of_what_the_decoder_sees(captioner, dataset):
    found = encode_training_pictures(
        captioner, [dataset, dataset], limit=5, batch_size=2, progress=False
    )
    entries = dataset.split("train")
    chosen = [entries[i * len(entries) // 5] for i in range(5)]
    grids = [captioner.encode(captioner.prepare([dataset.picture(one)])) for one in chosen]
    with torch.inference_mode():
        seen = captioner.network.decoder.encode_context(torch.cat(grids)).to_dict()
    assert found.mean_context.to_dict().keys() == seen.keys()
    for name, part in found.mean_context.to_dict().items():
        torch.testing.assert_close(part, seen[name].mean(0, True), atol=1e-5, rtol=1e-4)
    features = torch.cat(grids).mean((1, 2))
    torch.testing.assert_close(found.features, torch.cat([features] * 2), atol=1e-5, rtol=1e-4)
    assert found.captions == [one.captions for one in chosen] * 2


def test_an_unknown_split_is_told(captioner, dataset):
    with pytest.raises(ValueError, match="toys has no split 'nothing'"):
        encode_training_pictures(captioner, [dataset], split="nothing", progress=False)
