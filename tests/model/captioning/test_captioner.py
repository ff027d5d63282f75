"""The captioner: one picture and batches, options, sampling, scores, attention."""

import math
import os
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image, ImageOps

from model.captioning.base import UnsupportedOption
from model.captioning.captioner import Captioner
from model.config import DecodingConfig
from model.vocabulary import Vocabulary
from tests.tiny import WORDS, save_tiny_captioner, tiny_captioner

KINDS = [
    {},
    {"attention": "dot", "attention_heads": 2},
    {"kind": "global"},
    {"tie_output": False},
    {"detected_words": 9, "classes": 6, "class_names": 5},
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


def test_the_numbers_of_a_caption_are_consistent(captioner):
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


@pytest.mark.parametrize("decoder", KINDS, ids=str)
def test_top_logprobs_say_what_else_could_have_been_said(decoder):
    captioner = tiny_captioner(**decoder)
    (picture,) = pictures(1)
    (greedy,) = captioner.caption(picture, beam_size=1, top_logprobs=4, max_length=6)
    for place in greedy.tokens:
        logprobs = [other.logprob for other in place.top]
        assert len(place.top) == 4
        assert logprobs == sorted(logprobs, reverse=True)
        assert not {"<PAD>", "<START>", "<UNK>"}.intersection(o.token for o in place.top)
    # The first word of a greedy caption is the likeliest, but for an end token.
    first = next(other for other in greedy.tokens[0].top if other.token != "<END>")
    assert first.token == greedy.tokens[0].token
    assert first.logprob == pytest.approx(greedy.tokens[0].logprob, abs=1e-5)
    scored = captioner.score(picture, greedy.text, top_logprobs=4)
    for one, other in zip(scored.tokens, greedy.tokens, strict=False):
        assert [t.token for t in one.top] == [t.token for t in other.top]
    assert all(t.top is None for t in captioner.caption(picture)[0].tokens)
    for count in (-1, 21):
        with pytest.raises(ValueError, match="top_logprobs must be 0 to 20"):
            captioner.caption(picture, top_logprobs=count)


@pytest.mark.parametrize("decoder", KINDS[:2], ids=str)
def test_attention_is_a_distribution_over_the_grid(decoder):
    captioner = tiny_captioner(**decoder)
    (caption,) = captioner.caption(pictures(1), attention=True)[0]
    for token in caption.tokens:
        grid = np.array(token.attention)
        assert grid.shape == (2, 2)
        assert grid.sum() == pytest.approx(1, abs=1e-5)
    assert all(t.attention is None for t in captioner.caption(pictures(1))[0][0].tokens)


def test_a_decoder_without_attention_reports_none():
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
    tiny, (picture,) = tiny_captioner(), pictures(1)
    assert "dog" in tiny.vocabulary
    vocabulary = Vocabulary([t.replace("dog", "dog's") for t in tiny.vocabulary.tokens])
    captioner = Captioner(tiny.runner, tiny.config, vocabulary)
    plain = captioner.score(picture, "the dog's ball")
    assert [t.token for t in plain.tokens] == ["the", "dog's", "ball", "<END>"]
    assert captioner.score(picture, "The dog’s ball.") == plain  # noqa: RUF001


def test_every_default_of_a_bundle_can_be_given_as_an_option(captioner):
    defaults = asdict(captioner.config.decoding)
    assert captioner.caption(pictures(2), **defaults) == captioner.caption(pictures(2))


def test_no_word_stands_on_both_sides_of_a_no_echo_word():
    captioner = tiny_captioner(seed=3)
    options = {"beam_size": 10, "num_captions": 10, "max_length": 9, "length_penalty": 2.0}
    for found in captioner.caption(pictures(4), no_echo_words=["and"], **options):
        for caption in found:
            words = caption.text.split()
            around = zip(words, words[1:], words[2:], strict=False)
            assert not [t for t in around if t[1] == "and" and t[0] == t[2]]


def test_no_pictures_have_no_captions(captioner):
    assert captioner.caption([]) == []


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"beam_size": 0}, "beam_size"),
        ({"beam_size": 11}, "beam_size"),
        ({"beam_size": 2, "num_captions": 3}, r"num_captions \(3\) must be at most beam_size"),
        ({"max_length": 51}, "max_length"),
        ({"length_penalty": -0.1}, "length_penalty"),
        ({"top_k": 3}, "top_k, top_p and seed need a temperature"),
        ({"seed": 3}, "top_k, top_p and seed need a temperature"),
        ({"temperature": -0.1}, "temperature"),
        ({"temperature": 1.0, "num_captions": 11}, "num_captions"),
        ({"surprise": 1}, "unknown option 'surprise': choose from beam_size, num_captions, max_l"),
    ],
)
def test_invalid_options_are_refused(captioner, options, message):
    with pytest.raises(ValueError, match=message):
        captioner.caption(pictures(1), **options)
    with pytest.raises(ValueError, match=message):
        captioner.search(captioner.encode(captioner.prepare(pictures(1))), **options)


def test_options_change_a_decoding_that_is_given(captioner):
    decoding = DecodingConfig(beam_size=5, num_captions=4, max_length=6)
    assert len(captioner.caption(pictures(1), decoding)[0]) == 4
    expected = captioner.caption(pictures(2), beam_size=5, num_captions=2, max_length=6)
    assert captioner.caption(pictures(2), decoding, num_captions=2) == expected


def test_the_configuration_cannot_be_replaced(captioner):
    with pytest.raises(AttributeError):
        captioner.config = captioner.config


def test_what_a_bundle_lacks_is_named(captioner):
    for options in ({"image_gain": True}, {"consensus": True}):
        (name,) = options
        with pytest.raises(UnsupportedOption, match=f"{name} needs a .* 'tiny' lacks: `unrolled"):
            captioner.caption(pictures(1), **options)
    captioner.check_support(DecodingConfig())
    assert not captioner.has_image_gain
    assert not captioner.has_consensus
    assert captioner.optional_files() == {}


# Ways to give a picture


def test_one_picture_has_a_list_of_captions_and_several_a_list_of_lists(captioner):
    one, other = pictures(2)
    together = captioner.caption([one, other], num_captions=2)
    assert [len(found) for found in together] == [2, 2]
    alone = captioner.caption(one, num_captions=2)
    assert [c.text for c in alone] == [c.text for c in together[0]]
    assert captioner.caption([one], num_captions=2) == [alone]
    assert captioner.caption((one,), num_captions=2) == [alone]


def test_a_path_is_read_as_the_picture(captioner, tmp_path):
    (picture,) = pictures(1)
    path = tmp_path / "picture.png"
    picture.save(path)
    expected = captioner.caption(picture)
    assert captioner.caption(path) == captioner.caption(str(path)) == expected
    assert captioner.caption([str(path), path, picture]) == captioner.caption([picture] * 3)
    assert captioner.score(path, "a dog") == captioner.score(picture, "a dog")


@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_file_is_turned_upright_by_its_exif_orientation(captioner, tmp_path, orientation):
    (picture,) = pictures(1)
    exif = Image.Exif()
    exif[0x0112] = orientation
    path = tmp_path / "picture.png"
    picture.save(path, exif=exif)
    with Image.open(path) as opened:
        upright = ImageOps.exif_transpose(opened).convert("RGB")
    assert (upright.tobytes() == picture.tobytes()) == (orientation == 1)
    assert captioner.caption(path) == captioner.caption(upright)


def test_a_grey_file_is_read_as_rgb(captioner, tmp_path):
    grey = pictures(1)[0].convert("L")
    grey.save(tmp_path / "grey.png")
    assert captioner.caption(tmp_path / "grey.png") == captioner.caption(grey.convert("RGB"))


def test_a_transparent_file_is_blended_with_white(captioner, tmp_path):
    picture = pictures(1)[0].convert("RGBA")
    picture.putalpha(Image.new("L", picture.size, 0))
    picture.save(tmp_path / "clear.png")
    white = Image.new("RGB", picture.size, "white")
    assert captioner.caption(tmp_path / "clear.png") == captioner.caption(white)


@pytest.mark.parametrize("kind", ["sideways", "16 bits", "clear", "CMYK"])
def test_an_opened_picture_is_prepared_as_its_file_is(captioner, tmp_path, kind):
    picture = pictures(1)[0]
    exif = Image.Exif()
    exif[0x0112] = 6 if kind == "sideways" else 1
    if kind == "16 bits":
        picture = Image.fromarray(np.asarray(picture.convert("L")).astype(np.uint16) * 257)
    elif kind == "clear":
        picture.putalpha(100)
    elif kind == "CMYK":
        picture = picture.convert("CMYK")
    path = tmp_path / ("photo.jpg" if kind in {"sideways", "CMYK"} else "photo.png")
    picture.save(path, exif=exif)
    with Image.open(path) as opened:
        assert captioner.caption([opened])[0] == captioner.caption(path)


@pytest.mark.parametrize("wrong", [None, 5, b"GIF89a", np.zeros((8, 8, 3), np.uint8), object()])
def test_an_object_that_is_no_picture_is_refused(captioner, wrong):
    message = f"an object of type {type(wrong).__name__} is not a picture: give a PIL image or the"
    for given in (wrong, [wrong], [*pictures(1), wrong]):
        with pytest.raises(TypeError, match=message):
            captioner.caption(given)
    with pytest.raises(TypeError, match=message):
        captioner.score(wrong, "a dog")


def test_a_file_that_cannot_be_read_is_an_oserror(captioner, tmp_path):
    with pytest.raises(FileNotFoundError):
        captioner.caption(tmp_path / "missing.jpg")
    (tmp_path / "text.jpg").write_text("not a picture")
    with pytest.raises(OSError, match=r"text\.jpg: unsupported image format"):
        captioner.caption(tmp_path / "text.jpg")


# Sampling


@pytest.mark.parametrize("decoder", KINDS, ids=str)
def test_a_sampled_caption_has_the_logprob_that_score_gives_it(decoder):
    captioner = tiny_captioner(**decoder)
    for picture in pictures(3):
        drawn = captioner.caption(
            picture, temperature=0.8, top_k=9, num_captions=6, max_length=30, seed=3
        )
        for caption in drawn:
            scored = captioner.score(picture, caption.text).tokens
            if not caption.finished:  # the score has an end token too
                scored = scored[:-1]
            assert [t.token for t in scored] == [t.token for t in caption.tokens]
            assert [t.logprob for t in scored] == pytest.approx(
                [t.logprob for t in caption.tokens], abs=1e-5
            )


def test_sampled_captions_are_the_same_in_a_batch(captioner):
    options = {"temperature": 1.0, "num_captions": 3, "seed": 7}
    together = captioner.caption(pictures(6), **options)
    for picture, captions in zip(pictures(6), together, strict=True):
        alone = captioner.caption(picture, **options)
        assert [c.text for c in alone] == [c.text for c in captions]
        assert [c.logprob for c in alone] == pytest.approx([c.logprob for c in captions], abs=1e-4)


def test_sampled_captions_are_those_of_the_next_seeds_best_first(captioner):
    (picture,) = pictures(1)
    together = captioner.caption(picture, temperature=1.0, num_captions=5, seed=20)
    alone = [captioner.caption(picture, temperature=1.0, seed=20 + i)[0] for i in range(5)]
    alone.sort(key=lambda caption: caption.logprob, reverse=True)
    assert [c.text for c in together] == [c.text for c in alone]
    assert len({caption.text for caption in together}) > 1
    texts = [caption.text for caption in together]
    penalised = captioner.caption(
        picture, temperature=1.0, num_captions=5, seed=20, length_penalty=2.0
    )
    assert sorted(texts) == sorted(caption.text for caption in penalised)
    ranks = [caption.logprob / len(caption.tokens) ** 2 for caption in penalised]
    assert ranks == sorted(ranks, reverse=True)


def test_a_seed_is_chosen_at_random_where_none_is_given(captioner):
    (picture,) = pictures(1)
    texts = {captioner.caption(picture, temperature=1.0)[0].text for _ in range(6)}
    assert len(texts) > 1


def test_temperature_0_is_greedy(captioner):
    for picture in pictures(4):
        (drawn,) = captioner.caption(picture, temperature=0.0, max_length=9)
        grid = captioner.encode(captioner.prepare([picture]))
        context = captioner.runner.encode_context(grid)
        state = tuple(part[:, None] for part in context.start)
        last, words = Vocabulary.start_id, []
        while len(words) < 9 and last != Vocabulary.end_id:
            logprobs, state, _ = captioner.runner.step(torch.tensor([[last]]), state, context)
            logprobs = logprobs.clone()
            logprobs[..., list(Vocabulary.never_written)] = -math.inf
            if not words:
                logprobs[..., Vocabulary.end_id] = -math.inf
            last = int(logprobs.argmax())
            words.append(captioner.vocabulary.tokens[last])
        assert [token.token for token in drawn.tokens] == words


def test_more_captions_than_the_beam_size_may_be_sampled(captioner):
    drawn = captioner.caption(pictures(1)[0], temperature=1.0, num_captions=10, beam_size=2, seed=1)
    assert len(drawn) == 10


def test_a_sampled_caption_that_reaches_max_length_is_unfinished(captioner):
    for caption in captioner.caption(pictures(1)[0], temperature=1.0, max_length=1, seed=1):
        assert not caption.finished
        assert len(caption.tokens) == 1


def test_sampled_captions_keep_to_the_constraints(captioner):
    options = {"temperature": 2.0, "num_captions": 10, "seed": 1, "max_length": 20}
    (picture,) = pictures(1)
    repeats = 0
    for size in (0, 1):
        for caption in captioner.caption(picture, no_repeat_ngram_size=size, **options):
            words = caption.text.split()
            assert words
            assert set(words) <= set(WORDS)
            repeats += len(set(words)) < len(words)
            assert size == 0 or len(set(words)) == len(words)
    assert repeats  # else this proves nothing


# Loading


def test_a_loaded_captioner_needs_no_gradient_and_no_training_mode(tmp_path: Path):
    captioner = Captioner.load(save_tiny_captioner(tmp_path / "tiny"), device="cpu")
    assert not any(module.training for module in captioner.network.modules())
    first, second = (captioner.caption(pictures(2), beam_size=2) for _ in range(2))
    assert first == second


def test_the_shipped_captioner_is_the_default_in_any_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    captioner = Captioner.load(device="cpu")
    assert captioner.config.name == Captioner.load(None, "cpu").config.name
    assert captioner.has_image_gain
    assert not os.listdir(tmp_path)  # noqa: PTH208


def test_wrong_types_are_refused_in_a_sentence(captioner):
    (picture,) = pictures(1)
    with pytest.raises(TypeError, match="decoding must be a DecodingConfig, not dict"):
        captioner.caption(picture, {"beam_size": 3})
    with pytest.raises(TypeError, match="text must be a string, not NoneType"):
        captioner.score(picture, None)
    with pytest.raises(ValueError, match="beam_size"):
        captioner.caption(picture, beam_size="3x")
    with pytest.raises(ValueError, match="0 x 3 pixels is empty"):
        captioner.caption(Image.new("RGB", (0, 3)))
