"""Sentences from a corpus without pictures, paired with pictures that they are true of.

A picture with one caption teaches one way to describe it. Of the sentences in a corpus that
resemble what people said of a picture, a captioner chooses those that it finds likely for it, and
likelier than for any picture. Knows sentences, pictures and a captioner; knows nothing of files.
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

# Shorter ones say nothing, longer ones say something untrue.
_FEWEST_WORDS, _MOST_WORDS = 5, 18

# How much a unit of likeness, 0 to 1, counts beside a nat a token. Chosen on validation pictures,
# see docs/recipes.md.
_LIKENESS = 2.0


class Candidate(NamedTuple):
    """A sentence of the corpus, and its cosine with a picture's captions."""

    sentence: str
    likeness: float


class SentenceIndex:
    """Sentences that can be found by their words and pairs of words (TF-IDF).

    Args:
        sentences: as people typed them.
        without: sentences that must not be found, those of pictures to validate on.
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
                f"the corpus has no sentence of {_FEWEST_WORDS} to {_MOST_WORDS} words, one a line"
            )
        self._vectorizer = TfidfVectorizer(analyzer=_words_and_pairs)
        self._vectors = self._vectorizer.fit_transform(self.sentences)

    def like(self, captions: Sequence[str], count: int) -> list[Candidate]:
        """Find the sentences most like some captions, but none of these; the likest first."""
        own = {_plain(caption) for caption in captions}
        query = self._vectorizer.transform(captions).mean(axis=0)
        query = np.asarray(query / max(np.linalg.norm(query), 1e-9)).ravel()
        likeness = self._vectors @ query  # (sentences,)
        places = np.argsort(-likeness, kind="stable")[: count + len(own)]
        candidates = [Candidate(self.sentences[i], float(likeness[i])) for i in places]
        return [one for one in candidates if one.sentence not in own][:count]


class Matcher:
    """Chooses sentences for pictures.

    A sentence s of n tokens is worth

        log p(s | picture) / n + log(p(s | picture) / p(s | mean picture)) / n + 2 likeness

    The first term prefers what people would say, the second what this picture shows.

    Args:
        captioner: judges what fits a picture.
        mean_context: see `model.captioning.image_gain`.
        corpus: where sentences are found.
        candidates: how many are judged of each picture.
    """

    def __init__(
        self,
        captioner: Captioner,
        mean_context: ImageContext,
        corpus: SentenceIndex,
        candidates: int = 36,
    ) -> None:
        self._captioner = captioner
        self._mean_picture = mean_context
        self._corpus = corpus
        self._candidates = candidates

    @torch.inference_mode()
    def __call__(self, picture: Image.Image, captions: Sequence[str], count: int) -> list[str]:
        """Give the sentences that are worth most, the best first; fewer where there are no more.

        Args:
            picture: RGB.
            captions: what people said of it.
            count: of the sentences to choose.
        """
        candidates = self._corpus.like(captions, self._candidates)
        decoder, vocabulary = self._captioner.network.decoder, self._captioner.vocabulary
        grid = self._captioner.encode(self._captioner.prepare([picture]))
        ids = [[*vocabulary.encode(one.sentence), vocabulary.end_id] for one in candidates]
        logprobs, _ = score_tokens(decoder, decoder.encode_context(grid), ids)
        gains = image_gain(decoder, self._mean_picture, ids, logprobs)
        worth = [
            (sum(own) + sum(nats)) / len(own) + _LIKENESS * one.likeness
            for own, nats, one in zip(logprobs, gains, candidates, strict=True)
        ]
        best = sorted(range(len(candidates)), key=lambda i: -worth[i])[:count]
        return [candidates[i].sentence for i in best]


def _plain(sentence: str) -> str:
    return " ".join(split(sentence, "word"))


def _words_and_pairs(sentence: str) -> list[str]:
    words = split(sentence, "word")
    return words + [f"{first} {second}" for first, second in pairwise(words)]
