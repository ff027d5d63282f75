"""The shipped captioner as a user finds it: size, card, scores, captions of real photographs."""

from pathlib import Path

import pytest
from PIL import Image

from model.captioning.captioner import Captioner

ROOT = Path(__file__).parent.parent
BUNDLE = ROOT / "weights" / "captioner"
PHOTOGRAPHS = sorted((ROOT / "examples").glob("*.jpg"))


@pytest.fixture(scope="module")
def captioner() -> Captioner:
    return Captioner.load(BUNDLE, device="cpu")


@pytest.fixture(scope="module")
def pictures() -> list[Image.Image]:
    return [Image.open(path).convert("RGB") for path in PHOTOGRAPHS]


@pytest.mark.slow
def test_paths_give_the_same_captions_as_pictures(captioner, pictures):
    assert captioner.caption(PHOTOGRAPHS) == captioner.caption(pictures)
    assert captioner.caption(str(PHOTOGRAPHS[0])) == captioner.caption(pictures[0])


def test_the_bundle_is_small():
    assert sum(path.stat().st_size for path in BUNDLE.iterdir()) <= 60e6


def test_every_gap_of_the_card_is_filled(captioner):
    gaps = ("{scores}", "{confidence}", "{errors}", "{tags}")
    assert not any(gap in captioner.card for gap in gaps)


def test_one_of_the_five_best_captions_names_something_in_the_picture(captioner, pictures):
    words = {
        path.stem: {word for caption in captions for word in caption.text.split()}
        for path, captions in zip(
            PHOTOGRAPHS, captioner.caption(pictures, beam_size=5, num_captions=5), strict=True
        )
    }
    assert "cat" in words["chelsea"]
    assert words["coffee"] & {"coffee", "cup", "bowl", "plate", "table"}
    assert words["astronaut"] & {"man", "woman", "person", "girl"}


def test_tags_name_what_is_in_the_picture(captioner, pictures):
    grid = captioner.encode(captioner.prepare(pictures))
    tags = dict(zip((path.stem for path in PHOTOGRAPHS), captioner.tags(grid), strict=True))
    first = tags["chelsea"][0]
    assert (first.word, first.kind) == ("cat", "noun")
    assert first.probability > 0.5
    assert {"skiing", "skis"} & {tag.word for tag in tags["skier"]}
    assert any(tag.kind == "verb" for tag in tags["skier"])


def test_captions_differ_and_do_not_loop(captioner, pictures):
    texts = [found[0].text for found in captioner.caption(pictures)]
    assert len(set(texts)) == len(texts)
    for text in texts:
        words = text.split()
        trigrams = list(zip(words, words[1:], words[2:], strict=False))
        assert len(set(trigrams)) == len(trigrams)


@pytest.mark.slow
def test_a_batch_of_16_gives_what_one_by_one_gives(captioner, pictures):
    crops = [
        picture.crop((0, 0, picture.width * k // 4, picture.height * k // 4))
        for picture in pictures
        for k in (1, 2, 3, 4)
    ][:16]
    together = captioner.caption(crops, num_captions=3)
    for crop, captions in zip(crops, together, strict=True):
        (alone,) = captioner.caption([crop], num_captions=3)
        assert [c.text for c in alone] == [c.text for c in captions]
        assert [c.logprob for c in alone] == pytest.approx([c.logprob for c in captions], abs=1e-4)


def test_a_true_caption_scores_above_a_false_one(captioner, pictures):
    (cat,) = [p for path, p in zip(PHOTOGRAPHS, pictures, strict=True) if path.stem == "chelsea"]
    true = captioner.score(cat, "a close up of a cat")
    assert true.logprob > captioner.score(cat, "a group of people playing soccer").logprob
