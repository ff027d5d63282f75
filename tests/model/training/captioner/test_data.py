"""A recipe's sets become batches, each process reads its own share, and views agree."""

from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import pytest
import torch

from model.bundle.read import load_bundle
from model.config import CaptionerConfig
from model.data.augmentation import CropConfig, augment, is_mirrored, mirror_caption
from model.data.batches import Item
from model.data.karpathy import CaptionDataset
from model.data.lookalikes import write_lookalikes
from model.networks.encoder import Encoder
from model.reporting.progress import make_console
from model.training.captioner.data import Batches, TrainingData
from model.training.recipe import CaptionerRecipe, read_recipe
from tests.model.training.recipes import REWARDED, write_recipe
from tests.tiny import save_tiny_captioner


@pytest.fixture
def training(tmp_path: Path, data: Path) -> TrainingData:
    return TrainingData(read_recipe(write_recipe(tmp_path, data), CaptionerRecipe))


def fill_cache(training: TrainingData) -> Encoder:
    torch.manual_seed(0)
    encoder = Encoder(training.recipe.encoder).eval()
    training.cache(encoder, torch.device("cpu"), torch.float32, make_console(quiet=True))
    return encoder


def words_of(training: TrainingData, split: str) -> set[str]:
    return {
        word
        for dataset in training.sets
        for entry in dataset.split(split)
        for caption in entry.captions
        for word in caption.lower().rstrip(" .").split()
    }


def test_the_vocabulary_has_the_words_of_the_training_captions(training):
    assert set(training.vocabulary.tokens[4:]) == words_of(training, "train")


def test_rare_words_are_not_learned(tmp_path, data):
    rare = TrainingData(
        read_recipe(write_recipe(tmp_path, data, {"min_count": 15}), CaptionerRecipe)
    )
    assert "a" in rare.vocabulary
    assert 5 < len(rare.vocabulary) < len(words_of(rare, "train"))


def test_a_kept_vocabulary_is_that_of_the_bundle(tmp_path, data):
    folder = save_tiny_captioner(tmp_path / "bundle")
    kept = {"initial_weights": str(folder), "keep_vocabulary": True}
    recipe = read_recipe(write_recipe(tmp_path, data, kept), CaptionerRecipe)
    bundle = load_bundle(folder, CaptionerConfig)
    assert TrainingData(recipe).vocabulary.tokens == bundle.vocabulary.tokens


def test_a_vocabulary_cannot_be_kept_of_what_is_no_bundle(tmp_path, data):
    kept = {"initial_weights": str(tmp_path / "nothing"), "keep_vocabulary": True}
    recipe = read_recipe(write_recipe(tmp_path, data, kept), CaptionerRecipe)
    with pytest.raises(
        ValueError, match=r"initial_weights must name its folder.*none in .*nothing"
    ):
        TrainingData(recipe)


def test_crops_are_as_the_recipe_says(tmp_path, data):
    crops = CropConfig(smallest_side=0.3, colour=0.9, erased=0.9)
    recipe = read_recipe(
        write_recipe(tmp_path, data, {"views": 3, "crops": asdict(crops)}), CaptionerRecipe
    )
    training = TrainingData(recipe)
    (entry,) = training.train[0][2:3]
    seed = f"{entry.filename}/{recipe.seed}/0"
    picture = training.sets[0].picture(entry)
    for of, expected in ((recipe.crops, True), (CropConfig(), False)):
        pixels = training.preprocessing([augment(picture, 2, seed, of)])
        found, _ = training.load([Item(0, 2, 2, (0,))], 0)
        assert np.array_equal(found.numpy(), pixels) == expected


def test_the_plan_mixes_the_sets_by_weight(training):
    items = [item for batch in training.plan.epoch(0) for item in batch]
    assert [sum(item.dataset == i for item in items) for i in range(2)] == [13, 5]


def test_without_a_cache_batches_are_pixels_and_validation_too(training):
    assert not training.cached
    pictures, captions = training.load(training.plan.epoch(0)[0], 0)
    assert pictures.shape == (4, 3, 64, 64)
    assert captions.inputs.shape[0] == 4
    assert training.validation_batch(0, 0, 2).shape == (2, 3, 64, 64)


def test_with_a_cache_batches_are_grids_and_validation_too(training):
    fill_cache(training)
    assert training.cached
    grids, captions = training.load(training.plan.epoch(0)[0], 0)
    assert grids.shape == (4, 2, 2, 256)
    assert captions.inputs.shape[0] == 4
    assert training.validation_batch(0, 0, 2).shape == (2, 2, 2, 256)


@pytest.mark.parametrize("view", [0, 1])
def test_the_cache_holds_what_would_be_computed(training, view):
    batch = [Item(0, 2, view, (0,)), Item(1, 3, view, (0,))]
    pixels, _ = training.load(batch, 0)
    encoder = fill_cache(training)
    grids, _ = training.load(batch, 0)
    with torch.inference_mode():
        torch.testing.assert_close(grids.float(), encoder(pixels), rtol=2e-3, atol=2e-3)


def find_side(training: TrainingData) -> tuple[int, int]:
    """Find a training caption of the first set that says left."""
    return next(
        (index, number)
        for index, entry in enumerate(training.train[0])
        for number, caption in enumerate(entry.captions)
        if "left" in caption
    )


@pytest.mark.parametrize("cached", [False, True])
@pytest.mark.parametrize("view", range(3))
def test_captions_are_mirrored_as_the_pictures_are(training, view, cached):
    if cached:
        fill_cache(training)
    index, number = find_side(training)
    name = training.train[0][index].filename
    for epoch in range(6):
        _, captions = training.load([Item(0, index, view, (number,))], epoch)
        text = training.vocabulary.decode(captions.targets[0, 0].tolist())
        mirrored = is_mirrored(view, name if cached else f"{name}/{training.recipe.seed}/{epoch}")
        assert ("right" in text) == mirrored
        assert ("left" in text) != mirrored


@pytest.mark.parametrize("view", range(3))
def test_rewards_have_all_sentences_about_a_picture_mirrored_as_it_is(tmp_path, data, view):
    recipe = write_recipe(tmp_path, data, REWARDED)
    training = TrainingData(read_recipe(recipe, CaptionerRecipe))
    index, number = find_side(training)
    entry = training.train[0][index]
    assert len(entry.captions) > 1
    for epoch in range(4):
        _, captions = training.load([Item(0, index, view, (number,))], epoch)
        ((*texts,),) = captions.texts
        if is_mirrored(view, f"{entry.filename}/{training.recipe.seed}/{epoch}"):
            assert "right" in texts[number]
            texts = [mirror_caption(text) for text in texts]
        assert texts == list(entry.captions)


@pytest.mark.parametrize("view", [0, 1])
def test_rewards_have_captions_of_lookalikes_mirrored_too(tmp_path, data, view):
    train = CaptionDataset(data / "meadow.json", [data / "meadow"]).split("train")
    names = [entry.filename for entry in train]
    alike = {name: [*names[at + 1 :], *names[:at]] for at, name in enumerate(names)}
    write_lookalikes(tmp_path / "alike.json", alike)
    meadow = {"captions": f"{data}/meadow.json", "pictures": [f"{data}/meadow"]}
    harbour = {"captions": f"{data}/harbour.json", "pictures": [f"{data}/harbour-*.tar"]}
    known = {"data": [meadow | {"lookalikes": str(tmp_path / "alike.json")}, harbour]}
    asked = {"self_critical": {"samples": 3, "lookalikes": 2, "lookalike_share": 0.4}}
    training = TrainingData(
        read_recipe(write_recipe(tmp_path, data, known, asked), CaptionerRecipe)
    )
    _, captions = training.load([Item(0, 3, view, (0,)), Item(1, 0, view, (0,))], 0)
    expected = [text for at in (4, 5) for text in train[at].captions]
    if view == 1:
        assert expected != (expected := [mirror_caption(text) for text in expected])
    assert captions.lookalikes == [expected, []]
    assert captions.texts[0] == [
        mirror_caption(text) if view == 1 else text for text in train[3].captions
    ]


def test_lookalikes_without_a_share_are_not_read(tmp_path, data):
    meadow = {"captions": f"{data}/meadow.json", "pictures": [f"{data}/meadow"]}
    known = {"data": [meadow | {"lookalikes": "not there.json"}]}
    training = TrainingData(
        read_recipe(write_recipe(tmp_path, data, REWARDED, known), CaptionerRecipe)
    )
    _, captions = training.load([Item(0, 0, 0, (0,))], 0)
    assert captions.lookalikes == [[]]


def test_without_rewards_sentences_are_left_out(training):
    _, captions = training.load(training.plan.epoch(0)[0], 0)
    assert captions.texts == ()
    assert captions.lookalikes == ()


def test_a_tuned_encoder_sees_a_new_crop_each_epoch(training):
    item = Item(0, 0, 2, (0,))
    first, again, other = (training.load([item], epoch)[0] for epoch in (0, 0, 1))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)
    seeded = TrainingData(replace(training.recipe, seed=training.recipe.seed + 1))
    assert not torch.equal(first, seeded.load([item], 0)[0])


def test_processes_share_every_batch(training):
    plan = training.plan.epoch(0)
    whole = Batches(training, 0, plan, 0, 1)
    shares = [Batches(training, 0, plan, rank, 3) for rank in range(3)]
    assert len(whole) == len(shares[0]) == len(plan) == 5
    for position in range(4):
        pictures, captions = whole[position]
        parts = [share[position] for share in shares]
        for rank, (part, _) in enumerate(parts):
            assert torch.equal(part, pictures[rank::3])
        assert sum(int(part.reads.sum()) for _, part in parts) == int(captions.reads.sum())


def test_a_process_without_a_share_reads_no_words(training):
    plan = training.plan.epoch(0)
    assert len(plan[-1]) == 2
    pictures, captions = Batches(training, 0, plan, 2, 3)[4]
    assert len(pictures) == 1
    assert not captions.reads.any()


def test_a_set_without_validation_pictures_is_refused(tmp_path, data):
    text = (data / "meadow.json").read_text().replace('"val"', '"test"')
    (tmp_path / "meadow.json").write_text(text)
    change = {"data": [{"captions": f"{tmp_path}/meadow.json", "pictures": [f"{data}/meadow"]}]}
    with pytest.raises(ValueError, match="meadow has no split 'val'"):
        TrainingData(read_recipe(write_recipe(tmp_path, data, change), CaptionerRecipe))
