"""The image gain: how much more likely the picture makes a word than the mean picture does."""

from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from model.bundle.format import MEAN_PICTURE, BundleError
from model.bundle.read import load_bundle
from model.captioning.captioner import Captioner
from model.captioning.image_gain import mean_context_file, read_mean_context
from model.config import CaptionerConfig
from model.networks.image_context import ImageContext
from tests.model.captioning.test_captioner import KINDS, pictures
from tests.tiny import (
    rebuild,
    save_finalized_captioner,
    sign,
    tiny_captioner,
    tiny_mean_context,
)


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    return save_finalized_captioner(tmp_path / "finished")


def with_mean_picture(decoder: dict[str, object], count: int = 5) -> Captioner:
    bare = tiny_captioner(**decoder)
    return rebuild(bare, bare.config, mean_context=tiny_mean_context(bare, pictures(count)))


@torch.inference_mode()
def encode_context(captioner: Captioner, grid: torch.Tensor) -> ImageContext:
    return captioner.network.decoder.encode_context(grid)


@torch.inference_mode()
def score(captioner: Captioner, picture: ImageContext, text: str) -> list[float]:
    """Score a text alone, one step after the other."""
    decoder, vocabulary = captioner.network.decoder, captioner.vocabulary
    tokens = [*vocabulary.encode(text), vocabulary.end_id]
    state = tuple(part[:, None] for part in picture.start)
    logprobs = []
    for last, token in zip([vocabulary.start_id, *tokens], tokens, strict=False):
        scores, state, _ = decoder.step(torch.tensor([[last]]), state, picture)
        logprobs.append(float(scores[0, 0, token]))
    return logprobs


@pytest.mark.parametrize("decoder", KINDS, ids=str)
def test_the_image_gain_is_the_difference_of_two_scores(decoder):
    captioner = with_mean_picture(decoder)
    mean_context = tiny_mean_context(captioner, pictures(5))
    found = captioner.caption(pictures(3), beam_size=4, num_captions=4, image_gain=True)
    for picture, captions in zip(pictures(3), found, strict=True):
        context = encode_context(captioner, captioner.encode(captioner.prepare([picture])))
        for caption in captions:
            assert caption.finished
            given = score(captioner, context, caption.text)
            without = score(captioner, mean_context, caption.text)
            gains = [a - b for a, b in zip(given, without, strict=True)]
            expected = pytest.approx(gains, abs=5e-6)
            assert [token.image_gain for token in caption.tokens] == expected
            scored = captioner.score(picture, caption.text, image_gain=True)
            assert [token.image_gain for token in scored.tokens] == expected
            assert max(abs(token.image_gain) for token in scored.tokens) > 1e-4


@pytest.mark.parametrize("decoder", KINDS, ids=str)
def test_the_mean_picture_itself_has_no_image_gain(decoder):
    """The mean of a single picture is that picture."""
    captioner = with_mean_picture(decoder, count=1)
    (found,) = captioner.caption(pictures(1), beam_size=3, num_captions=3, image_gain=True)
    for caption in found:
        assert max(abs(token.image_gain) for token in caption.tokens) < 5e-6


def test_asking_for_the_image_gain_changes_nothing_else():
    captioner = with_mean_picture({})
    (plain,) = captioner.caption(pictures(1))
    (measured,) = captioner.caption(pictures(1), image_gain=True)
    assert [(c.text, c.logprob) for c in plain] == [(c.text, c.logprob) for c in measured]
    assert all(t.image_gain is None for t in plain[0].tokens)


def test_no_pictures_have_no_image_gain():
    assert with_mean_picture({}).caption([], image_gain=True) == []


def test_the_image_gain_without_a_mean_picture_is_refused():
    captioner = tiny_captioner()
    with pytest.raises(ValueError, match=r"image_gain needs a mean picture, which .* 'tiny' lacks"):
        captioner.caption(pictures(1), image_gain=True)
    with pytest.raises(ValueError, match="image_gain needs a mean picture"):
        captioner.score(pictures(1)[0], "a dog", image_gain=True)


def test_a_bundle_keeps_the_mean_picture_in_half_precision(bundle):
    captioner = Captioner.load(bundle, "cpu")
    assert captioner.has_image_gain
    context = read_mean_context(load_bundle(bundle, CaptionerConfig), captioner.runner)
    kept = context.to_dict()
    seen = encode_context(captioner, captioner.encode(captioner.prepare(pictures(1)))).to_dict()
    assert {name: part.shape for name, part in kept.items()} == {
        name: part.shape for name, part in seen.items()
    }
    assert {str(part.dtype) for part in kept.values()} == {"float32"}
    written = (bundle / MEAN_PICTURE).read_bytes()
    assert len(written) < 2 * sum(part.size for part in kept.values()) + 800
    assert mean_context_file(context) == {MEAN_PICTURE: written}
    assert captioner.optional_files()[MEAN_PICTURE] == written


@pytest.mark.parametrize("decoder", KINDS, ids=str)
def test_a_context_survives_to_dict_and_from_dict(decoder):
    captioner = tiny_captioner(**decoder)
    picture = encode_context(captioner, captioner.encode(captioner.prepare(pictures(2))))
    again = ImageContext.from_dict(picture.to_dict())
    for before, after in zip(picture, again, strict=True):
        assert before is after or all(a is b for a, b in zip(before, after, strict=True))


@pytest.mark.parametrize(
    ("change", "fault"),
    [
        (lambda named: named.pop("values"), "holds no picture"),
        (lambda named: named.pop("start.1"), "holds no picture"),
        (lambda named: named.update(other=torch.zeros(1)), "holds no picture"),
        (lambda named: named.update(values=torch.zeros(1, 0, 16)), "holds no picture"),
        (lambda named: named.update(values=torch.zeros(4, 16)), "holds no picture"),
        (lambda named: named.update(gates=named["gates"][:, :-1].clone()), "holds no picture"),
        (lambda named: named["keys"].fill_(float("nan")), "not finite"),
        (lambda named: named.update(gates=named["gates"].int()), "not finite"),
    ],
)
def test_a_file_with_other_contents_is_refused(bundle, change, fault):
    named = load_file(bundle / MEAN_PICTURE)
    change(named)
    save_file(named, bundle / MEAN_PICTURE)
    sign(bundle, MEAN_PICTURE)
    with pytest.raises(BundleError, match=fault):
        Captioner.load(bundle, "cpu")


def test_a_damaged_file_is_named(bundle):
    path = bundle / MEAN_PICTURE
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(BundleError, match=f"{MEAN_PICTURE} is damaged"):
        Captioner.load(bundle, "cpu")
    sign(bundle, MEAN_PICTURE)
    with pytest.raises(BundleError, match=f"{MEAN_PICTURE} is not a complete safetensors file"):
        Captioner.load(bundle, "cpu")
