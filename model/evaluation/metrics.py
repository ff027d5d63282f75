"""Compute all scores of a set of captions at once, from raw text."""

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
    pycocoevalcap is missing. `tokenizer` names the tokenizer of all captions.
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
    """Scores of captions against the same references, for any number of sets.

    Args:
        references: one or more raw sentences for each picture.
        java: whether to use Stanford's tokenizer and METEOR; None uses them if installed.

    Raises:
        ValueError: there are no references, or a picture has none.
        JavaError: `java` is True and Java is missing, or Java failed.
    """

    def __init__(self, references: Sequence[Sequence[str]], *, java: bool | None = None) -> None:
        check_pairs(references, references)
        self._java = java
        tokenized = tokenize(
            [caption for captions in references for caption in captions], java=java
        )
        words = iter(tokenized.captions)
        self._references = [[next(words) for _ in captions] for captions in references]
        self._frequencies = DocumentFrequencies.of(self._references)

    def score(self, hypotheses: Sequence[str]) -> Scores:
        """Compute every score of one raw caption for each picture.

        Raises:
            ValueError: there are not as many captions as pictures.
            JavaError: Java failed.
        """
        check_pairs(hypotheses, self._references)
        tokenized = tokenize(hypotheses, java=self._java)
        each = self._cider_each(tokenized.captions)
        bleu_1, bleu_2, bleu_3, bleu_4 = bleu(tokenized.captions, self._references)
        return Scores(
            bleu_1=bleu_1,
            bleu_2=bleu_2,
            bleu_3=bleu_3,
            bleu_4=bleu_4,
            rouge_l=rouge_l(tokenized.captions, self._references),
            cider=sum(each) / len(each),
            meteor=meteor(tokenized.captions, self._references, java=self._java),
            tokenizer=tokenized.tokenizer,
        )

    def cider_each(self, hypotheses: Sequence[str]) -> list[float]:
        """Return the CIDEr-D of each picture's raw caption, 0 to 10.

        Raises:
            ValueError: there are not as many captions as pictures.
            JavaError: Java failed.
        """
        return self._cider_each(tokenize(hypotheses, java=self._java).captions)

    def cider_of_references(self) -> list[float]:
        """Return the CIDEr-D of each reference against the others of its picture, 0 to 10.

        Pictures with a single reference are left out.
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
