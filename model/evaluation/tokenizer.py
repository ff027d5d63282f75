"""Split captions into words as coco-caption does, with Stanford's tokenizer or our own.

The result names the tokenizer, because scores differ slightly between the two.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from model.evaluation import java as jars
from model.evaluation.penn_treebank import PUNCTUATION, tokenize_caption

__all__ = ["JAVA", "PYTHON", "TokenizedCaptions", "tokenize"]

JAVA: Final = "Stanford PTBTokenizer (CoreNLP 3.4.1)"
PYTHON: Final = "Python PTB tokenizer"


@dataclass(frozen=True)
class TokenizedCaptions:
    """The words of each caption, in the captions' order, and the name of the `tokenizer`."""

    captions: list[list[str]]
    tokenizer: str


def tokenize(captions: Sequence[str], *, java: bool | None = None) -> TokenizedCaptions:
    """Split captions into lower-case words without punctuation.

    Args:
        captions: raw sentences; line breaks count as spaces.
        java: whether to use Stanford's tokenizer; None uses it if installed.

    Raises:
        JavaError: `java` is True and Java or the jar is missing, or Java failed.
    """
    if java is None:
        java = jars.find(jars.TOKENIZER) is not None
    if java:
        return TokenizedCaptions(_tokenize_with_java(captions), JAVA)
    return TokenizedCaptions([tokenize_caption(caption) for caption in captions], PYTHON)


def _tokenize_with_java(captions: Sequence[str]) -> list[list[str]]:
    # One caption a line: any other line break inside a caption would shift all that follow.
    text = "".join(" ".join(caption.split()) + "\n" for caption in captions)
    tokenizer = "edu.stanford.nlp.process.PTBTokenizer"
    options = ("-preserveLines", "-lowerCase", "-encoding", "utf-8")
    printed = jars.run(
        (*jars.command(jars.TOKENIZER, memory="1g"), tokenizer, *options),
        text,
        timeout=60 + len(captions) / 1000,
    )
    lines = printed.split("\n")[:-1]
    if len(lines) != len(captions):
        raise jars.JavaError(
            f"the tokenizer returned {len(lines)} lines for {len(captions)} captions"
        )
    return [[word for word in line.split() if word not in PUNCTUATION] for line in lines]
