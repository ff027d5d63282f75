import pytest

from model.evaluation.penn_treebank import tokenize_caption

# What Stanford's tokenizer makes of each, less the punctuation that coco-caption drops.
KNOWN = {
    "": "",
    " . ": "",
    "A dog runs .": "a dog runs",
    "A Dog RUNS.": "a dog runs",
    "two\nlines\tand\u00a0spaces  .": "two lines and spaces",
    "a man's dog": "a man 's dog",
    "The boys' dog , the MAN'S dog": "the boys dog the man 's dog",
    "it isn't , can't and WON'T": "it is n't ca n't and wo n't",
    "he'll they've I'm you're she'd": "he 'll they 've i 'm you 're she 'd",
    "it\u2019s \u201cbig\u201d , \u2018small\u2019": "it 's big small",
    "the inn't cann't": "the inn t cann t",
    "cannot gonna wanna": "can not gon na wan na",
    "a 3-year-old in a T-shirt": "a 3-year-old in a t-shirt",
    "wheel-chair- and - dog -- cat": "wheel-chair and dog cat",
    "white--black dog\u2014cat dog\u2013cat": "white black dog cat dog cat",
    'sign reads "STOP".': "sign reads stop",
    "it ends ... dog\u2026 dog....": "it ends dog dog",
    "wait! what? no!! huh?!": "wait what no !! huh ?!",
    "(dog) [cat] {man}": "-lrb- dog -rrb- -lsb- cat -rsb- -lcb- man -rcb-",
    "R&B , b & w": "r&b b & w",
    "$5 , 50% and #9": "$ 5 50 % and # 9",
    "1,000 people at 9:30 , 1/2 off": "1,000 people at 9:30 1/2 off",
    "and/or man/woman": "and/or man/woman",
    "Mr. Smith on Main St.": "mr. smith on main st.",
    "U.S. flag at 5 p.m.": "u.s. flag at 5 p.m.",
    "No. 5 and no. dogs": "no. 5 and no dogs",
    "Oregon, ore. mass. Mass. Ave.": "oregon ore mass mass. ave.",
    "rock'n'roll 'n' o'clock '90s": "rock 'n' roll 'n' o'clock '90s",
    "bikini.A man,dog": "bikini.a man dog",
    "caf\u00e9 na\u00efve": "caf\u00e9 na\u00efve",
    "a \U0001f600 dog": "a dog",
    "salt &amp; pepper": "salt & pepper",
}


@pytest.mark.parametrize(("caption", "expected"), KNOWN.items())
def test_captions_are_cut_as_stanford_does(caption, expected):
    assert tokenize_caption(caption) == expected.split()
