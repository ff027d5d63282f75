"""Which captions are good: those that are as near to people's captions as most of people's own.

CIDEr's numbers are of no use by themselves: they depend on the set, its n-grams and how varied
people's words are (on Flickr8k people reach 0.84 against each other, on COCO 0.97). So what a
caption must reach is a quantile of what people's captions reach on the same set, each against the
others of its picture. Knows text only.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

import torch

from model.evaluation.metrics import Scorer

__all__ = ["LEVEL", "Judge", "TooFewCaptions"]

# Four in ten of people's captions lie below it: a CIDEr-D of 0.53 on Flickr8k, of 0.69 on coco4k.
LEVEL = 0.4

_FEWEST = 30


class TooFewCaptions(ValueError):
    """People said too little of these pictures to tell what a good caption is."""


@dataclass(frozen=True)
class Judge:
    """Tells good captions of one set of pictures.

    `cider` is the CIDEr-D that a good caption reaches, on coco-caption's scale of 0 to 10, with
    the document frequencies of the references.
    """

    scorer: Scorer
    cider: float

    @classmethod
    def at(cls, level: float, scorer: Scorer) -> Self:
        """Find what a good caption must reach.

        Args:
            level: the share of people's captions that do not reach it, 0 to 1.
            scorer: of the set.

        Raises:
            TooFewCaptions: too few pictures have two captions or more.
        """
        reached = scorer.cider_of_references()
        if len(reached) < _FEWEST:
            raise TooFewCaptions(
                f"only {len(reached)} captions of people can be compared with another of the same "
                f"picture, and {_FEWEST} are needed to say what a good caption is: give more "
                "pictures with two captions or more"
            )
        return cls(scorer, float(torch.tensor(reached, dtype=torch.float64).quantile(level)))

    def __call__(self, captions: Sequence[str]) -> list[bool]:
        """Say of one raw caption for each picture whether it is good.

        Raises:
            ValueError: there are not as many captions as pictures.
        """
        return [cider >= self.cider for cider in self.scorer.cider_each(captions)]
