"""Rewards are CIDEr-D with the end token as a word, and cannot be tricked."""

import pytest

from model.evaluation.bleu import sentence_bleu
from model.evaluation.cider import DocumentFrequencies, cider_each
from model.training.captioner.reward import Reward
from model.vocabulary import END, Vocabulary

# Sentences about the pictures that are trained on.
TEXTS = [
    ["A man plays a guitar with a friend.", "A man with a guitar", "Two men and a drum"],
    ["A dog runs on the grass.", "The brown dog is running"],
    ["A woman in a red hat"],
    ["Two children play with a zebra", "A child and a zebra play"],
]
VOCABULARY = Vocabulary.build(t.replace("zebra", "") for picture in TEXTS for t in picture)


def make_reward(penalty: float = 0.0, share: float = 0.0) -> Reward:
    return Reward(TEXTS, VOCABULARY, repetition_penalty=penalty, lookalike_share=share)


def ids(text: str, *, ends: bool = True) -> list[int]:
    return [*VOCABULARY.encode(text), *([VOCABULARY.end_id] if ends else [])]


def reward(text: str, picture: int = 0, *, ends: bool = True, penalty: float = 0.0) -> float:
    ((value,),) = make_reward(penalty)([[ids(text, ends=ends)]], [TEXTS[picture]])
    return value


def words(text: str) -> list[str]:
    return [*text.lower().rstrip(".").split(), END]


def test_a_reward_is_cider_with_the_end_as_a_word():
    captions = ["a man with a guitar", "the dog runs", "a man in a hat", "two men and a drum"]
    references = [[words(text) for text in picture] for picture in TEXTS]
    expected = cider_each(
        [words(caption) for caption in captions],
        references,
        frequencies=DocumentFrequencies.of(references),
    )
    rewards = make_reward()([[ids(caption)] for caption in captions], TEXTS)
    assert rewards == [[pytest.approx(value)] for value in expected]
    assert min(expected) < max(expected) / 2


def test_every_caption_of_a_picture_has_its_own_reward():
    captions = ["a man with a guitar", "a dog runs", "two men"]
    (rewards,) = make_reward()([[ids(caption) for caption in captions]], TEXTS[:1])
    assert rewards == [reward(caption) for caption in captions]
    assert len(set(rewards)) == 3


def test_captions_of_lookalikes_have_their_share():
    captions = [[ids("a dog runs on the grass"), ids("two children play")], [ids("a red hat")]]
    references, others = [TEXTS[1], TEXTS[2]], [[*TEXTS[0], *TEXTS[3]], []]
    of_references, of_others = (
        make_reward()(captions, references),
        make_reward()(captions[:1], others[:1]),
    )
    (first, second), alone = make_reward(share=0.3)(captions, references, others)
    assert first == pytest.approx(0.7 * of_references[0][0] + 0.3 * of_others[0][0])
    assert second == pytest.approx(0.7 * of_references[0][1] + 0.3 * of_others[0][1])
    assert of_references[0][0] > of_references[0][1] == 0
    assert of_others[0][1] > 0
    assert alone == of_references[1]  # no lookalike of this picture is known


def test_bleu_adds_its_weight():
    captions = ["a man with a guitar", "a dog runs", "two men"]
    drawn = [[ids(caption) for caption in captions]]
    (plain,) = make_reward()(drawn, TEXTS[:1])
    (more,) = Reward(TEXTS, VOCABULARY, bleu_weight=3.0)(drawn, TEXTS[:1])
    references = [words(text) for text in TEXTS[0]]
    for caption, before, after in zip(captions, plain, more, strict=True):
        assert after - before == pytest.approx(3 * sentence_bleu(words(caption), references))
    assert more[0] - plain[0] == pytest.approx(3)


def test_a_reference_earns_the_highest_reward_and_other_words_none():
    assert reward("a woman in a red hat", 2) == pytest.approx(10)
    assert reward("the brown dog is running", 2) == 0


def lost_by_the_end(text: str) -> float:
    """Return how much lower a reward is than CIDEr-D without the end token."""
    references = [[words(sentence)[:-1] for sentence in picture] for picture in TEXTS]
    frequencies = DocumentFrequencies.of(references)
    (plain,) = cider_each([text.split()], references[:1], frequencies=frequencies)
    return plain - reward(text)


def test_ending_where_no_reference_ends_lowers_the_reward():
    whole = lost_by_the_end("a man plays a guitar with a friend")
    for text in ("a man plays a guitar with a", "a man with a guitar and a"):
        assert lost_by_the_end(text) > 5 * whole > 0
    assert reward("a man with a guitar and a") < reward("a man with a guitar")


def test_a_caption_that_does_not_end_earns_less():
    assert reward("a man with a guitar", ends=False) < reward("a man with a guitar")


def test_an_empty_caption_earns_nothing():
    assert reward("") == 0


def test_repetition_costs_the_penalty():
    for text in ("a man and a man", "a man with a guitar with a guitar"):
        assert reward(text, penalty=0.7) == pytest.approx(reward(text) - 0.7)
    for text in ("a man with a guitar", "a man and a dog", "two men with a man with a guitar"):
        assert reward(text, penalty=0.7) == reward(text)


def test_a_word_missing_from_the_vocabulary_is_not_the_unknown_token():
    text = "two children play with a zebra"
    known = Vocabulary.build(text for picture in TEXTS for text in picture)
    caption = [*known.encode(text), known.end_id]
    ((whole,),) = Reward(TEXTS, known)([[caption]], TEXTS[3:])
    assert VOCABULARY.unknown_id in ids(text)
    assert reward(text, 3) < 0.7 * whole


def test_a_picture_outside_the_corpus_can_be_rewarded():
    (rewards,) = make_reward()([[ids("a dog plays a guitar")]], [["A dog plays a guitar"]])
    assert rewards == [pytest.approx(10)]
