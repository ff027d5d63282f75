"""What a drawn caption is worth: CIDEr-D against all that people said of its picture.

Knows words and sentences; knows nothing of pictures, networks or how captions were drawn.
"""

from collections.abc import Iterable, Sequence

from model.evaluation.cider import Cider, DocumentFrequencies, TfIdf
from model.evaluation.diversity import repeats
from model.vocabulary import END, Vocabulary, split

__all__ = ["Reward"]


class Reward:
    """CIDEr-D of captions, less a penalty for those that say something twice.

    The end token is a word of captions and references alike, and so of their n-grams. Without it
    captions learn to stop at "with a", whose n-grams are those of good captions; Rennie et al.
    2017 found it crucial. A caption that does not end lacks the n-grams in which the references
    end, and loses their worth.

    Words are cut as the vocabulary cuts them. A word of a reference that the vocabulary lacks
    stays itself: no caption can say it, and none is rewarded for an unknown word.

    Args:
        texts: the sentences about each training picture; document frequencies are theirs.
        vocabulary: turns ids into words.
        repetition_penalty: is taken off where a caption repeats itself (see
            `model.evaluation.diversity.repeats`), on the scale of CIDEr, 0 to 10.
    """

    def __init__(
        self,
        texts: Iterable[Sequence[str]],
        vocabulary: Vocabulary,
        *,
        repetition_penalty: float = 0.0,
    ) -> None:
        self._vocabulary = vocabulary
        self._penalty = repetition_penalty
        self._cider = Cider(DocumentFrequencies.of(map(self._references, texts)))

    def __call__(
        self, captions: Sequence[Sequence[Sequence[int]]], texts: Sequence[Sequence[str]]
    ) -> list[list[float]]:
        """Reward some captions of each picture.

        Args:
            captions: ids of each caption of each picture, the end token last where it ends.
            texts: the sentences about each picture.

        Returns:
            For each picture, one reward a caption: 0 to 10, less the penalty.
        """
        rewards = []
        for drawn, sentences in zip(captions, texts, strict=True):
            # Made anew each time: the vectors of all training captions would take hundreds of MB.
            references = [self._cider.vector(tokens) for tokens in self._references(sentences)]
            rewards.append([self._reward(ids, references) for ids in drawn])
        return rewards

    def _reward(self, ids: Sequence[int], references: Sequence[TfIdf]) -> float:
        tokens = [self._vocabulary.tokens[i] for i in ids]
        worth = self._cider.similarity(self._cider.vector(tokens), references)
        return worth - self._penalty * repeats(tokens)

    def _references(self, sentences: Sequence[str]) -> list[list[str]]:
        return [[*split(sentence, self._vocabulary.level), END] for sentence in sentences]
