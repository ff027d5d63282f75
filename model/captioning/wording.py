"""Put captions as people want to read them: alt text, hedged where unsure, neutral as to gender.

Functions of text alone: what the model wrote, its tokens and their log-probabilities stay as they
are.
"""

import re

from model.captioning.gender_neutral import gender_neutral

__all__ = ["MAX_ALT_TEXT", "alt_text", "gender_neutral", "hedge"]

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
    """Say that a caption may be wrong: "Possibly a cat on a couch"; an empty one stays empty."""
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
