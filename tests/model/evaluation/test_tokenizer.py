import json
import os
from pathlib import Path

import pytest

from model.evaluation import java
from model.evaluation.bleu import bleu
from model.evaluation.cider import cider_each
from model.evaluation.tokenizer import JAVA, PYTHON, tokenize

from .test_penn_treebank import KNOWN

needs_java = pytest.mark.skipif(
    java.find(java.TOKENIZER) is None, reason="Java or pycocoevalcap is missing"
)


def test_without_java_our_own_tokenizer_is_used_and_named():
    cut = tokenize(["A dog.", "The cat's."], java=False)
    assert cut.captions == [["a", "dog"], ["the", "cat", "'s"]]
    assert cut.tokenizer == PYTHON


def test_a_missing_java_is_told_only_when_it_is_demanded(monkeypatch):
    monkeypatch.setenv("PATH", "")
    assert tokenize(["A dog."]).tokenizer == PYTHON
    with pytest.raises(java.JavaError, match="install Java"):
        tokenize(["A dog."], java=True)


@needs_java
def test_java_is_used_when_it_is_there_and_agrees_on_tricky_captions():
    cut = tokenize(list(KNOWN))
    assert cut.tokenizer == JAVA
    assert cut.captions == [expected.split() for expected in KNOWN.values()]


@needs_java
def test_captions_with_line_breaks_and_empty_ones_stay_apart():
    captions = ["", "a\u2028dog\r\nruns", "", "a\x85cat\x0b", ""]
    assert tokenize(captions, java=True).captions == [
        [],
        ["a", "dog", "runs"],
        [],
        ["a", "cat"],
        [],
    ]
    assert tokenize(captions, java=False).captions == tokenize(captions, java=True).captions


@needs_java
def test_our_call_of_java_agrees_with_coco_caption():
    coco = pytest.importorskip("pycocoevalcap.tokenizer.ptbtokenizer")
    # It decodes files as the locale says, drops empty lines at the end, and cuts at spaces only.
    plain = [caption for caption in KNOWN if caption.isascii() and caption.strip(" .")]
    theirs = coco.PTBTokenizer().tokenize(
        {index: [{"caption": caption}] for index, caption in enumerate(plain)}
    )
    assert tokenize(plain, java=True).captions == [line.split() for [line] in theirs.values()]


@pytest.fixture(scope="module")
def flickr8k() -> list[list[str]]:
    folder = os.environ.get("UNROLLED_TEST_DATA")
    found = sorted(Path(folder).rglob("dataset_flickr8k.json")) if folder else []
    if not found:
        pytest.skip("UNROLLED_TEST_DATA names no folder with dataset_flickr8k.json")
    images = json.loads(found[0].read_bytes())["images"]
    return [
        [sentence["raw"] for sentence in image["sentences"]]
        for image in images
        if image["split"] == "test"
    ]


@needs_java
def test_both_tokenizers_agree_on_flickr8k(flickr8k):
    captions = [caption for one in flickr8k for caption in one]
    ours, theirs = (tokenize(captions, java=choice).captions for choice in (False, True))
    agreeing = sum(map(list.__eq__, ours, theirs)) / len(captions)
    assert agreeing > 0.999

    scores = []
    for cut in (ours, theirs):
        words = iter(cut)
        pictures = [[next(words) for _ in one] for one in flickr8k]
        held_out, references = [one[0] for one in pictures], [one[1:] for one in pictures]
        each = cider_each(held_out, references)
        scores.append((sum(each) / len(each), bleu(held_out, references)[3]))
    assert scores[0] == pytest.approx(scores[1], abs=1e-3)
