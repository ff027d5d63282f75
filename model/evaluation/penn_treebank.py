r"""Tokenise English captions in pure Python as the Penn Treebank does.

This stands in for Stanford's `edu.stanford.nlp.process.PTBTokenizer` (CoreNLP 3.4.1) as
coco-caption calls it: lower case, and punctuation dropped. Other languages, curly apostrophes that
begin a word, and most emoticons are not covered.

The rules were written from what that tokenizer does with words, not from its source. As there, the
longest match of a rule becomes the next token:

    "The boys' dog isn't 3-year-old ."  ->  the boys dog is n't 3-year-old
"""

import html
import re

__all__ = ["PUNCTUATION", "tokenize_caption"]

# With these, a full stop is part of the word: always, when capitalised, and before a number.
_ABBREVIATIONS = (
    "adj|adm|adv|al|ala|alex|apr|ariz|assn|assoc|asst|atty|aug|ave|bhd|bldg|"
    "blvd|brig|bros|calif|capt|cf|cie|cmdr|co|col|colo|comdr|conn|corp|cos|"
    "cpl|ct|dak|dec|dept|det|dr|drs|ens|esq|est|etc|ext|feb|fla|fri|ft|ga|"
    "gen|gov|hon|inc|ind|insp|invt|jan|jos|jr|jul|jun|kan|kans|ky|lieut|lt|"
    "ltd|maj|mar|md|mfg|mich|minn|mlle|mme|mo|mon|mont|mr|mrs|ms|msgr|mt|"
    "mtg|natl|neb|nev|nov|oct|okla|penn|pfc|ph|plc|pres|prof|profs|pte|pty|"
    "pvt|rd|rep|reps|rev|rt|sen|sens|sep|sept|seq|sfc|sgt|spc|sq|sr|st|ste|"
    "supt|sys|tel|tenn|thu|thurs|treas|tue|tues|univ|va|vs|vt|wed|wis|wisc|"
    "wm|wyo"
)
_CAPITALISED = "ark|az|del|ill|la|mass|miss|ore|pa|tex|wash"
_BEFORE_NUMBERS = "art|ca|fig|figs|no|nos|op|pp|prop"

_LETTER = r"[^\W\d_]"
_ALNUM = r"[^\W_]"
_CLITIC = rf"(?:(?i: s | d | m | ll | re | ve )(?!{_LETTER}))"
_ELIDED = rf"(?:[DdOoLl]'(?={_ALNUM})(?!{_CLITIC}))"

_TOKEN = re.compile(
    rf"""
      https?://[^\s"<>|]*[^\s"<>|.,;:!?')]
    | [\w.+-]+@\w+(?:[.-]\w+)+                                # someone@somewhere.org
    | </?[A-Za-z][A-Za-z0-9:]*\s?/?>                          # <b>
    | (?<!\S)[:;=]-?[()DP](?!\S)                              # :-)

    | (?:(?i:{_ABBREVIATIONS})
        |{_CAPITALISED.title()}|{_CAPITALISED.upper()}
        |(?i:{_BEFORE_NUMBERS})(?=\.\s*\d)
      )\.(?!{_LETTER}|-{_ALNUM})                              # St.  No. 5
    | [A-Za-z](?:\.[A-Za-z])*\.(?![A-Za-z]|-{_ALNUM})         # U.S.A.
    | {_LETTER}{_ALNUM}*\.(?=[,;:])                           # whatever.,

    | (?i: can(?=not) | gon(?=na) | got(?=ta) | wan(?=na) | lem(?=me) | gim(?=me) )
      (?=\w+(?![\w-]|[.]\w))                                  # can|not
    | '[Tt](?=(?:is|was)\b)                                   # 't|is
    | [Yy]'(?={_LETTER}{{2}})                                 # y'|all
    | (?i: ma'am | s'mores | hawai'i | n?e'er | ol' )(?!{_ALNUM})
    | '[Nn]' | '(?i: em | til | cause | n | \d0s )(?!{_ALNUM})  # 'n'  'em  '90s
    | '' | '{_CLITIC}                                         # 's
    | [Nn]'[Tt]{_LETTER}*
    | {_ALNUM}*?[^\W_Nn](?=[Nn]'[Tt])                         # do|n't

    | [A-Za-z0-9]+(?:-[A-Za-z]+){{0,2}}(?:/[A-Za-z0-9]+(?:-[A-Za-z]+){{0,2}}){{1,2}}  # and/or
    | (?:{_ALNUM}+-)*{_ELIDED}{_ALNUM}+(?:-{_ELIDED}?{_ALNUM}+)*                      # o'clock
    | [A-Za-z0-9][A-Za-z0-9.,]*(?:-[A-Za-z0-9]+)+             # t-shirt  3-year-old
    | [A-Z]+(?:[&+][A-Z]+)+                                   # B&B
    | [+-]?\d*(?:[.:,]\d+)+ | [+-]\d+                         # 1,000  9:30
    | {_LETTER}{_ALNUM}*(?:[.!?]{_LETTER}{_ALNUM}*)+          # dog.com
    | [#@][A-Za-z]\w* | [A-Z]+\$ | C\+\+ | [CF]\#             # #dog  US$
    | {_ALNUM}+(?:[-_\u2010\u2011]{_ALNUM}+)*

    | [!?]+ | -+ | \*+ | _+ | \#+ | << | >>
    | [^\s\U00010000-\U0010ffff]
    """,
    re.VERBOSE,
)

_BRACKETS = {
    "(": "-lrb-", ")": "-rrb-", "[": "-lsb-", "]": "-rsb-", "{": "-lcb-", "}": "-rcb-",
}  # fmt: skip

# coco-caption drops these. Its list has the brackets in upper case, after lower-casing all: they
# stay, and so do "!!" and "&".
_PUNCTUATION = "' '' \" ` `` . ? ! , : - -- --- ---- ... ;"
PUNCTUATION = frozenset(_PUNCTUATION.split())

_SAME = str.maketrans(
    {
        **dict.fromkeys("\u2019\u203a\x92", "'"),
        **dict.fromkeys("\u2018\u2039\x91", "`"),
        **dict.fromkeys("\u201c\u201d\u00ab\u00bb\x93\x94", '"'),
        **dict.fromkeys("\u2013\u2014\u2015\x96\x97", " -- "),
        **{"\u2026": " ... ", "\u00ad": "", "\u200b": " ", "\ufeff": ""},
        **{"\u20ac": "$", "\u00a3": "#", "\u00a2": " cents "},
        **{"\u00bc": " 1/4 ", "\u00bd": " 1/2 ", "\u00be": " 3/4 "},
    }
)


def tokenize_caption(caption: str) -> list[str]:
    """Split a caption into words as coco-caption does: lower case, punctuation dropped.

    Args:
        caption: one sentence or several, on any number of lines.
    """
    tokens = _TOKEN.findall(html.unescape(caption).translate(_SAME))
    return [
        "".join(_BRACKETS.get(character, character) for character in token.lower())
        for token in tokens
        if token not in PUNCTUATION
    ]
