"""Batches are a function of the seed, and their captions are padded correctly."""

from collections import Counter
from dataclasses import replace

import pytest
import torch

from model.data.batches import Item, Plan, collate
from model.vocabulary import Vocabulary

CAPTIONS = [[1, 2, 3, 4, 5, 1, 2, 3, 4, 5], [5] * 6, [2] * 4]
WEIGHTS = [0.5, 1.0, 2.5]


def make_plan(**changes: object) -> Plan:
    options = {"batch_size": 4, "captions_each": 3, "views": 3, "seed": 7} | changes
    return Plan(CAPTIONS, WEIGHTS, **options)


def items(plan: Plan, epoch: int = 0) -> list[Item]:
    return [item for batch in plan.epoch(epoch) for item in batch]


def shown(plan: Plan, epoch: int, dataset: int) -> Counter[int]:
    return Counter(item.index for item in items(plan, epoch) if item.dataset == dataset)


def test_weights_set_how_often_a_set_is_shown():
    assert [sum(shown(make_plan(), 0, dataset).values()) for dataset in range(3)] == [5, 6, 10]


@pytest.mark.parametrize("epoch", range(5))
def test_no_picture_is_repeated_at_a_weight_of_1_or_less(epoch):
    assert set(shown(make_plan(), epoch, 0).values()) == {1}
    assert shown(make_plan(), epoch, 1) == Counter(range(6))


def test_a_weight_above_1_shows_all_before_it_repeats_any():
    assert sorted(shown(make_plan(), 0, 2).values()) == [2, 2, 3, 3]


def test_each_epoch_shows_another_half_of_a_set():
    halves = {frozenset(shown(make_plan(), epoch, 0)) for epoch in range(6)}
    assert len(halves) > 1
    assert frozenset.union(*halves) == set(range(10))


def test_the_length_is_the_number_of_batches():
    for batch_size in (1, 4, 5, 21, 100):
        plan = make_plan(batch_size=batch_size)
        assert len(plan) == len(plan.epoch(0)) == -(-21 // batch_size)


def test_only_the_last_batch_is_smaller():
    assert [len(batch) for batch in make_plan().epoch(0)] == [4, 4, 4, 4, 4, 1]


def test_an_epoch_is_a_function_of_the_seed_alone():
    plan = make_plan()
    later = plan.epoch(3)
    assert [plan.epoch(epoch) for epoch in range(4)][3] == later
    assert make_plan().epoch(3) == later


def test_epochs_and_seeds_differ():
    plans = [make_plan().epoch(0), make_plan().epoch(1), make_plan(seed=8).epoch(0)]
    assert all(first != second for first in plans for second in plans if first is not second)


def test_sets_are_mixed():
    assert [item.dataset for item in items(make_plan())] != sorted(
        item.dataset for item in items(make_plan())
    )


def test_captions_are_distinct_and_at_most_as_many_as_asked():
    for epoch in range(4):
        for item in items(make_plan(), epoch):
            there = CAPTIONS[item.dataset][item.index]
            assert len(item.captions) == len(set(item.captions)) == min(there, 3)
            assert set(item.captions) <= set(range(there))


def test_every_view_and_caption_is_shown():
    seen = [item for epoch in range(40) for item in items(make_plan(), epoch)]
    assert {item.view for item in seen} == {0, 1, 2}
    assert {number for item in seen for number in item.captions} == set(range(5))


def test_weights_that_show_nothing_are_refused():
    with pytest.raises(ValueError, match="weights"):
        Plan([[1, 1]], [0.1], batch_size=1, captions_each=1, views=1, seed=0)


@pytest.fixture
def vocabulary() -> Vocabulary:
    return Vocabulary(
        ["<PAD>", "<START>", "<END>", "<UNK>", "a", "dog", "left", "right", "runs", "on", "the"]
    )


def test_inputs_begin_with_start_and_targets_end_with_end(vocabulary):
    batch = collate([["A dog runs."]], [False], vocabulary, max_words=20)
    assert batch.inputs.tolist() == [[[1, 4, 5, 8]]]
    assert batch.targets.tolist() == [[[4, 5, 8, 2]]]
    assert batch.reads.tolist() == [[[True] * 4]]


def test_shorter_captions_and_missing_ones_are_padding(vocabulary):
    batch = collate([["a dog", "a"], ["runs"]], [False, False], vocabulary, max_words=20)
    assert batch.inputs.tolist() == [[[1, 4, 5], [1, 4, 2]], [[1, 8, 2], [0, 0, 0]]]
    assert batch.targets.tolist() == [[[4, 5, 2], [4, 2, 0]], [[8, 2, 0], [0, 0, 0]]]
    assert batch.reads.sum(-1).tolist() == [[3, 2], [2, 0]]
    assert torch.equal(batch.reads, batch.targets != vocabulary.pad_id)


def test_unknown_words_are_the_unknown_token(vocabulary):
    batch = collate([["a zebra"]], [False], vocabulary, max_words=20)
    assert batch.targets.tolist() == [[[4, 3, 2]]]


def test_a_caption_of_max_words_ends(vocabulary):
    batch = collate([["a dog runs"]], [False], vocabulary, max_words=3)
    assert batch.targets.tolist() == [[[4, 5, 8, 2]]]


def test_a_longer_caption_is_cut_and_does_not_end(vocabulary):
    batch = collate([["a dog runs on the left"]], [False], vocabulary, max_words=3)
    assert batch.inputs.tolist() == [[[1, 4, 5, 8]]]  # no more than max_words are read
    assert batch.targets.tolist() == [[[4, 5, 8, 9]]]


def test_a_mirrored_pictures_caption_swaps_left_and_right(vocabulary):
    batch = collate([["the left dog"], ["the left dog"]], [True, False], vocabulary, max_words=20)
    assert batch.targets.tolist() == [[[10, 7, 5, 2]], [[10, 6, 5, 2]]]


def test_pictures_without_a_caption_to_read_are_marked(vocabulary):
    batch = collate([["a dog", "a"], ["runs"], ["a"]], [False] * 3, vocabulary, max_words=20)
    batch.reads[2] = False
    assert batch.pictures.tolist() == [True, True, False]


def test_a_batch_is_moved_completely(vocabulary):
    batch = replace(collate([["a"]], [False], vocabulary, 20), texts=[["a"]])
    batch = batch.to(torch.device("meta"))
    assert batch.texts == [["a"]]
    assert {batch.inputs.device.type, batch.targets.device.type, batch.reads.device.type} == {
        "meta"
    }
