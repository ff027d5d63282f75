"""What a drawn caption is worth: CIDEr-D, and BLEU-4, against what people said of its picture.

Knows words and sentences; knows nothing of pictures, networks or how captions were drawn.
"""

from collections.abc import Iterable, Sequence

from model.evaluation.bleu import sentence_bleu
from model.evaluation.cider import Cider, DocumentFrequencies, TfIdf
from model.evaluation.diversity import repeats
from model.vocabulary import END, Vocabulary, split

__all__ = ["Reward"]


class Reward:
    """CIDEr-D of captions, and BLEU-4, less a penalty for those that say something twice.

    The end token is a word of captions and references alike, and so of their n-grams. Without it
    captions learn to stop at "with a", whose n-grams are those of good captions; Rennie et al.
    2017 found it crucial. A caption that does not end lacks the n-grams in which the references
    end, and loses their worth.

    Words are cut as the vocabulary cuts them. A word of a reference that the vocabulary lacks
    stays itself: no caption can say it, and none is rewarded for an unknown word.

    A network soon knows its training pictures by heart, and is then rewarded for what it could
    never tell of a new one. What people said of pictures that look alike may have a share of the
    reward: it is worth something to say what such pictures have in common, as one does who is
    unsure. (Devlin et al. 2015, "Exploring Nearest Neighbor Approaches for Image Captioning",
    choose among the sentences of such pictures the one that is most like all.)

    Args:
        texts: the sentences about each training picture; document frequencies are theirs.
        vocabulary: turns ids into words.
        repetition_penalty: is taken off where a caption repeats itself (see
            `model.evaluation.diversity.repeats`), on the scale of CIDEr, 0 to 10.
        bleu_weight: what a sentence's BLEU-4 of 1 adds, on the scale of CIDEr, 0 to 10.
        lookalike_share: of the likeness to sentences about pictures that look alike, where there
            are any; the rest is that of the likeness to the picture's own.
    """

    def __init__(
        self,
        texts: Iterable[Sequence[str]],
        vocabulary: Vocabulary,
        *,
        repetition_penalty: float = 0.0,
        bleu_weight: float = 0.0,
        lookalike_share: float = 0.0,
    ) -> None:
        self._vocabulary = vocabulary
        self._penalty = repetition_penalty
        self._bleu_weight = bleu_weight
        self._share = lookalike_share
        self._cider = Cider(DocumentFrequencies.of(map(self._references, texts)))

    def __call__(
        self,
        captions: Sequence[Sequence[Sequence[int]]],
        texts: Sequence[Sequence[str]],
        lookalikes: Sequence[Sequence[str]] = (),
    ) -> list[list[float]]:
        """Reward some captions of each picture.

        Args:
            captions: ids of each caption of each picture, the end token last where it ends.
            texts: the sentences about each picture.
            lookalikes: the sentences about the pictures that look like each; none where none are
                known.

        Returns:
            For each picture, one reward a caption: 0 to 10, and what BLEU adds, less the penalty.
        """
        rewards = []
        others = lookalikes or [()] * len(texts)
        for drawn, sentences, similar in zip(captions, texts, others, strict=True):
            # Made anew each time: the vectors of all training captions would take hundreds of MB.
            references = self._references(sentences)
            own = [self._cider.vector(tokens) for tokens in references]
            alike = [self._cider.vector(tokens) for tokens in self._references(similar)]
            rewards.append([self._reward(ids, references, own, alike) for ids in drawn])
        return rewards

    def _reward(
        self,
        ids: Sequence[int],
        references: Sequence[Sequence[str]],
        own: list[TfIdf],
        alike: list[TfIdf],
    ) -> float:
        tokens = [self._vocabulary.tokens[i] for i in ids]
        vector = self._cider.vector(tokens)
        worth = self._cider.similarity(vector, own)
        if alike:
            worth += self._share * (self._cider.similarity(vector, alike) - worth)
        if self._bleu_weight > 0:
            worth += self._bleu_weight * sentence_bleu(tokens, references)
        return worth - self._penalty * repeats(tokens)

    def _references(self, sentences: Sequence[str]) -> list[list[str]]:
        return [[*split(sentence, self._vocabulary.level), END] for sentence in sentences]
