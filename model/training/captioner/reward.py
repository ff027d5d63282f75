"""The reward of a drawn caption: CIDEr-D, and BLEU-4, against the sentences about its picture."""

from collections.abc import Iterable, Sequence

from model.evaluation.bleu import sentence_bleu
from model.evaluation.cider import Cider, DocumentFrequencies, TfIdf
from model.evaluation.diversity import repeats
from model.vocabulary import END, Vocabulary, split

__all__ = ["Reward"]


class Reward:
    """CIDEr-D of captions, plus BLEU-4, minus a penalty for those that repeat themselves.

    The end token counts as a word of captions and references, and so is in their n-grams. Without
    it captions learn to stop at "with a", whose n-grams are those of good captions; Rennie et al.
    2017 found it crucial. A caption that does not end lacks the references' last n-grams, and is
    rewarded less.

    Words are split as the vocabulary splits them. A word of a reference that the vocabulary lacks
    is kept as it is: no caption can have it, so none is rewarded for an unknown word.

    A network soon knows its training pictures by heart, and is then rewarded for what it could
    never tell about a new one. Resembling the sentences about pictures that look alike may have a
    share of the reward: it pays to say what such pictures have in common, as one does when unsure.
    (Devlin et al. 2015, "Exploring Nearest Neighbor Approaches for Image Captioning", choose among
    the sentences of such pictures the one that is most similar to all others.)

    Args:
        texts: the sentences about each training picture; document frequencies are theirs.
        vocabulary: turns ids into words.
        repetition_penalty: is subtracted if a caption repeats itself (see
            `model.evaluation.diversity.repeats`), on the scale of CIDEr, 0 to 10.
        bleu_weight: what a sentence's BLEU-4 of 1 adds, on the scale of CIDEr, 0 to 10.
        lookalike_share: the share of the similarity to sentences about pictures that look alike,
            if there are any; the rest is the similarity to the sentences about the picture.
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
        """Compute the rewards of some captions of each picture.

        Args:
            captions: ids of each caption of each picture, with the end token if it ends.
            texts: the sentences about each picture.
            lookalikes: the sentences about the pictures that look like each, if any are known.

        Returns:
            For each picture and caption the reward: 0 to 10, plus BLEU's share, minus the penalty.
        """
        rewards = []
        others = lookalikes or [()] * len(texts)
        for drawn, sentences, similar in zip(captions, texts, others, strict=True):
            # Not cached: the vectors of all training captions would take hundreds of MB.
            references = self._references(sentences)
            vectors = [self._cider.vector(tokens) for tokens in references]
            alike = [self._cider.vector(tokens) for tokens in self._references(similar)]
            rewards.append([self._reward(ids, references, vectors, alike) for ids in drawn])
        return rewards

    def _reward(
        self,
        ids: Sequence[int],
        references: Sequence[Sequence[str]],
        vectors: list[TfIdf],
        alike: list[TfIdf],
    ) -> float:
        tokens = [self._vocabulary.tokens[i] for i in ids]
        vector = self._cider.vector(tokens)
        reward = self._cider.similarity(vector, vectors)
        if alike:
            reward += self._share * (self._cider.similarity(vector, alike) - reward)
        if self._bleu_weight > 0:
            reward += self._bleu_weight * sentence_bleu(tokens, references)
        return reward - self._penalty * repeats(tokens)

    def _references(self, sentences: Sequence[str]) -> list[list[str]]:
        return [[*split(sentence, self._vocabulary.level), END] for sentence in sentences]
