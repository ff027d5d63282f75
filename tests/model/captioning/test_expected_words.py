"""The neighbour index in a bundle: read as it was saved, or refused; n-grams by number."""

import itertools

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from model.bundle.format import CONSENSUS, BundleError
from model.bundle.read import load_bundle
from model.bundle.write import save_bundle
from model.captioning.captioner import Captioner
from model.captioning.neighbours import (
    count_ngrams,
    neighbours_file,
    ngram_key,
    read_neighbours,
)
from model.config import CaptionerConfig
from tests.tiny import save_finalized_captioner, save_tiny_captioner, sign


@pytest.fixture
def bundle(tmp_path):
    return save_finalized_captioner(tmp_path / "bundle")


def test_every_ngram_has_its_own_number():
    grams = [gram for order in range(1, 5) for gram in itertools.product(range(6), repeat=order)]
    assert len({ngram_key(gram, 6) for gram in grams}) == len(grams)


def ngrams(*captions: list[int]) -> dict[tuple[int, int, int], int]:
    """Return how often each caption has each n-gram, by caption, order and key."""
    captions, orders, keys, counts = (each.tolist() for each in count_ngrams(captions, 10))
    return dict(zip(zip(captions, orders, keys, strict=True), counts, strict=True))


def test_ngrams_are_counted_without_special_tokens():
    counts = ngrams([1, 7, 8, 7, 8, 2])
    expected = {
        (7,): 2, (8,): 2,
        (7, 8): 2, (8, 7): 1,
        (7, 8, 7): 1, (8, 7, 8): 1,
        (7, 8, 7, 8): 1,
    }  # fmt: skip
    assert counts == {
        (0, len(gram) - 1, ngram_key(gram, 10)): count for gram, count in expected.items()
    }


def test_no_ngram_crosses_from_one_caption_into_the_next():
    assert ngrams([5], [], [6, 5]) == {
        (0, 0, ngram_key([5], 10)): 1,
        (2, 0, ngram_key([6], 10)): 1,
        (2, 0, ngram_key([5], 10)): 1,
        (2, 1, ngram_key([6, 5], 10)): 1,
    }


@pytest.mark.parametrize("captions", [[], [[]], [[1, 2]]])
def test_without_words_there_are_no_ngrams(captions):
    assert ngrams(*captions) == {}


def test_a_bundle_keeps_the_index_byte_for_byte(bundle):
    captioner = Captioner.load(bundle, "cpu")
    assert captioner.has_consensus
    written = (bundle / CONSENSUS).read_bytes()
    assert captioner.optional_files()[CONSENSUS] == written
    index = read_neighbours(load_bundle(bundle, CaptionerConfig), captioner.runner.channels)
    assert neighbours_file(index) == {CONSENSUS: written}


def test_no_sentence_can_be_read_from_the_file(bundle):
    """Words are numbers there, and the n-grams of a caption are not in its order."""
    assert b"water" not in (bundle / CONSENSUS).read_bytes()
    columns = load_file(bundle / CONSENSUS)["columns"]
    starts = load_file(bundle / CONSENSUS)["starts"]
    for start, end in itertools.pairwise(starts):
        assert (np.diff(columns[start:end].astype(int)) > 0).all()


def test_a_bundle_without_an_index_has_no_consensus(tmp_path):
    assert not Captioner.load(save_tiny_captioner(tmp_path / "b"), "cpu").has_consensus


def test_a_configuration_without_its_file_is_not_saved(bundle, tmp_path):
    captioner = Captioner.load(bundle, "cpu")
    files = {name: data for name, data in captioner.optional_files().items() if name != CONSENSUS}
    with pytest.raises(ValueError, match=f"names {CONSENSUS}, which is not there"):
        save_bundle(
            tmp_path / "new",
            captioner.config,
            captioner.network.state_dict(),
            captioner.vocabulary,
            captioner.card,
            files=files,
        )
    assert not (tmp_path / "new").exists()


@pytest.mark.parametrize(
    ("change", "fault"),
    [
        (lambda a: a.pop("rarity"), "does not hold mean, basis"),
        (lambda a: a.update(other=np.zeros(1)), "does not hold mean, basis"),
        (lambda a: a.update(columns=a["columns"].astype(np.int64)), "does not hold mean, basis"),
        (lambda a: a.update(mean=a["mean"][:-1]), "holds no pictures"),
        (lambda a: a.update(basis=a["basis"][:-1]), "holds no pictures"),
        (lambda a: a.update(basis=a["basis"][0]), "holds no pictures"),
        (lambda a: a.update(pictures=a["pictures"][:-1]), "holds no pictures"),
        (lambda a: a.update(ngrams=a["ngrams"][::-1].copy()), "holds no pictures"),
        (lambda a: a.update(rarity=a["rarity"][:-1]), "holds no pictures"),
        (lambda a: a.update(weights=a["weights"][:-1]), "holds no pictures"),
        (lambda a: a.update(starts=a["starts"] * 0), "holds no pictures"),
        (lambda a: a.update(starts=a["starts"][:0]), "holds no pictures"),
        (lambda a: a.update(starts=a["starts"] - 1), "holds no pictures"),
        (lambda a: a["columns"].fill(60_000), "holds no pictures"),
        (lambda a: a["weights"].fill(np.nan), "not finite"),
        (lambda a: a["unseen"].fill(np.inf), "not finite"),
    ],
)
def test_a_file_with_other_contents_is_refused(bundle, change, fault):
    arrays = {name: array.copy() for name, array in load_file(bundle / CONSENSUS).items()}
    change(arrays)
    save_file(arrays, bundle / CONSENSUS)
    sign(bundle, CONSENSUS)
    with pytest.raises(BundleError, match=fault):
        Captioner.load(bundle, "cpu")


def test_a_damaged_file_is_named(bundle):
    path = bundle / CONSENSUS
    path.write_bytes(path.read_bytes()[:-7])
    with pytest.raises(BundleError, match=f"{CONSENSUS} is damaged"):
        Captioner.load(bundle, "cpu")
    sign(bundle, CONSENSUS)
    with pytest.raises(BundleError, match=f"{CONSENSUS} is not a complete safetensors file"):
        Captioner.load(bundle, "cpu")


def test_a_missing_file_is_named(bundle):
    (bundle / CONSENSUS).unlink()
    with pytest.raises(BundleError, match=f"{CONSENSUS} cannot be read"):
        Captioner.load(bundle, "cpu")
