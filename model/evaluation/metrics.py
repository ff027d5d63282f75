"""All scores of a set of captions at once, from raw text.

Knows which tokenizer and which METEOR were used; knows nothing of pictures or models.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from model.evaluation.bleu import bleu
from model.evaluation.cider import DocumentFrequencies, cider_each
from model.evaluation.meteor import meteor
from model.evaluation.ngrams import check_pairs
from model.evaluation.rouge import rouge_l
from model.evaluation.tokenizer import tokenize

__all__ = ["Scorer", "Scores"]


@dataclass(frozen=True)
class Scores:
    """Scores of a corpus on coco-caption's scales: CIDEr 0 to 10, all others 0 to 1.

    `cider` is CIDEr-D, which coco-caption calls CIDEr. `meteor` is None where Java or
    pycocoevalcap is missing. `tokenizer` names the one that cut all captions into words.
    """

    bleu_1: float
    bleu_2: float
    bleu_3: float
    bleu_4: float
    rouge_l: float
    cider: float
    meteor: float | None
    tokenizer: str


class Scorer:
    """Scores captions against the same references, as often as wanted.

    Args:
        references: one or more raw sentences for each picture.
        java: whether to use Stanford's tokenizer and METEOR; None means "where they are there".

    Raises:
        ValueError: there are no references, or a picture has none.
        JavaError: `java` is True and Java is missing, or Java failed.
    """

    def __init__(self, references: Sequence[Sequence[str]], *, java: bool | None = None) -> None:
        check_pairs(references, references)
        self._java = java
        cut = tokenize([caption for captions in references for caption in captions], java=java)
        words = iter(cut.captions)
        self._references = [[next(words) for _ in captions] for captions in references]
        self._frequencies = DocumentFrequencies.of(self._references)

    def score(self, hypotheses: Sequence[str]) -> Scores:
        """Every score of one raw caption for each picture.

        Raises:
            ValueError: there are not as many captions as pictures.
            JavaError: Java failed.
        """
        check_pairs(hypotheses, self._references)
        cut = tokenize(hypotheses, java=self._java)
        each = self._cider_each(cut.captions)
        bleu_1, bleu_2, bleu_3, bleu_4 = bleu(cut.captions, self._references)
        return Scores(
            bleu_1=bleu_1,
            bleu_2=bleu_2,
            bleu_3=bleu_3,
            bleu_4=bleu_4,
            rouge_l=rouge_l(cut.captions, self._references),
            cider=sum(each) / len(each),
            meteor=meteor(cut.captions, self._references, java=self._java),
            tokenizer=cut.tokenizer,
        )

    def cider_each(self, hypotheses: Sequence[str]) -> list[float]:
        """CIDEr of each picture's raw caption, 0 to 10.

        Raises:
            ValueError: there are not as many captions as pictures.
            JavaError: Java failed.
        """
        return self._cider_each(tokenize(hypotheses, java=self._java).captions)

    def cider_of_references(self) -> list[float]:
        """CIDEr of each reference against the others of its picture, 0 to 10.

        A picture's only reference has no others, and is left out.
        """
        several = [captions for captions in self._references if len(captions) > 1]
        return (
            cider_each(
                [caption for captions in several for caption in captions],
                [
                    captions[:place] + captions[place + 1 :]
                    for captions in several
                    for place in range(len(captions))
                ],
                frequencies=self._frequencies,
            )
            if several
            else []
        )

    def _cider_each(self, hypotheses: Sequence[Sequence[str]]) -> list[float]:
        return cider_each(hypotheses, self._references, frequencies=self._frequencies)
