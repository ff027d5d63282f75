import numpy as np
import pytest

from model.interpretation.properties import PROPERTIES, properties_of

PROSE = 'He said "no (never)\n[sic].\n\nThen "yes" and don\'t.\n'
C = """\
/* a "b */ int diff(int x) { // it's {
\tif /* why? */ (f("(\\"", '"') && (x > 1)) {
#if (A)
\t\ty[z[0]] = '\\'';
\t}
}
"""

NUMERIC = ("position in line", "indentation", "brace depth")
LOOK_AHEAD = ("word next", "capital next", "line end near", "newline next at )")

# A line of text, and under each character its value; "¶" is a newline, and "→" a tab.
CASES = [
    (
        "inside quotes",
        r"""
a "b c" d
001111000
""",
    ),
    # The blank line resets.
    (
        "inside quotes",
        r"""
no "end¶
00011111
more¶
11111
¶
0
a "b"
00110
""",
    ),
    # A blank line may hold blanks.
    (
        "inside quotes",
        r"""
"a¶
111
 →¶
110
"b"
110
""",
    ),
    # One too many closes nothing.
    (
        "inside parentheses",
        r"""
a (b (c) d) e) (f
00111111110000011
""",
    ),
    (
        "inside parentheses",
        r"""
(a¶
111
¶
0
b
0
""",
    ),
    (
        "inside square brackets",
        r"""
a[b[c]d]e
011111100
""",
    ),
    (
        "position in line",
        r"""
abc¶
1230
¶
0
de
12
""",
    ),
    (
        "word next",
        r"""
I don't (go) 2x_y
0100000010001000-
""",
    ),
    (
        "capital next",
        r"""
a Bc DE
010011-
""",
    ),
    (
        "line end near",
        r"""
abcdefgh¶
000111110
ijklmnop
000-----
""",
    ),
    (
        "indentation",
        r"""
→x y¶
88880
  →z¶
12880
  ¶
120
w→
00
""",
    ),
    (
        "brace depth",
        r"""
a{b{c}d}}e
0112211000
""",
    ),
    # Strings and comments hold no braces.
    (
        "brace depth",
        r"""
{"{"/*{*///{¶
1111111111111
}
0
""",
    ),
    # Two branches open, one brace closes: the function's end mends it.
    (
        "brace depth",
        r"""
{¶
11
#if A¶
111111
 {¶
122
#else¶
222222
 {¶
233
#endif¶
3333333
 }¶
322
}¶
00
""",
    ),
    # A bracket that ends closes what was left open in it.
    (
        "inside C parentheses",
        r"""
f(a[(b])c)d
01111110000
""",
    ),
    # So does a block, from which none leads out.
    (
        "inside C parentheses",
        r"""
{f(}g) ({h))
001000011111
""",
    ),
    (
        "inside C square brackets",
        r"""
a[b[c]]['['] ] '['
011111011110000000
""",
    ),
    # They do not nest.
    (
        "inside comment",
        r"""
a / b /* c /* d */ e
00000001111111111000
""",
    ),
    # A star or a slash is not used twice.
    (
        "inside comment",
        r"""
/*/ a **/* b
011111110000
""",
    ),
    (
        "inside comment",
        r"""
a // b /* \¶
000111111111
 c \\¶
111111
d¶
10
e
0
""",
    ),
    (
        "inside comment",
        r"""
"/*" '/*' "//" x
0000000000000000
""",
    ),
    (
        "inside comment",
        r"""
/* never closed ¶
01111111111111111
 x
11
""",
    ),
    (
        "inside string",
        r"""
"a\"b\\" c "
111111100001
""",
    ),
    # One that was never closed ends with its line.
    (
        "inside string",
        r"""
x = "abc;¶
0000111110
y = "d";
00001100
""",
    ),
    # An escaped newline goes on.
    (
        "inside string",
        r"""
"a\¶
1111
b" c
1000
""",
    ),
    # Literals of single characters.
    (
        "inside string",
        r"""
'"' '\'' "x";
0000000001100
""",
    ),
    # The apostrophe of an #error.
    (
        "inside string",
        r"""
#error don't¶
0000000000000
"a"
110
""",
    ),
    (
        "inside string",
        r"""
// it's "so"¶
0000000000000
/* " */ "a"
00000000110
""",
    ),
    (
        "inside if condition",
        r"""
if (a) b; else if(c) {d}
000110000000000001100000
""",
    ),
    (
        "inside if condition",
        r"""
if (f(a) && (b)) (c)
00011111111111100000
""",
    ),
    # Other words end or begin in the same letters.
    (
        "inside if condition",
        r"""
diff (a) if_up(b) ifx (c) i f(d) else_if (e)
00000000000000000000000000000000000000000000
""",
    ),
    # Nor is the preprocessor's.
    (
        "inside if condition",
        r"""
#if (A)¶
00000000
# if (B)¶
000000000
if /* (c) */ (d)
0000000000000110
""",
    ),
    (
        "inside if condition",
        r"""
if (")" == ')' /* ) */) x
0001111111111111111111000
""",
    ),
    (
        "inside if condition",
        r"""
// if (a)¶
0000000000
"if (b)" if
00000000000
""",
    ),
    (
        "inside comment or string",
        r"""
a /* b */ "c" // "d
0001111100110001111
""",
    ),
    (
        "newline next at )",
        r"""
if (a)¶
-----1-
f(b);¶
---0--
g(
--
""",
    ),
    (
        "newline next at )",
        r"""
f(a)
----
""",
    ),
]


def shown(name, text):
    """The values as a string of digits, `-` where they are masked."""
    measured = PROPERTIES[name].measure(text)
    assert len(measured.values) == len(measured.mask) == len(text)
    return "".join(
        f"{int(value):x}" if known else "-"
        for value, known in zip(measured.values, measured.mask, strict=True)
    )


@pytest.mark.parametrize(("name", "case"), CASES)
def test_each_character_has_its_value(name, case):
    lines = case.strip("\n").split("\n")
    text = "".join(lines[::2]).replace("¶", "\n").replace("→", "\t")
    assert shown(name, text) == "".join(lines[1::2])


@pytest.mark.parametrize("name", [name for name in PROPERTIES if name not in LOOK_AHEAD])
@pytest.mark.parametrize("text", [PROSE, C])
def test_only_what_was_read_counts(name, text):
    measure = PROPERTIES[name].measure
    whole = measure(text).values
    assert whole.any() or text == (C if PROPERTIES[name].kind == "prose" else PROSE)
    for place in range(len(text)):
        assert measure(text[: place + 1]).values[-1] == whole[place]


@pytest.mark.parametrize("name", LOOK_AHEAD)
def test_what_comes_next_is_masked_where_the_text_ends_first(name):
    # More text changes masked values only.
    measure = PROPERTIES[name].measure
    text = C if PROPERTIES[name].kind == "c" else PROSE
    whole = measure(text).values
    for place in range(1, len(text)):
        part = measure(text[:place])
        assert (part.values == whole[:place])[part.mask].all()
        assert not part.mask[-1]


@pytest.mark.parametrize("name", PROPERTIES)
@pytest.mark.parametrize("text", ["", "\n", "x", '"', "}", "\ud800\r\n"])
def test_any_text_is_measured(name, text):
    measured = PROPERTIES[name].measure(text)
    assert measured.values.shape == measured.mask.shape == (len(text),)
    assert measured.values.dtype == (np.float32 if name in NUMERIC else np.bool_)
    assert measured.mask.dtype == np.bool_


def test_prose_and_c_have_their_own_properties():
    prose = {known.name for known in properties_of("prose")}
    c = {known.name for known in properties_of("c")}
    assert prose & c == {known.name for known in properties_of("any")}
    assert prose | c == set(PROPERTIES)
    assert "inside quotes" in prose - c
    assert "inside comment" in c - prose
