"""Decide which captions are good: those as close to people's captions as most of people's own.

A CIDEr score means little by itself: it depends on the data set, its n-grams and how varied
people's words are (on Flickr8k people score 0.84 against each other, on COCO 0.97). So the
threshold is a quantile of what people's captions score on the same set, each against the others of
its picture.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

import torch

from model.evaluation.metrics import Scorer

__all__ = ["LEVEL", "Judge", "TooFewCaptions"]

# Four in ten of people's captions score lower: a CIDEr-D of 0.53 on Flickr8k, of 0.69 on coco4k.
LEVEL = 0.4

_FEWEST = 30


class TooFewCaptions(ValueError):
    """Too few pictures have several references to tell what a good caption is."""


@dataclass(frozen=True)
class Judge:
    """Separates good captions from bad ones, on one set of pictures.

    `cider` is the CIDEr-D from which a caption is good, on coco-caption's scale of 0 to 10, with
    the document frequencies of the references.
    """

    scorer: Scorer
    cider: float

    @classmethod
    def at(cls, level: float, scorer: Scorer) -> Self:
        """Set the threshold at a quantile of what people's captions score.

        Args:
            level: the share of people's captions that score below the threshold, 0 to 1.
            scorer: of the set.

        Raises:
            TooFewCaptions: too few pictures have two or more captions.
        """
        scores = scorer.cider_of_references()
        if len(scores) < _FEWEST:
            raise TooFewCaptions(
                f"only {len(scores)} reference captions can be compared with another of the same "
                f"picture, and {_FEWEST} are needed to say what a good caption is: give more "
                "pictures with two or more captions"
            )
        return cls(scorer, float(torch.tensor(scores, dtype=torch.float64).quantile(level)))

    def __call__(self, captions: Sequence[str]) -> list[bool]:
        """Return whether each caption is good, one raw caption for each picture.

        Raises:
            ValueError: there are not as many captions as pictures.
        """
        return [cider >= self.cider for cider in self.scorer.cider_each(captions)]
