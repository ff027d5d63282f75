"""Rewrite a caption without the sex of people: "a man walks his dog", "a person walks their dog".

A captioner guesses sex from looks, often wrongly. Grammar is kept: verbs agree ("she is" becomes
"they are"), articles too ("a female athlete", "an athlete"), and people who become alike are
counted ("a man and a woman", "two people") or told apart ("a person talks to another person").
"""

import re

from model.captioning.people import count_alike
from model.captioning.word_kinds import word_kind

__all__ = ["gender_neutral", "neutral_word"]

_SINGULAR = {
    "person": "man woman guy gal lady gentleman dude male female",
    "child": "boy girl lad lass son daughter",
    "parent": "mother father mom mum mommy dad daddy",
    "sibling": "brother sister",
    "spouse": "husband wife",
    "partner": "boyfriend girlfriend",
    "grandparent": "grandmother grandfather grandma grandpa",
    "relative": "uncle aunt nephew niece",
    "newlywed": "bride groom",
    "police officer": "policeman policewoman",
    "firefighter": "fireman firewoman",
    "businessperson": "businessman businesswoman",
    "salesperson": "salesman saleswoman",
    "fisher": "fisherman",
    "mail carrier": "mailman",
    "camera operator": "cameraman",
    "worker": "workman",
    "athlete": "sportsman sportswoman",
    "rider": "horseman horsewoman",
    "cowhand": "cowboy cowgirl",
    "batter": "batsman",
    "server": "waiter waitress",
    "actor": "actress",
    "host": "hostess",
    "flight attendant": "steward stewardess",
    "ballet dancer": "ballerina",
    "student": "schoolboy schoolgirl",
    "wedding attendant": "bridesmaid groomsman",
}
_PLURAL = {
    "people": "men women guys gals ladies gentlemen dudes males females",
    "children": "boys girls lads lasses sons daughters schoolchildren",
    "spouses": "husbands wives",
    "businesspeople": "businessmen businesswomen",
    "salespeople": "salesmen saleswomen",
    "police officers": "policemen policewomen",
    "firefighters": "firemen firewomen",
    "fishers": "fishermen",
    "mail carriers": "mailmen",
    "camera operators": "cameramen",
    "workers": "workmen",
    "athletes": "sportsmen sportswomen",
    "riders": "horsemen horsewomen",
    "batters": "batsmen",
    "servers": "waiters waitresses",
    "actors": "actresses",
    "hosts": "hostesses",
    "flight attendants": "stewards stewardesses",
    "wedding attendants": "bridesmaids groomsmen",
}

_NOUNS = {
    **{f"{word}s": f"{new}s" for new, words in _SINGULAR.items() for word in words.split()},
    **{
        word: new
        for table in (_SINGULAR, _PLURAL)
        for new, ws in table.items()
        for word in ws.split()
    },
}
_PRONOUNS = {
    "he": "they",
    "she": "they",
    "him": "them",
    "hers": "theirs",
    "himself": "themselves",
    "herself": "themselves",
    "he's": "they're",
    "she's": "they're",
    "he'll": "they'll",
    "she'll": "they'll",
    "he'd": "they'd",
    "she'd": "they'd",
}

# What stays, although it begins or ends like a person.
_KEPT = (
    r"(?<!snow )(?<!gingerbread )(?<!boy )(?<!girl )"
    r"(?!(?:cowboy|cowgirl) (?:hat|boot|shirt)|man[- ]made|lady ?bug|(?:boy|girl) scout)"
)
_ARTICLE = r"(?:\b(?P<article>an?) +)?"
_NOUN = re.compile(
    rf"{_ARTICLE}{_KEPT}\b(?P<word>{'|'.join(sorted(_NOUNS, key=len, reverse=True))})"
    r"(?P<possessive>'s?)?(?![\w'-])",
    re.IGNORECASE,
)
_YOUNG = re.compile(
    r"\b(?P<age>baby|babies|toddler|teenaged?|teen)( (?:boy|girl))(?P<plural>s?)\b", re.IGNORECASE
)
_AGES = {"baby": ("baby", "babies"), "toddler": ("toddler", "toddlers")}
_BOTH_SEXES = re.compile(r"\b(?:male|female)(?: and | or |/)(?=(?:male|female)\b)", re.IGNORECASE)
_SEX = re.compile(rf"{_ARTICLE}\b(?P<sex>male|female) +(?P<next>[\w'-]+)", re.IGNORECASE)
_GENDERED_PRONOUN = re.compile(
    rf"\b(?P<word>{'|'.join(_PRONOUNS)}|his|her)\b(?!')(?= *(?P<next>[\w'-]*))",
    re.IGNORECASE,
)
_TWICE = re.compile(r"\b(they|them|their|theirs|themselves)(?: (?:or|and) |/)\1\b", re.IGNORECASE)

# What may follow "her" that is no thing of hers: "a dog beside her in the park".
_AFTER_OBJECT = re.compile(
    r"""(?:a|an|the|in|on|at|with|and|or|while|as|to|from|by|near|behind|beside|next|under|over
    |through|into|onto|is|are|was|were|who|that|which|during|before|after|for|of|off|up|down|out
    |along|across|around|against|towards?|outside|inside|but|when|where)""",
    re.IGNORECASE | re.VERBOSE,
)
_ADVERB = r"(?:(?:also|just|still|then|now|\w+ly) +)?"
_VERB_AFTER_THEY = re.compile(rf"\b(they +{_ADVERB})([a-z']+)", re.IGNORECASE)
_VERB_BEFORE_THEY = re.compile(r"\b(is|was|has|does)( +they)\b", re.IGNORECASE)
_SECOND_VERB = re.compile(rf"\b((?:and|or|then|but) +{_ADVERB})([a-z']+)", re.IGNORECASE)
_NEW_CLAUSE = re.compile(r"[.;!?]|\b(?:while|as|that|who|which|when|where|before|after)\b")

_IRREGULAR = {
    "is": "are",
    "was": "were",
    "has": "have",
    "does": "do",
    "isn't": "aren't",
    "wasn't": "weren't",
    "hasn't": "haven't",
    "doesn't": "don't",
}
_COMMON_VERBS = frozenset(("goes", "gets", "puts", "makes", "takes", "says"))  # of no kind as tags
_NO_VERBS = frozenset(["his", "its", "this", "as", "us", "always", "perhaps"])

# Begin with a vowel as they are spelled and not as they are spoken, or the other way round.
_CONSONANT_SOUND = re.compile(r"(?:uni|use|usu|euro|one\b)", re.IGNORECASE)
_SILENT_H = re.compile(r"(?:hour|honest|heir)", re.IGNORECASE)


def gender_neutral(text: str) -> str:
    """Write "person", "people", "child" and "they" for words that say whether someone is male.

    A text without such a word comes back unchanged.
    """
    changed = _YOUNG.sub(_write_age, text)
    changed = _SEX.sub(_drop_sex, _BOTH_SEXES.sub("", changed))
    people = _NOUN.sub(_write_noun, changed)
    neutral = _GENDERED_PRONOUN.sub(_write_pronoun, people)
    if neutral != people:
        neutral = _agree(_TWICE.sub(r"\1", neutral))
    return count_alike(neutral) if people != text else neutral


def neutral_word(word: str) -> str:
    """Return what to write for a single word, such as a tag."""
    return _NOUNS.get(word) or _PRONOUNS.get(word, word)


def _write_noun(found: re.Match[str]) -> str:
    word = _like(found["word"], _NOUNS[found["word"].lower()])
    possessive = found["possessive"] or ""
    if possessive and not word.endswith("s"):  # the boys' kite, the children's kite
        possessive = "'s"
    return _with_article(found["article"], word) + possessive


def _write_age(found: re.Match[str]) -> str:
    names = _AGES.get(found["age"].lower(), ("teenager", "teenagers"))
    return _like(found["age"], names[bool(found["plural"])])


def _drop_sex(found: re.Match[str]) -> str:
    """Leave out "male" before a noun; elsewhere it is one, and stays for `_NOUN`."""
    after = found["next"]
    if word_kind(after.lower()) not in {"noun", "other"} or after.lower().endswith("ing"):
        return found[0]
    return _with_article(
        found["article"], after if found["article"] else _like(found["sex"], after)
    )


def _write_pronoun(found: re.Match[str]) -> str:
    word, after = found["word"].lower(), found["next"]
    if word == "his":
        new = "their" if after else "theirs"
    elif word == "her":
        new = "them" if not after or _AFTER_OBJECT.fullmatch(after) else "their"
    else:
        new = _PRONOUNS[word]
    return _like(found["word"], new)


def _agree(text: str) -> str:
    """Put the verbs of "they" into the plural, a second one after "and" too."""
    text = _VERB_BEFORE_THEY.sub(lambda found: _plural(found[1]) + found[2], text)
    start = 0
    while found := _VERB_AFTER_THEY.search(text, start):
        clause_end = _NEW_CLAUSE.search(text, found.end())
        end = clause_end.start() if clause_end else len(text)
        rest = _SECOND_VERB.sub(
            lambda second: second[1] + _plural(second[2], only_verbs=True), text[found.end() : end]
        )
        head = text[: found.start()] + found[1] + _plural(found[2])
        text, start = head + rest + text[end:], len(head)
    return text


def _plural(verb: str, *, only_verbs: bool = False) -> str:
    """Return the plural of a verb in the third person: "is", "are"; "catches", "catch".

    With `only_verbs`, words that may be something else stay.
    """
    small = verb.lower()
    if small in _IRREGULAR:
        return _like(verb, _IRREGULAR[small])
    if not small.endswith("s") or small.endswith("ss") or small in _NO_VERBS:
        return verb
    if only_verbs and word_kind(small) != "verb" and small not in _COMMON_VERBS:
        return verb
    if small.endswith("ies") and len(small) > 4:
        return f"{verb[:-3]}y"
    return verb[:-2] if re.search(r"(?:ch|sh|x|ss|zz|o)es$", small) else verb[:-1]


def _with_article(article: str | None, word: str) -> str:
    if article is None:
        return word
    vowel = word[0].lower() in "aeiou" and not _CONSONANT_SOUND.match(word)
    new = "an" if vowel or _SILENT_H.match(word) else "a"
    return f"{_like(article, new)} {word}"


def _like(old: str, new: str) -> str:
    """Return a word with a capital if the old one has one."""
    return new[0].upper() + new[1:] if old[0].isupper() else new
