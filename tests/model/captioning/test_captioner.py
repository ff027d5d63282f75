"""The captioner: alone and in batches, its options, its scores, its attention."""

import math
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from model.captioning.captioner import Captioner
from model.runtime.device import choose_device
from model.vocabulary import Vocabulary
from tests.tiny import WORDS, save_tiny_captioner, tiny_captioner

KINDS = [
    {},
    {"attention": "dot", "attention_heads": 2},
    {"kind": "global"},
    {"tie_output": False},
    {"detected_words": 9},
    {"embedding_size": 16, "detected_words": 9},  # the output of which can be folded
]


def pictures(count: int) -> list[Image.Image]:
    """Pictures of different shapes and contents."""
    random = np.random.default_rng(0)
    shapes = [(40 + 13 * i % 97, 30 + 29 * i % 83) for i in range(count)]
    return [
        Image.fromarray(random.integers(0, 256, (*shape, 3), dtype=np.uint8)).resize(shape)
        for shape in shapes
    ]


@pytest.fixture(scope="module")
def captioner() -> Captioner:
    return tiny_captioner()


@pytest.mark.parametrize("decoder", KINDS, ids=str)
def test_a_batch_of_16_gives_what_one_by_one_gives(decoder):
    captioner = tiny_captioner(**decoder)
    options = {"beam_size": 4, "num_captions": 4, "max_length": 6}
    together = captioner.caption(pictures(16), **options)
    for picture, captions in zip(pictures(16), together, strict=True):
        (alone,) = captioner.caption([picture], **options)
        assert [c.text for c in alone] == [c.text for c in captions]
        for one, many in zip(alone, captions, strict=True):
            assert one.logprob == pytest.approx(many.logprob, abs=1e-4)
            assert one.finished == many.finished


@pytest.mark.parametrize("decoder", KINDS, ids=str)
def test_a_captions_score_is_its_logprob(decoder):
    captioner = tiny_captioner(**decoder)
    (picture,) = pictures(1)
    found = captioner.caption([picture], beam_size=5, num_captions=5, max_length=8)[0]
    for caption in found:
        assert caption.finished
        scored = captioner.score(picture, caption.text)
        assert scored.text == caption.text
        assert scored.logprob == pytest.approx(caption.logprob, abs=1e-4)
        assert [t.token for t in scored.tokens] == [t.token for t in caption.tokens]


def test_the_numbers_of_a_caption_agree(captioner):
    for caption in captioner.caption(pictures(1), beam_size=3, num_captions=3)[0]:
        assert caption.logprob == pytest.approx(math.fsum(t.logprob for t in caption.tokens))
        assert caption.mean_logprob == pytest.approx(caption.logprob / len(caption.tokens))
        assert caption.finished == (caption.tokens[-1].token == "<END>")
        words = [t.token for t in caption.tokens if t.token != "<END>"]
        assert caption.text == " ".join(words)
        assert set(words) <= set(WORDS)


def test_captions_come_best_first(captioner):
    for penalty in (0.0, 1.0):
        found = captioner.caption(
            pictures(1), beam_size=5, num_captions=5, length_penalty=penalty, max_length=9
        )[0]
        ranks = [c.logprob / len(c.tokens) ** penalty for c in found]
        assert ranks == sorted(ranks, reverse=True)
        assert len({c.text for c in found}) == 5


def test_max_length_cuts_a_caption(captioner):
    (caption,) = captioner.caption(pictures(1), max_length=1)[0]
    assert not caption.finished
    assert len(caption.tokens) == 1


def test_a_single_caption_is_the_default(captioner):
    assert [len(found) for found in captioner.caption(pictures(3), beam_size=1)] == [1, 1, 1]


@pytest.mark.parametrize("decoder", KINDS[:2], ids=str)
def test_attention_says_where_it_looked(decoder):
    captioner = tiny_captioner(**decoder)
    (caption,) = captioner.caption(pictures(1), attention=True)[0]
    for token in caption.tokens:
        grid = np.array(token.attention)
        assert grid.shape == (2, 2)
        assert grid.sum() == pytest.approx(1, abs=1e-5)
    assert all(t.attention is None for t in captioner.caption(pictures(1))[0][0].tokens)


def test_a_decoder_without_attention_shows_none():
    (caption,) = tiny_captioner(kind="global").caption(pictures(1), attention=True)[0]
    assert all(token.attention is None for token in caption.tokens)


def test_score_reads_text_as_people_write_it(captioner):
    (picture,) = pictures(1)
    plain = captioner.score(picture, "a dog runs")
    assert captioner.score(picture, "A dog runs.") == plain
    unknown = captioner.score(picture, "a zebra runs")
    assert [t.token for t in unknown.tokens] == ["a", "<UNK>", "runs", "<END>"]
    assert [t.token for t in captioner.score(picture, "").tokens] == ["<END>"]


def test_score_reads_any_apostrophe():
    captioner, (picture,) = tiny_captioner(), pictures(1)
    assert "dog" in captioner.vocabulary
    captioner.vocabulary = Vocabulary(
        [t.replace("dog", "dog's") for t in captioner.vocabulary.tokens]
    )
    plain = captioner.score(picture, "the dog's ball")
    assert [t.token for t in plain.tokens] == ["the", "dog's", "ball", "<END>"]
    assert captioner.score(picture, "The dog’s ball.") == plain  # noqa: RUF001


def test_every_default_of_a_bundle_can_be_said_in_a_call(captioner):
    defaults = asdict(captioner.config.decoding)
    assert captioner.caption(pictures(2), **defaults) == captioner.caption(pictures(2))


def test_no_word_stands_on_both_sides_of_a_joint():
    captioner = tiny_captioner(seed=3)
    options = {"beam_size": 10, "num_captions": 10, "max_length": 9, "length_penalty": 2.0}
    joint = "and"
    for caption in captioner.caption(pictures(4), no_echo_words=[joint], **options)[0]:
        words = caption.text.split()
        around = zip(words, words[1:], words[2:], strict=False)
        assert not [t for t in around if t[1] == joint and t[0] == t[2]]


def test_no_pictures_no_captions(captioner):
    assert captioner.caption([]) == []


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"beam_size": 0}, "beam_size"),
        ({"beam_size": 11}, "beam_size"),
        ({"beam_size": 2, "num_captions": 3}, r"num_captions \(3\) must be at most beam_size"),
        ({"max_length": 51}, "max_length"),
        ({"length_penalty": -0.1}, "length_penalty"),
        ({"surprise": 1}, "surprise"),
    ],
)
def test_options_out_of_range_are_refused(captioner, options, message):
    with pytest.raises((ValueError, TypeError), match=message):
        captioner.caption(pictures(1), **options)


def test_a_loaded_captioner_needs_no_gradient_and_no_training_mode(tmp_path: Path):
    captioner = Captioner.load(save_tiny_captioner(tmp_path / "tiny"), device="cpu")
    assert not any(module.training for module in captioner.network.modules())
    first, second = (captioner.caption(pictures(2), beam_size=2) for _ in range(2))
    assert first == second


def test_devices():
    assert choose_device("cpu") == "cpu"
    assert choose_device("auto") in {"cuda", "mps", "cpu"}
    with pytest.raises(ValueError, match="must be auto, cpu, cuda or mps"):
        choose_device("toaster")
    with pytest.raises(ValueError, match="has no device"):
        choose_device("cuda" if not torch.cuda.is_available() else "mps")
