"""Teach a captioner the names of what its CNN's classifier recognises, without training.

A table (`scripts/imagenet-words.toml`) says which words name which classes. How often people use a
word for a class is counted on the training pictures that belong to it. A word that the vocabulary
lacks is added: it is written like a word that captions do have, whose vector it copies (the direct
transfer of Hendricks et al. 2016, "Deep Compositional Captioning").
"""

import tomllib
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from model.captioning.captioner import Captioner
from model.config import DecoderConfig
from model.training.initial_weights import read_weights
from model.vocabulary import Vocabulary, split

__all__ = [
    "ClassWord",
    "classify",
    "count_rates",
    "name_classes",
    "new_words",
    "read_class_words",
    "read_classifier",
    "usual_log_odds",
]

# How often captions of a class's imaginary pictures say its words, and how many of them there are.
PRIOR_RATE, PRIOR_PICTURES = 0.5, 4.0

# Pictures that belong to a class less surely than this do not count for it.
_LEAST_SURE = 0.2

# A word is taken to be no rarer than this, however rare it is in captions: log-odds.
_RAREST = -9.0

# What the libraries call a CNN's last layer.
_CLASSIFIERS = ("classifier", "classifier.1", "fc", "head", "head.fc")


@dataclass(frozen=True)
class ClassWord:
    """A word that names classes.

    Attributes:
        word: one word, lower case.
        classes: indices of the classifier's classes, at least one.
        like: a word that captions use in the same way, for a word that the vocabulary lacks.
    """

    word: str
    classes: tuple[int, ...]
    like: str | None = None


def read_class_words(path: Path, classes: int) -> list[ClassWord]:
    """Read a table of words: `cat = [281, 282]`, or `lion = { classes = [291], like = "tiger" }`.

    Args:
        path: of a TOML file.
        classes: how many the classifier has.

    Raises:
        ValueError: it is no such table, or empty, or a class is out of range.
        FileNotFoundError: there is no such file.
    """
    try:
        table = tomllib.loads(path.read_text("utf-8"))
    except tomllib.TOMLDecodeError as error:
        raise ValueError(f"{path} is not TOML: {error}") from error
    if not table:
        raise ValueError(f"{path} names no class: give it lines such as cat = [281, 282]")
    return [_read_word(path, word, entry, classes) for word, entry in table.items()]


def _read_word(path: Path, word: str, entry: object, classes: int) -> ClassWord:
    fields: dict[str, Any] = entry if isinstance(entry, dict) else {"classes": entry}
    numbers, like = fields.get("classes"), fields.get("like")
    if unknown := fields.keys() - {"classes", "like"}:
        raise ValueError(f"{path}: {word} has classes and like, but no {min(unknown)}")
    if not isinstance(numbers, list) or not numbers or not all(type(n) is int for n in numbers):
        raise ValueError(f"{path}: {word} must be a list of classes, such as [281, 282]")
    for one in (word, like):
        if one is not None and (not isinstance(one, str) or split(one, "word") != [one]):
            raise ValueError(f"{path}: {one!r} is not one word in lower case")
    if out := [number for number in numbers if not 0 <= number < classes]:
        raise ValueError(f"{path}: {word} names class {out[0]}, but there are 0 to {classes - 1}")
    return ClassWord(word, tuple(numbers), like)


def usual_log_odds(words: Sequence[str], captions: Sequence[str]) -> Tensor:
    """Compute the log-odds that a caption of any picture says each word, -9 at least: (words,)."""
    counts = Counter(word for text in captions for word in set(split(text, "word")))
    rates = torch.tensor([(counts[word] + 0.5) / (len(captions) + 1) for word in words])
    return torch.logit(rates).clamp(min=_RAREST)


def count_rates(
    chances: Tensor, captions: Sequence[Sequence[str]], words: Sequence[ClassWord]
) -> Tensor:
    """Count how often captions of each class's pictures say the words that name it.

    A picture counts as much as it is likely to belong to the class. Every class begins with four
    imaginary pictures, half of whose captions say its words.

    Args:
        chances: of the classes of each training picture (pictures, classes).
        captions: of each picture.
        words: that name classes.

    Returns:
        The rates, 0 for words that do not name a class (classes, words).
    """
    sure = chances.masked_fill(chances < _LEAST_SURE, 0)
    place = {named.word: i for i, named in enumerate(words)}
    said = torch.zeros(len(captions), len(words))  # the share of the captions that say each
    for row, texts in enumerate(captions):
        for text in texts:
            for word in set(split(text, "word")) & place.keys():
                said[row, place[word]] += 1 / len(texts)
    names = torch.zeros(chances.shape[1], len(words))
    for named in words:
        names[list(named.classes), place[named.word]] = 1
    pictures = sure.sum(0)[:, None]  # (classes, 1)
    return names * (sure.T @ said + PRIOR_PICTURES * PRIOR_RATE) / (pictures + PRIOR_PICTURES)


def new_words(captioner: Captioner, words: Sequence[ClassWord]) -> list[ClassWord]:
    """Return the words that a captioner's vocabulary lacks.

    Raises:
        ValueError: the captioner cannot get names, or a new word is like none that it knows.
    """
    config, vocabulary = captioner.config.decoder, captioner.vocabulary
    if not config.detected_words or not config.tie_output or config.class_names:
        raise ValueError(
            "names need a captioner with detected_words and tie_output that has no names yet"
        )
    added = [named for named in words if named.word not in vocabulary]
    for named in added:
        if named.like is None or named.like not in vocabulary:
            raise ValueError(
                f"{named.word} is not in the vocabulary: give a word that is, as what it is like"
            )
    return added


def name_classes(
    captioner: Captioner,
    classifier: tuple[Tensor, Tensor],
    words: Sequence[ClassWord],
    chances: Tensor,
    captions: Sequence[Sequence[str]],
) -> tuple[DecoderConfig, dict[str, Tensor], Vocabulary]:
    """Let a captioner name classes.

    Args:
        captioner: with a word detector, an output that is tied to the embedding, and no names yet.
        classifier: weight (classes, channels) and bias (classes,) of the CNN's own.
        words: that name its classes.
        chances: of the classes of each training picture, see `classify` (pictures, classes).
        captions: of each training picture.

    Returns:
        The configuration of its decoder, the weights of its network, and its vocabulary.

    Raises:
        ValueError: see `new_words`.
    """
    added = new_words(captioner, words)
    vocabulary = Vocabulary([*captioner.vocabulary.tokens, *(named.word for named in added)])
    place = {token: i for i, token in enumerate(vocabulary.tokens)}
    texts = [text for several in captions for text in several]
    usual = usual_log_odds(vocabulary.tokens, texts)  # (vocabulary,)
    state = {name: tensor.cpu() for name, tensor in captioner.network.state_dict().items()}
    known = state["decoder.detector.usual"]
    first = vocabulary.unknown_id + 1
    usual[first : first + len(known)] = known.clamp(min=_RAREST)

    ids = torch.tensor([place[named.word] for named in words])
    new = torch.tensor([place[named.word] for named in added], dtype=torch.long)
    like = torch.tensor([place[named.like or ""] for named in added], dtype=torch.long)
    vectors, bias = state["decoder.embedding.weight"], state["decoder.output_bias"]
    rarer = (usual[new] - usual[like]).clamp(max=0)
    state |= {
        "decoder.embedding.weight": torch.cat([vectors, vectors[like]]),
        "decoder.output_bias": torch.cat([bias, bias[like] + rarer]),
        "decoder.class_names.classifier.weight": classifier[0],
        "decoder.class_names.classifier.bias": classifier[1],
        "decoder.class_names.rates": count_rates(chances, captions, words),
        "decoder.class_names.usual": usual[ids],
        "decoder.class_names.words": ids,
    }
    decoder = replace(
        captioner.config.decoder,
        detected_words=len(known),  # a larger vocabulary has room for more
        classes=len(classifier[1]),
        class_names=len(words),
    )
    return decoder, state, vocabulary


def read_classifier(path: Path, channels: int) -> tuple[Tensor, Tensor]:
    """Read the classifier from a file of a CNN's weights with timm's or torchvision's names.

    Raises:
        ValueError: the file has no classifier of as many channels.
        FileNotFoundError: there is no such file.
    """
    tensors = read_weights(path)
    for name in _CLASSIFIERS:
        weight, bias = tensors.get(f"{name}.weight"), tensors.get(f"{name}.bias")
        if weight is not None and bias is not None and weight.shape == (len(bias), channels):
            return weight, bias
    raise ValueError(f"{path} has no classifier of {channels} channels")


def classify(features: Tensor, classifier: tuple[Tensor, Tensor]) -> Tensor:
    """Compute the chances of the classes: the grid's mean (pictures, channels) -> (.., classes)."""
    weight, bias = classifier
    return nn.functional.linear(features.float(), weight.float(), bias.float()).softmax(-1)
