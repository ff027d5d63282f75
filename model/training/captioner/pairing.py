"""Pair pictures with sentences, from a corpus without pictures, that describe them.

A picture with one caption teaches one way to describe it. From the sentences in a corpus that
resemble a picture's captions, a captioner chooses those that it finds likely for this picture, and
likelier than for any other.
"""

from collections.abc import Iterable, Sequence
from itertools import pairwise
from typing import NamedTuple

import numpy as np
import torch
from PIL import Image
from sklearn.feature_extraction.text import TfidfVectorizer

from model.captioning.captioner import Captioner
from model.captioning.image_gain import image_gain
from model.captioning.scoring import score_tokens
from model.networks.image_context import ImageContext
from model.vocabulary import split

__all__ = ["Candidate", "Matcher", "SentenceIndex"]

# Shorter ones say too little, longer ones say something untrue.
_FEWEST_WORDS, _MOST_WORDS = 5, 18

# How much a similarity of 1 counts, in nats per token. Chosen on validation pictures, see
# docs/recipes.md.
_SIMILARITY_WEIGHT = 2.0


class Candidate(NamedTuple):
    """A sentence of the corpus, and its cosine with a picture's captions."""

    sentence: str
    similarity: float


class SentenceIndex:
    """An index of sentences by their words and pairs of words (TF-IDF).

    Args:
        sentences: as people typed them.
        without: sentences to leave out, such as those about pictures to validate on.

    Raises:
        ValueError: no sentence has a suitable length.
    """

    def __init__(self, sentences: Iterable[str], without: Iterable[str] = ()) -> None:
        excluded = {_plain(sentence) for sentence in without}
        plain = dict.fromkeys(map(_plain, sentences))
        self.sentences = [
            sentence
            for sentence in plain
            if _FEWEST_WORDS <= sentence.count(" ") + 1 <= _MOST_WORDS and sentence not in excluded
        ]
        if not self.sentences:
            raise ValueError(
                f"the corpus has no line with a sentence of {_FEWEST_WORDS} to {_MOST_WORDS} words"
            )
        self._vectorizer = TfidfVectorizer(analyzer=_words_and_pairs)
        self._vectors = self._vectorizer.fit_transform(self.sentences)

    def search(self, captions: Sequence[str], count: int) -> list[Candidate]:
        """Find the sentences most similar to some captions, without these, the best first."""
        known = {_plain(caption) for caption in captions}
        query = self._vectorizer.transform(captions).mean(axis=0)
        query = np.asarray(query / max(np.linalg.norm(query), 1e-9)).ravel()
        similarity = self._vectors @ query  # (sentences,)
        nearest = np.argsort(-similarity, kind="stable")[: count + len(known)]
        candidates = [Candidate(self.sentences[i], float(similarity[i])) for i in nearest]
        return [c for c in candidates if c.sentence not in known][:count]


class Matcher:
    """Chooses sentences for pictures.

    The score of a sentence s of n tokens is

        log p(s | picture) / n + log(p(s | picture) / p(s | mean picture)) / n + 2 similarity

    The first term prefers what people would say, the second what this picture shows.

    Args:
        captioner: computes the probabilities.
        mean_context: see `model.captioning.image_gain`.
        corpus: the sentences to choose from.
        candidates: how many are scored for each picture.
    """

    def __init__(
        self,
        captioner: Captioner,
        mean_context: ImageContext,
        corpus: SentenceIndex,
        candidates: int = 36,
    ) -> None:
        self._captioner = captioner
        self._mean_context = mean_context.map(captioner.runner.place)
        self._corpus = corpus
        self._candidates = candidates

    @torch.inference_mode()
    def __call__(self, picture: Image.Image, captions: Sequence[str], count: int) -> list[str]:
        """Return the sentences with the highest scores, the best first.

        Args:
            picture: RGB.
            captions: of the picture.
            count: how many sentences to choose; there may be fewer.
        """
        candidates = self._corpus.search(captions, self._candidates)
        decoder, vocabulary = self._captioner.network.decoder, self._captioner.vocabulary
        grid = self._captioner.encode(self._captioner.prepare([picture]))
        ids = [[*vocabulary.encode(c.sentence), vocabulary.end_id] for c in candidates]
        logprobs = score_tokens(decoder, decoder.encode_context(grid), ids)
        gains = image_gain(decoder, self._mean_context, ids, logprobs)
        scores = [
            (sum(token_logprobs) + sum(token_gains)) / len(token_logprobs)
            + _SIMILARITY_WEIGHT * candidate.similarity
            for token_logprobs, token_gains, candidate in zip(
                logprobs, gains, candidates, strict=True
            )
        ]
        best = sorted(range(len(candidates)), key=lambda i: -scores[i])[:count]
        return [candidates[i].sentence for i in best]


def _plain(sentence: str) -> str:
    return " ".join(split(sentence, "word"))


def _words_and_pairs(sentence: str) -> list[str]:
    words = split(sentence, "word")
    return words + [f"{first} {second}" for first, second in pairwise(words)]
