"""Configurations refuse invalid values by name, and survive JSON."""

import json
from dataclasses import FrozenInstanceError, asdict, replace

import pytest
from pydantic import TypeAdapter, ValidationError

from model.config import (
    BundleConfig,
    CaptionerConfig,
    DecoderConfig,
    DecodingConfig,
    EncoderConfig,
    PreprocessingConfig,
    RecurrentConfig,
    SamplingConfig,
    TextConfig,
)
from tests.tiny import tiny_config, tiny_language_model


@pytest.mark.parametrize(
    ("kind", "field", "value"),
    [
        (PreprocessingConfig, "size", 7),
        (PreprocessingConfig, "size", 2049),
        (PreprocessingConfig, "resize", "stretch"),
        (PreprocessingConfig, "mean", (0.5, 0.5)),
        (PreprocessingConfig, "std", (0.5, 0.0, 0.5)),
        (PreprocessingConfig, "std", (0.5, -1.0, 0.5)),
        (EncoderConfig, "name", "resnet18"),
        (EncoderConfig, "name", "keras/resnet18"),
        (EncoderConfig, "name", "timm/../../etc"),
        (EncoderConfig, "name", "timm/hf-hub:someone/x"),
        (DecoderConfig, "kind", "transformer"),
        (DecoderConfig, "embedding_size", 0),
        (DecoderConfig, "hidden_size", -1),
        (DecoderConfig, "attention", "sparse"),
        (DecoderConfig, "attention_heads", 0),
        (DecoderConfig, "dropout", 1.0),
        (DecoderConfig, "dropout", -0.1),
        (DecoderConfig, "dropout", float("nan")),
        (DecodingConfig, "beam_size", 0),
        (DecodingConfig, "beam_size", 11),
        (DecodingConfig, "num_captions", 0),
        (DecodingConfig, "max_length", 0),
        (DecodingConfig, "max_length", 51),
        (DecodingConfig, "length_penalty", -0.1),
        (DecodingConfig, "length_penalty", 2.1),
        (DecodingConfig, "no_repeat_ngram_size", -1),
        (DecodingConfig, "no_repeat_ngram_size", 11),
        (RecurrentConfig, "cell", "transformer"),
        (RecurrentConfig, "hidden_size", 0),
        (RecurrentConfig, "layers", 0),
        (RecurrentConfig, "layers", 17),
        (RecurrentConfig, "embedding_size", 0),
        (RecurrentConfig, "dropout", 1.0),
        (SamplingConfig, "max_tokens", 0),
        (SamplingConfig, "max_tokens", 10_001),
        (SamplingConfig, "temperature", -0.1),
        (SamplingConfig, "temperature", 10.1),
        (SamplingConfig, "temperature", float("inf")),
        (SamplingConfig, "top_k", -1),
        (SamplingConfig, "top_p", 0.0),
        (SamplingConfig, "top_p", 1.1),
        (SamplingConfig, "top_p", float("nan")),
        (SamplingConfig, "no_repeat_ngram_size", -1),
        (SamplingConfig, "no_repeat_ngram_size", 101),
    ],
)
def test_a_value_out_of_range_is_refused_by_name(kind, field, value):
    with pytest.raises(ValidationError, match=field):
        kind(**{field: value})


@pytest.mark.parametrize(
    ("kind", "values"),
    [
        (PreprocessingConfig, {"size": 8}),
        (PreprocessingConfig, {"size": 2048, "resize": "crop"}),
        (EncoderConfig, {"name": "torchvision/resnet18"}),
        (EncoderConfig, {"name": "timm/resnet18.a1_in1k"}),
        (DecoderConfig, {"dropout": 0.0, "hidden_size": 1}),
        (
            DecoderConfig,
            {"attention": "dot", "attention_size": 12, "attention_heads": 3, "hidden_size": 6},
        ),
        (DecodingConfig, {"beam_size": 10, "num_captions": 10, "max_length": 50}),
        (DecodingConfig, {"beam_size": 1, "length_penalty": 2.0, "no_repeat_ngram_size": 10}),
        (RecurrentConfig, {"cell": "mut3", "hidden_size": 1, "layers": 16, "dropout": 0.0}),
        (RecurrentConfig, {"embedding_size": 1, "tie_output": True}),
        (SamplingConfig, {"max_tokens": 1, "temperature": 0.0, "top_p": 1e-9}),
        (SamplingConfig, {"max_tokens": 10_000, "temperature": 10.0, "top_p": 1.0}),
    ],
)
def test_the_ends_of_the_ranges_are_allowed(kind, values):
    config = kind(**values)
    assert {name: getattr(config, name) for name in values} == values


@pytest.mark.parametrize(
    "kind",
    [
        *(PreprocessingConfig, EncoderConfig, DecoderConfig, DecodingConfig),
        *(RecurrentConfig, SamplingConfig),
    ],
)
def test_an_unknown_field_is_refused(kind):
    with pytest.raises(ValidationError, match="hidden_sise"):
        kind(hidden_sise=3)


def test_additive_attention_has_one_head():
    with pytest.raises(ValidationError, match="additive attention has one head"):
        DecoderConfig(attention="additive", attention_heads=2)


def test_heads_must_divide_the_attention_size():
    with pytest.raises(ValidationError, match=r"attention_heads \(3\) must divide"):
        DecoderConfig(attention="dot", attention_heads=3, attention_size=8)


def test_more_captions_than_the_beam_size_are_refused():
    with pytest.raises(
        ValidationError, match=r"num_captions \(4\) must be at most beam_size \(3\)"
    ):
        DecodingConfig(beam_size=3, num_captions=4)


@pytest.mark.parametrize("name", ["", "-x", ".hidden", "a/b", "a b", "x" * 65])
def test_a_name_that_is_no_folder_name_is_refused(name):
    with pytest.raises(ValidationError, match="name"):
        replace(tiny_config(), name=name)


@pytest.mark.parametrize(("field", "value"), [("format", 3), ("kind", "writer"), ("version", "")])
def test_another_kind_or_format_is_refused(field, value):
    with pytest.raises(ValidationError, match=field):
        replace(tiny_config(), **{field: value})


def test_a_captioners_configuration_survives_json():
    config = replace(
        tiny_config(kind="global"),
        provenance={"data": ["meadow"]},
        scores={"meadow": {"3": {"cider": 0.5}}},
        sha256={"README.md": "0" * 64},
    )
    again = TypeAdapter(CaptionerConfig).validate_json(json.dumps(asdict(config)))
    assert again == config


def test_a_configuration_cannot_be_changed():
    with pytest.raises(FrozenInstanceError):
        tiny_config().name = "other"


def test_heads_must_divide_the_hidden_size_too():
    with pytest.raises(ValidationError, match=r"must divide hidden_size \(8\)"):
        DecoderConfig(attention="dot", attention_heads=3, attention_size=12, hidden_size=8)


def test_a_tied_output_needs_an_embedding():
    with pytest.raises(ValidationError, match="tie_output needs an embedding: set embedding_size"):
        RecurrentConfig(tie_output=True)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        *(("format", 3), ("kind", "captioner"), ("level", "sentence"), ("name", "a/b")),
        *(("version", ""), ("ends", "perhaps"), ("network", None)),
    ],
)
def test_another_text_configuration_is_refused(field, value):
    with pytest.raises(ValidationError, match=field):
        replace(tiny_language_model().config, **{field: value})


def test_a_language_model_configuration_survives_json():
    config = replace(
        tiny_language_model(level="word", ends=True, embedding_size=4, tie_output=True).config,
        sampling=SamplingConfig(temperature=0.8, top_p=0.9),
        scores={"verse/validation": {"model": {"perplexity": 2.5}}},
        sha256={"README.md": "0" * 64},
    )
    assert TypeAdapter(TextConfig).validate_json(json.dumps(asdict(config))) == config
    assert TypeAdapter(BundleConfig).validate_json(json.dumps(asdict(config))) == config


def test_the_kind_selects_the_configuration_class():
    for config in (tiny_config(), tiny_language_model().config):
        again = TypeAdapter(BundleConfig).validate_python(asdict(config))
        assert type(again) is type(config)
