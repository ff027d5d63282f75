"""Grounding: what a word owes to the picture, beside the mean picture."""

from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from model.bundle.format import MEAN_PICTURE, BundleError
from model.captioning.captioner import Captioner
from model.captioning.image_gain import mean_context_file
from model.networks.image_context import ImageContext
from tests.model.captioning.test_captioner import KINDS, pictures
from tests.tiny import save_finalized_captioner, sign, tiny_captioner


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    return save_finalized_captioner(tmp_path / "finished")


def with_mean_picture(decoder: dict[str, object], count: int = 5) -> Captioner:
    captioner = tiny_captioner(**decoder)
    seen = encode_context(captioner, captioner.encode(captioner.prepare(pictures(count))))
    captioner.mean_context = ImageContext.from_dict(
        {name: part.mean(0, keepdim=True) for name, part in seen.to_dict().items()}
    )
    return captioner


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
def test_grounding_is_the_difference_of_two_scores(decoder):
    captioner = with_mean_picture(decoder)
    found = captioner.caption(pictures(3), beam_size=4, num_captions=4, image_gain=True)
    for picture, captions in zip(pictures(3), found, strict=True):
        own = encode_context(captioner, captioner.encode(captioner.prepare([picture])))
        for caption in captions:
            assert caption.finished
            given = score(captioner, own, caption.text)
            usual = score(captioner, captioner.mean_context, caption.text)
            expected = pytest.approx([a - b for a, b in zip(given, usual, strict=True)], abs=5e-6)
            assert [token.image_gain for token in caption.tokens] == expected
            scored = captioner.score(picture, caption.text, image_gain=True)
            assert [token.image_gain for token in scored.tokens] == expected
            assert max(abs(token.image_gain) for token in scored.tokens) > 1e-4


@pytest.mark.parametrize("decoder", KINDS, ids=str)
def test_the_mean_picture_itself_grounds_nothing(decoder):
    """The mean of a single picture is that picture."""
    captioner = with_mean_picture(decoder, count=1)
    (found,) = captioner.caption(pictures(1), beam_size=3, num_captions=3, image_gain=True)
    for caption in found:
        assert max(abs(token.image_gain) for token in caption.tokens) < 5e-6


def test_nothing_else_of_a_caption_changes():
    captioner = with_mean_picture({})
    (plain,) = captioner.caption(pictures(1))
    (grounded,) = captioner.caption(pictures(1), image_gain=True)
    assert [(c.text, c.logprob) for c in plain] == [(c.text, c.logprob) for c in grounded]
    assert all(t.image_gain is None for t in plain[0].tokens)


def test_no_pictures_no_grounding():
    assert with_mean_picture({}).caption([], image_gain=True) == []


def test_without_a_mean_picture_it_is_refused():
    captioner = tiny_captioner()
    with pytest.raises(ValueError, match="'tiny' has no mean picture"):
        captioner.caption(pictures(1), image_gain=True)
    with pytest.raises(ValueError, match="has no mean picture"):
        captioner.score(pictures(1)[0], "a dog", image_gain=True)


def test_a_bundle_keeps_it_in_half_precision(bundle):
    captioner = Captioner.load(bundle, "cpu")
    kept = captioner.mean_context.to_dict()
    seen = encode_context(captioner, captioner.encode(captioner.prepare(pictures(1)))).to_dict()
    assert {name: part.shape for name, part in kept.items()} == {
        name: part.shape for name, part in seen.items()
    }
    assert {part.dtype for part in kept.values()} == {torch.float32}
    written = (bundle / MEAN_PICTURE).read_bytes()
    assert len(written) < 2 * sum(part.numel() for part in kept.values()) + 800
    assert mean_context_file(captioner.mean_context) == {MEAN_PICTURE: written}


@pytest.mark.parametrize("decoder", KINDS, ids=str)
def test_a_picture_is_put_together_again(decoder):
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
def test_a_file_of_anything_else_is_refused(bundle, change, fault):
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
