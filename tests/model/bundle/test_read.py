"""A saved bundle loads unchanged; a damaged or hostile one is refused by name."""

import json
import pickle
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from model.bundle.format import BundleError
from model.bundle.read import load_bundle
from model.bundle.write import save_bundle
from model.captioning.captioner import Captioner
from model.config import CaptionerConfig
from model.text.language_model import LanguageModel
from tests.tiny import (
    save_tiny_captioner,
    save_tiny_language_model,
    sign,
    tiny_config,
    tiny_network,
    tiny_vocabulary,
)


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    return save_tiny_captioner(tmp_path / "tiny")


def change_config(bundle: Path, **changes: object) -> None:
    path = bundle / "config.json"
    config = json.loads(path.read_text())
    for key, value in changes.items():
        if isinstance(value, dict):
            config[key] |= value
        else:
            config[key] = value
    path.write_text(json.dumps(config))


def refused(bundle: Path) -> str:
    with pytest.raises(BundleError) as caught:
        Captioner.load(bundle, device="cpu")
    return str(caught.value)


def test_a_saved_bundle_loads_unchanged(bundle):
    captioner = Captioner.load(bundle, device="cpu")
    network = tiny_network(tiny_config())
    loaded = captioner.network.state_dict()
    for name, tensor in network.state_dict().items():
        half = tensor.half().float() if tensor.ndim >= 2 else tensor
        torch.testing.assert_close(loaded[name], half, atol=0, rtol=0)
    assert captioner.vocabulary.tokens == tiny_vocabulary().tokens
    assert captioner.config.decoder == tiny_config().decoder
    assert captioner.card == "# tiny\n\nFor tests.\n"


def test_saving_replaces_a_bundle_and_leaves_nothing_else(tmp_path):
    for seed in (0, 1):
        folder = save_tiny_captioner(tmp_path / "tiny", seed)
    assert [path.name for path in tmp_path.iterdir()] == ["tiny"]
    assert sorted(path.name for path in folder.iterdir()) == [
        "README.md",
        "config.json",
        "model.safetensors",
        "vocabulary.json",
    ]
    Captioner.load(folder, device="cpu")


def test_weights_too_large_for_half_precision_are_not_saved(tmp_path):
    config, vocabulary = tiny_config(), tiny_vocabulary()
    with pytest.raises(
        ValueError, match=r"huge holds numbers that are not finite in torch\.float16"
    ):
        save_bundle(tmp_path / "b", config, {"huge": torch.full((2, 2), 1e6)}, vocabulary, "")
    assert not (tmp_path / "b").exists()


@pytest.mark.parametrize(
    "name", ["README.md", "config.json", "model.safetensors", "vocabulary.json"]
)
def test_a_missing_file_is_named(bundle, name):
    (bundle / name).unlink()
    assert f"{name} cannot be read" in refused(bundle)


@pytest.mark.parametrize("name", ["README.md", "model.safetensors", "vocabulary.json"])
@pytest.mark.parametrize("damage", ["truncated", "one bit", "empty"])
def test_a_damaged_file_is_named(bundle, name, damage):
    data = bytearray((bundle / name).read_bytes())
    data[len(data) // 2] ^= 1
    damaged = {"truncated": data[:-10], "one bit": data, "empty": b""}[damage]
    (bundle / name).write_bytes(damaged)
    assert f"{name} is damaged or from another bundle" in refused(bundle)


def test_files_of_two_bundles_do_not_mix(bundle, tmp_path):
    other = save_tiny_captioner(tmp_path / "other", seed=1)
    (other / "model.safetensors").replace(bundle / "model.safetensors")
    assert "model.safetensors is damaged or from another bundle" in refused(bundle)


def test_a_path_that_is_not_a_folder_is_refused(tmp_path):
    assert "is not a folder" in refused(tmp_path / "nothing")
    (tmp_path / "file").write_text("")
    assert "is not a folder" in refused(tmp_path / "file")


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("", "is not JSON"),
        ("{", "is not JSON"),
        ("[" * 100_000, "is not JSON"),
        ("[]", "config.json: Input should be a valid dictionary"),
        ('{"format": 3}', "has the format 3, but this program reads 2"),
        ('{"format": 2}', "discriminator 'kind'"),
    ],
)
def test_an_invalid_configuration_is_refused(bundle, text, fault):
    (bundle / "config.json").write_text(text)
    assert fault in refused(bundle)


@pytest.mark.parametrize(
    ("changes", "fault"),
    [
        ({"surprise": 1}, "surprise: Unexpected keyword argument"),
        ({"name": "../x"}, "name"),
        ({"kind": "writer"}, "kind"),
        ({"decoder": {"hidden_size": -1}}, "decoder.hidden_size"),
        ({"decoder": {"dropout": 1.5}}, "decoder.dropout"),
        ({"decoding": {"beam_size": 1000}}, "decoding.beam_size"),
        ({"encoder": {"name": "hub/evil"}}, "encoder.name"),
        ({"preprocessing": {"size": 10**9}}, "preprocessing.size"),
        ({"preprocessing": {"std": [0, 1, 1]}}, "preprocessing: std must be positive"),
    ],
)
def test_a_configuration_out_of_range_names_the_field(bundle, changes, fault):
    change_config(bundle, **changes)
    assert fault in refused(bundle)


def test_a_file_without_a_digest_is_not_trusted(bundle):
    config = json.loads((bundle / "config.json").read_text())
    del config["sha256"]["model.safetensors"]
    (bundle / "config.json").write_text(json.dumps(config))
    assert "gives no sha256 of model.safetensors" in refused(bundle)


def test_shapes_are_compared_before_memory_is_allocated(bundle):
    # The weights of this network would need petabytes.
    change_config(bundle, decoder={"hidden_size": 10**7, "embedding_size": 10**7})
    assert "has the shape" in refused(bundle)


def test_an_unknown_encoder_is_refused(bundle):
    change_config(bundle, encoder={"name": "timm/no_such_network"})
    assert "timm has no network 'no_such_network'" in refused(bundle)


def test_weights_of_another_encoder_are_refused(bundle):
    change_config(bundle, encoder={"name": "timm/resnet18"})
    assert "lacks the tensor" in refused(bundle)


def test_a_vocabulary_of_another_size_is_refused(bundle):
    path = bundle / "vocabulary.json"
    vocabulary = json.loads(path.read_text())
    vocabulary["tokens"].append("more")
    path.write_text(json.dumps(vocabulary))
    sign(bundle, "vocabulary.json")
    assert "require [23]" in refused(bundle)


@pytest.mark.parametrize("data", ["[]", '{"level": "word", "tokens": ["a"]}', '{"tokens": 1}', "é"])
def test_an_invalid_vocabulary_is_refused(bundle, data):
    (bundle / "vocabulary.json").write_text(data, encoding="latin-1")
    sign(bundle, "vocabulary.json")
    assert "vocabulary.json" in refused(bundle)


def rewrite(bundle: Path, change) -> None:
    path = bundle / "model.safetensors"
    tensors = load_file(path)
    change(tensors)
    save_file(tensors, path)
    sign(bundle, "model.safetensors")


def test_a_missing_tensor_is_named(bundle):
    rewrite(bundle, lambda tensors: tensors.pop("decoder.output_bias"))
    assert "lacks the tensor decoder.output_bias" in refused(bundle)


def test_an_unexpected_tensor_is_named(bundle):
    rewrite(bundle, lambda tensors: tensors.update(extra=torch.zeros(1)))
    assert "has an unexpected tensor extra" in refused(bundle)


@pytest.mark.parametrize("number", [float("nan"), float("inf")])
def test_weights_that_are_not_finite_are_refused(bundle, number):
    rewrite(bundle, lambda tensors: tensors["decoder.output_bias"].fill_(number))
    assert "decoder.output_bias holds numbers that are not finite" in refused(bundle)


def test_a_pickle_is_not_loaded(bundle):
    class Bomb:
        def __reduce__(self):
            return (Path.touch, (bundle / "exploded",))

    (bundle / "model.safetensors").write_bytes(pickle.dumps(Bomb()))
    sign(bundle, "model.safetensors")
    assert "is not a complete safetensors file" in refused(bundle)
    assert not (bundle / "exploded").exists()


def test_a_header_with_a_false_size_is_refused(bundle):
    header = b'{"w":{"dtype":"F32","shape":[1000000000000],"data_offsets":[0,4000000000000]}}'
    (bundle / "model.safetensors").write_bytes(len(header).to_bytes(8, "little") + header)
    sign(bundle, "model.safetensors")
    assert "is not a complete safetensors file" in refused(bundle)


def test_a_configuration_of_many_megabytes_is_refused(bundle):
    (bundle / "config.json").write_text(" " * (17 * 2**20))
    assert "is larger than 16 MB" in refused(bundle)


def test_only_the_files_of_a_bundle_are_read(bundle, tmp_path):
    (tmp_path / "secret").write_text("secret")
    change_config(bundle, sha256={"../secret": "0" * 64})
    assert set(load_bundle(bundle, CaptionerConfig).config.sha256) > {
        "../secret"
    }  # listed, but never opened


@pytest.fixture
def text_bundle(tmp_path: Path) -> Path:
    return save_tiny_language_model(tmp_path / "writer")


def refused_text(bundle: Path) -> str:
    with pytest.raises(BundleError) as caught:
        LanguageModel.load(bundle, device="cpu")
    return str(caught.value)


def test_a_bundle_of_the_other_kind_is_refused(bundle, text_bundle):
    assert "holds a model of kind 'text', but kind 'captioner' is needed" in refused(text_bundle)
    assert "holds a model of kind 'captioner', but kind 'text' is needed" in refused_text(bundle)


@pytest.mark.parametrize("name", ["README.md", "model.safetensors", "vocabulary.json"])
def test_a_damaged_file_of_a_language_model_is_named(text_bundle, name):
    data = bytearray((text_bundle / name).read_bytes())
    data[len(data) // 2] ^= 1
    (text_bundle / name).write_bytes(data)
    assert f"{name} is damaged or from another bundle" in refused_text(text_bundle)


@pytest.mark.parametrize(
    ("changes", "fault"),
    [
        ({"kind": "captioner"}, "config.json: captioner."),
        ({"level": "sentence"}, "text.level"),
        ({"level": "word"}, "its vocabulary has the level 'character', but its configuration"),
        ({"network": {"cell": "transformer"}}, "text.network.cell"),
        ({"network": {"cell": "gru"}}, "has the shape"),
        ({"network": {"layers": 2}}, "lacks the tensor recurrent.cells.1"),
        ({"network": {"tie_output": True}}, "tie_output needs an embedding"),
        # The weights of this network would need terabytes.
        ({"network": {"hidden_size": 10**6, "layers": 16}}, "require [4000000, 1000000]"),
        ({"sampling": {"temperature": -1}}, "text.sampling.temperature"),
    ],
    ids=str,
)
def test_an_invalid_language_model_configuration_is_refused(text_bundle, changes, fault):
    change_config(text_bundle, **changes)
    assert fault in refused_text(text_bundle)
