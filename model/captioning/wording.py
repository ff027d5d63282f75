"""Put captions as people want to read them: alt text, hedged where unsure, neutral as to gender.

Tokens and their log-probabilities stay those of what the model wrote.
"""

import re
from collections.abc import Iterable
from dataclasses import replace
from typing import Annotated, Any, Literal

from pydantic import ConfigDict, Field, model_validator
from pydantic.dataclasses import dataclass

from model.captioning.caption import Caption
from model.captioning.gender_neutral import gender_neutral, neutral_word
from model.captioning.tags import Tag
from model.config import merge_config

__all__ = [
    "MAX_ALT_TEXT",
    "WordingConfig",
    "alt_text",
    "hedge",
    "reword",
    "reword_tags",
]

MAX_ALT_TEXT = 125  # characters; some screen readers pause or stop there

_HEDGE = "Possibly"

# "a black and white photo of a street": a screen reader says already that this is a picture.
_IS_A_PICTURE = re.compile(
    r"""
    ^(?P<hedge>possibly\s+)?
    (?:(?:this|it|here|there)\s+(?:is|are)\s+)?
    (?:(?:an?|the|this|some|two|several)\s+)?
    (?:(?:close[-\s]?up|black\s+and\s+white|black-and-white|blurry|blurred|old|vintage|color|colour
      |colorful|colourful|cropped|beautiful|nice|funny|small|large|digital)\s+)*
    (?:image|picture|photo|photograph|pic|snapshot)s?\s+
    (?:of|showing|that\s+shows)\s+
    """,
    re.IGNORECASE | re.VERBOSE,
)

# What no sentence ends with: a caption that was cut off often does.
_NEVER_LAST = re.compile(r"(?:a|an|the|and|or|of|its|their)", re.IGNORECASE)
_SELDOM_LAST = re.compile(
    r"(?:in|on|at|to|by|for|from|with|his|her|into|onto|near|as|is|are|while|that|next)",
    re.IGNORECASE,
)


@dataclass(frozen=True, config=ConfigDict(extra="forbid", allow_inf_nan=False))
class WordingConfig:
    """How captions are put into words, once they are found.

    As with `DecodingConfig`, HTTP parameters and command-line options are made from these fields.
    """

    style: Annotated[
        Literal["plain", "alt"],
        Field(
            description="`alt` adds to each caption an `alt_text`: a sentence of at most 125 "
            "characters, which does not begin with “a photo of”."
        ),
    ] = "plain"
    min_confidence: Annotated[
        float | None,
        Field(
            ge=0,
            le=1,
            description="A caption whose confidence is lower is left empty, or hedged: see "
            "`below`. With `style` `alt` that happens to its `alt_text` alone.",
        ),
    ] = None
    below: Annotated[
        Literal["empty", "hedge"],
        Field(
            description="With `min_confidence`: leave a weak caption `empty`, or `hedge` it "
            "(“Possibly ...”)."
        ),
    ] = "empty"
    gender_neutral: Annotated[
        bool,
        Field(
            description="Write “person”, “child” and “they” in captions and tags for words that "
            "say whether someone is male; tokens stay as the model wrote them."
        ),
    ] = False

    @model_validator(mode="after")
    def _options_go_together(self) -> "WordingConfig":
        if self.below == "hedge" and self.min_confidence is None:
            raise ValueError("below needs min_confidence: which captions to hedge")
        return self

    def merge(self, **changes: Any) -> "WordingConfig":
        """Return this configuration with changes; None changes nothing.

        Raises:
            ValueError: an option is unknown, out of range, or contradicts another.
        """
        return merge_config(self, {name: v for name, v in changes.items() if v is not None})


def reword(caption: Caption, wording: WordingConfig) -> Caption:
    """Return a caption as people want to read it; its tokens and numbers stay.

    A confidence that is unknown counts as too low.
    """
    text = gender_neutral(caption.text) if wording.gender_neutral else caption.text
    shown = text
    if _is_weak(caption.confidence, wording.min_confidence):
        shown = hedge(text) if wording.below == "hedge" else ""
    if wording.style == "alt":
        return replace(caption, text=text, alt_text=alt_text(shown))
    return replace(caption, text=shown)


def _is_weak(confidence: float | None, least: float | None) -> bool:
    return least is not None and (confidence is None or confidence < least)


def reword_tags(tags: Iterable[Tag], wording: WordingConfig) -> list[Tag]:
    """Return tags, with neutral words if asked for; of some that become alike, the likeliest."""
    if not wording.gender_neutral:
        return list(tags)
    neutral: dict[str, Tag] = {}
    for tag in tags:
        word = neutral_word(tag.word)
        neutral.setdefault(word, replace(tag, word=word))
    return list(neutral.values())


def alt_text(text: str) -> str:
    """Turn a caption into alternative text: a sentence of at most 125 characters.

    It begins with a capital and ends with a full stop, and does not say that it is about a picture
    ("a photo of"). A longer caption is cut between two words. Empty if there is no word, or none
    that is short enough. To hedge it too, hedge first.
    """
    sentence = " ".join(text.split())
    if (found := _IS_A_PICTURE.match(sentence)) and found.end() < len(sentence):
        sentence = (found["hedge"] or "") + sentence[found.end() :]
    if sentence.endswith(("!", "?")) and len(sentence) <= MAX_ALT_TEXT:
        return _capitalise(sentence)
    words = sentence.rstrip(" .,;:").split()
    cut = False
    while words and len(" ".join(words)) >= MAX_ALT_TEXT:  # one more for the full stop
        words.pop()
        cut = True
    while len(words) > 1 and (
        _NEVER_LAST.fullmatch(words[-1]) or (cut and _SELDOM_LAST.fullmatch(words[-1]))
    ):
        words.pop()
    if not words or words == [_HEDGE.lower()] or words == [_HEDGE]:
        return ""
    return _capitalise(" ".join(words).rstrip(" .,;:")) + "."


def hedge(text: str) -> str:
    """Mark a caption as uncertain: "Possibly a cat on a couch". An empty one stays empty."""
    sentence = " ".join(text.split())
    if not sentence or sentence.lower().startswith(_HEDGE.lower()):
        return sentence
    first = sentence.split(maxsplit=1)[0]
    # An abbreviation or "I" keeps its capitals.
    if first.istitle() and first != "I":
        sentence = sentence[0].lower() + sentence[1:]
    return f"{_HEDGE} {sentence}"


def _capitalise(sentence: str) -> str:
    return sentence[:1].upper() + sentence[1:]
