"""A corpus of a few hundred pictures, made the same at every run, with every edge a metric has."""

import random
from typing import NamedTuple

import pytest

WHO = ["a man", "two men", "the young girl", "a brown dog", "some people", "a woman 's child"]
LOOK = ["in a red shirt", "with a ball", "wearing a t-shirt", "and a dog", "", "in black and white"]
DOES = ["is running", "jumps", "stand", "is n't looking", "plays with a toy", "rides a bike"]
WHERE = ["on the beach", "in the snow", "near a fence", "over the water", "down a street", ""]

Tokens = list[str]


class Corpus(NamedTuple):
    hypotheses: list[Tokens]
    references: list[list[Tokens]]

    def for_coco(self):
        """The dictionaries that coco-caption takes: references first."""
        references = {
            index: [" ".join(caption) for caption in captions]
            for index, captions in enumerate(self.references)
        }
        return references, {
            index: [" ".join(tokens)] for index, tokens in enumerate(self.hypotheses)
        }


@pytest.fixture(scope="session")
def corpus() -> Corpus:
    source = random.Random(2014)

    def sentence() -> Tokens:
        return " ".join(source.choice(part) for part in (WHO, LOOK, DOES, WHERE)).split()

    references = [[sentence() for _ in range(1 + index % 6)] for index in range(360)]
    hypotheses = [sentence() for _ in references]
    for index, captions in enumerate(references):
        match index % 12:
            case 0:
                hypotheses[index] = []
            case 1:
                hypotheses[index] = ["dog"]
            case 2:
                hypotheses[index] = ["a", "dog", "a", "dog", "a", "dog", "a", "dog"]
            case 3:
                hypotheses[index] = sentence() + sentence() + sentence() + sentence()
            case 4:
                hypotheses[index] = list(captions[-1])
            case 5:
                hypotheses[index] = ["zebra", "quokka", "axolotl", "okapi", "narwhal"]
            case 6:
                captions[0] = ["jumps"]
    return Corpus(hypotheses, references)
