"""Sentences are found by their words and chosen by the captioner; excluded ones never are."""

import pytest
import torch
from PIL import Image

from model.captioning.captioner import Captioner
from model.captioning.scoring import score_tokens
from model.training.captioner.pairing import Matcher, SentenceIndex
from tests.tiny import tiny_captioner

SENTENCES = [
    "A brown dog runs through the grass.",
    "a brown dog runs through the GRASS",
    "Two brown dogs run through the snow",
    "A dog jumps over a log in the woods",
    "A man rides a wave on a surfboard",
    "dog",
    "A plate of food",
    "A very long sentence " + "about a dog and a dog " * 4,
]


def test_the_index_has_each_sentence_of_suitable_length_once():
    assert SentenceIndex(SENTENCES).sentences == [
        "a brown dog runs through the grass",
        "two brown dogs run through the snow",
        "a dog jumps over a log in the woods",
        "a man rides a wave on a surfboard",
    ]


def test_the_most_similar_sentences_come_first():
    found = SentenceIndex(SENTENCES).search(["Two brown dogs running through the snow"], 3)
    assert found[0].sentence == "two brown dogs run through the snow"
    assert found[1].sentence == "a brown dog runs through the grass"
    assert 1 > found[0].similarity > found[1].similarity > found[2].similarity > 0


def test_similarity_is_the_cosine_with_the_mean_of_the_captions():
    corpus = SentenceIndex(SENTENCES)
    (same, *_) = corpus.search(["a man rides a wave on the surfboard"], 1)
    (half, *_) = corpus.search(["a man rides a wave on the surfboard", "unknown words alone"], 1)
    assert half.similarity == pytest.approx(
        same.similarity
    )  # what nobody knows changes no direction


def test_the_pictures_own_captions_are_not_found():
    found = SentenceIndex(SENTENCES).search(["A brown dog runs through the grass ."], 4)
    assert "a brown dog runs through the grass" not in [one.sentence for one in found]
    assert len(found) == 3


def test_excluded_sentences_are_not_found_in_any_spelling():
    corpus = SentenceIndex(SENTENCES, without=["A MAN rides a wave on a surfboard."])
    assert "a man rides a wave on a surfboard" not in corpus.sentences
    assert len(corpus.sentences) == 3


def test_a_corpus_without_sentences_is_refused():
    with pytest.raises(ValueError, match="no line with a sentence of 5 to 18 words"):
        SentenceIndex(["dog", "cat"])


def make_matcher(candidates: int = 36) -> tuple[Matcher, Captioner]:
    captioner = tiny_captioner()
    words = captioner.vocabulary.tokens[4:]
    sentences = [" ".join(words[(i + j * j) % len(words)] for j in range(5)) for i in range(30)]
    grid = captioner.encode(captioner.prepare([Image.new("RGB", (32, 32), "gray")]))
    with torch.inference_mode():
        picture = captioner.network.decoder.encode_context(grid)
    mean = picture.map(lambda part: 0.5 * part.numpy())  # as a file holds it, on no device
    return Matcher(captioner, mean, SentenceIndex(sentences), candidates), captioner


def test_a_matcher_chooses_the_candidates_with_the_highest_scores():
    matcher, captioner = make_matcher(candidates=8)
    words = captioner.vocabulary.tokens
    picture, captions = Image.new("RGB", (48, 32), "green"), [" ".join(words[4:8])]
    chosen = matcher(picture, captions, 3)

    decoder = captioner.network.decoder
    with torch.inference_mode():
        seen = decoder.encode_context(captioner.encode(captioner.prepare([picture])))
        scores = {}
        for sentence, similarity in matcher._corpus.search(captions, 8):
            ids = [*captioner.vocabulary.encode(sentence), captioner.vocabulary.end_id]
            (logprobs,), (usual,) = (
                score_tokens(decoder, one, [ids]) for one in (seen, matcher._mean_context)
            )
            likely = sum(logprobs) / len(ids)
            image_gain = (sum(logprobs) - sum(usual)) / len(ids)
            scores[sentence] = likely + image_gain + 2 * similarity
    assert chosen == sorted(scores, key=scores.__getitem__, reverse=True)[:3]


def test_a_matcher_returns_fewer_sentences_if_there_are_no_more():
    matcher, captioner = make_matcher(candidates=2)
    captions = [" ".join(captioner.vocabulary.tokens[4:9])]
    assert len(matcher(Image.new("RGB", (32, 32)), captions, 5)) == 2
