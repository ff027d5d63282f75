"""Count people who have become alike: "a person and a person" are "two people"."""

import re
from dataclasses import dataclass, replace

from model.captioning.word_kinds import word_kind

__all__ = ["count_alike"]

# Each with its plural; what gender-neutral words stand for more than one person.
_PLURALS = {
    "person": "people",
    "child": "children",
    "parent": "parents",
    "sibling": "siblings",
    "spouse": "spouses",
    "partner": "partners",
    "grandparent": "grandparents",
    "relative": "relatives",
    "newlywed": "newlyweds",
    "police officer": "police officers",
    "firefighter": "firefighters",
    "businessperson": "businesspeople",
    "server": "servers",
    "student": "students",
}
_SINGULARS = {plural: singular for singular, plural in _PLURALS.items()}

_NUMBERS = [
    "zero",
    "one",
    "two",
    "three",
    "four",
    "five",
    "six",
    "seven",
    "eight",
    "nine",
    "ten",
    "eleven",
    "twelve",
]
_COUNTS = {"a": 1, "an": 1} | {word: number for number, word in enumerate(_NUMBERS) if number}
_ANOTHER = "another"
_DEFINITE = frozenset(["the", "their", "its", "my", "your", "our"])
_ADJECTIVES = frozenset(
    ["old", "little", "small", "middle-aged", "other"]
)  # beside those tags know

_WORD = re.compile(r"[\w'-]+|[^\w'-]+")


@dataclass(frozen=True)
class _People:
    """A phrase for people: its place among the words, and what it is made of."""

    begin: int
    end: int
    determiner: str  # "a", "two", "the"; empty without one
    adjectives: tuple[str, ...]
    singular: str
    plural: bool


def count_alike(text: str) -> str:
    """Join phrases for the same kind of people, and tell later ones apart by "another"."""
    words = _WORD.findall(text)  # words and what is between them
    begin = 0
    while begin < len(words):
        first = _parse(words, begin)
        if first is None:
            begin += 1
            continue
        second = _next(words, first.end)
        joined = None if second is None else _join(first, second, words)
        if joined is None or second is None:
            begin = first.end
        else:
            listed = "and" not in words[first.end : second.begin]
            spelled = _spell(words[first.begin], joined)
            words[first.begin : second.end] = spelled
            if listed:
                _end_list(words, first.begin + len(spelled))
    return "".join(_tell_apart(words))


def _parse(words: list[str], begin: int) -> _People | None:
    """Read the phrase that begins at a word, or return None."""
    place, determiner, adjectives = begin, "", []
    small = words[place].lower()
    if small in _COUNTS or small in _DEFINITE or small == _ANOTHER:
        determiner, place = small, place + 2
    while place < len(words) and _is_adjective(words[place].lower()):
        adjectives.append(words[place].lower())
        place += 2
    for length in (3, 1):  # two words with a space, or one
        noun = "".join(words[place : place + length]).lower()
        if noun in _PLURALS or noun in _SINGULARS:
            singular = _SINGULARS.get(noun, noun)
            end = place + length
            return _People(begin, end, determiner, tuple(adjectives), singular, noun != singular)
    return None


def _is_adjective(word: str) -> bool:
    if word in _ADJECTIVES:
        return True
    known = word not in _PLURALS and word not in _SINGULARS
    return known and word.isalpha() and word_kind(word) == "other" and len(word) > 2


def _next(words: list[str], end: int) -> _People | None:
    """Return the phrase that follows after "and", "or", a comma or nothing."""
    if end + 1 >= len(words):
        return None
    gap, place = words[end], end + 1
    if words[place].lower() in {"and", "or"}:
        place += 2
    elif gap.strip() not in {"", ","}:
        return None
    return _parse(words, place) if place < len(words) else None


def _join(first: _People, second: _People, words: list[str]) -> _People | None:
    """Return one phrase for both, or None if they differ."""
    shares = not second.determiner and not second.adjectives  # a young boy and girl
    if first.singular != second.singular or not (shares or first.adjectives == second.adjectives):
        return None
    between = "".join(words[first.end : second.begin]).split()
    if between == ["or"]:
        same = first.plural == second.plural
        return replace(first, end=second.end) if same else None
    if not between and not second.determiner and (first.plural or second.plural):
        return None
    if first.determiner == _ANOTHER:
        alone = not first.plural and not second.plural and not second.determiner
        return (
            replace(first, end=second.end, plural=True, determiner="two other") if alone else None
        )
    counts = [(_COUNTS | {_ANOTHER: 1}).get(one.determiner) for one in (first, second)]
    if shares and not second.plural and first.determiner:
        counts[1] = 1
    one, other = counts
    joined = replace(first, end=second.end, plural=True)
    determiner = "several"
    if one is not None and other is not None and one + other < len(_NUMBERS):
        determiner = _NUMBERS[one + other]
    elif first.determiner in _DEFINITE:
        both = not first.plural and not second.plural and first.determiner == "the"
        determiner = f"{first.determiner} two" if both else first.determiner
    elif one is None and other is None:
        determiner = ""  # men and women: people
    return replace(joined, determiner=determiner)


def _end_list(words: list[str], end: int) -> None:
    """Complete a list that has become shorter: "two people child", "two people and a child".

    Args:
        words: of the text; changed in place.
        end: where the phrase ends that others were joined to.
    """
    place = end + 1
    if place < len(words) and words[place].lower() == "and":
        place += 2
    following = _parse(words, place) if place < len(words) else None
    if following is None or words[end] != " ":
        return
    if not following.plural and not following.determiner:
        first = words[place]
        words[place:place] = ["an" if first[0] in "aeiou" else "a", " "]
    if place == end + 1:
        words[place:place] = ["and", " "]


def _spell(old: str, people: _People) -> list[str]:
    noun = _PLURALS[people.singular] if people.plural else people.singular
    phrase = " ".join(part for part in (people.determiner, *people.adjectives, noun) if part)
    if old[0].isupper():
        phrase = phrase[0].upper() + phrase[1:]
    return _WORD.findall(phrase)


def _tell_apart(words: list[str]) -> list[str]:
    """Write "another person" for a second "a person"."""
    seen: set[str] = set()
    place = 0
    while place < len(words):
        people = _parse(words, place)
        if people is None or people.plural or people.determiner not in {"a", "an", "one"}:
            place = place + 1 if people is None else people.end
            continue
        if people.singular in seen and not people.adjectives:
            words[place] = "Another" if words[place][0].isupper() else "another"
        seen.add(people.singular)
        place = people.end
    return words
