"""The expected words in a bundle: read as they were saved, or refused."""

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from model.bundle.format import CONSENSUS, BundleError
from model.bundle.read import load_bundle
from model.bundle.write import save_bundle
from model.captioning.captioner import Captioner
from model.captioning.expected_words import expected_words_file, read_expected_words
from model.config import CaptionerConfig
from tests.tiny import save_finalized_captioner, save_tiny_captioner, sign, tiny_consensus

WORDS = ("tokens", "weights", "scales", "shares", "rarity")


@pytest.fixture
def bundle(tmp_path):
    return save_finalized_captioner(tmp_path / "bundle")


def test_a_bundle_keeps_the_words_byte_for_byte(bundle):
    captioner = Captioner.load(bundle, "cpu")
    assert captioner.has_consensus
    written = (bundle / CONSENSUS).read_bytes()
    assert captioner.optional_files()[CONSENSUS] == written
    words = read_expected_words(
        load_bundle(bundle, CaptionerConfig), captioner.runner.channels, len(captioner.vocabulary)
    )
    assert expected_words_file(words) == {CONSENSUS: written}


def test_what_is_read_is_what_was_fitted(bundle):
    """A solver's arrays may lie in memory column by column."""
    captioner = Captioner.load(bundle, "cpu", runtime="torch")
    fitted = tiny_consensus(captioner).words
    for name in WORDS:
        found = getattr(captioner.reranker.words, name)
        np.testing.assert_array_equal(found, getattr(fitted, name))


def test_no_word_can_be_read_from_the_file(bundle):
    assert b"water" not in (bundle / CONSENSUS).read_bytes()
    assert load_file(bundle / CONSENSUS)["tokens"].dtype == np.int32


def test_a_bundle_without_expected_words_has_no_consensus(tmp_path):
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
        (lambda a: a.pop("rarity"), "does not hold tokens, weights"),
        (lambda a: a.update(other=np.zeros(1)), "does not hold tokens, weights"),
        (lambda a: a.update(tokens=a["tokens"].astype(np.int64)), "does not hold tokens, weights"),
        (lambda a: a.update(weights=a["weights"][:-1]), "holds no words"),
        (lambda a: a.update(weights=a["weights"][0]), "holds no words"),
        (lambda a: a.update(scales=a["scales"][:-1]), "holds no words"),
        (lambda a: a.update(shares=a["shares"][:-1]), "holds no words"),
        (lambda a: a.update(rarity=a["rarity"][:-1]), "holds no words"),
        (lambda a: a.update(tokens=a["tokens"][::-1].copy()), "holds no words"),
        (lambda a: a.update(tokens=a["tokens"] - 4), "holds no words"),
        (lambda a: a.update(tokens=a["tokens"] + 60_000), "holds no words"),
        (lambda a: a.update({name: a[name][..., :0] for name in WORDS}), "holds no words"),
        (lambda a: a["shares"].fill(np.nan), "not finite"),
        (lambda a: a["rarity"].fill(np.inf), "not finite"),
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
