import pytest

from model.evaluation import java
from model.evaluation.meteor import meteor

needs_java = pytest.mark.skipif(
    java.find(java.METEOR) is None, reason="Java or pycocoevalcap is missing"
)


def test_without_java_there_is_no_meteor():
    assert meteor([["a"]], [[["a"]]], java=False) is None


def test_a_missing_java_is_told_when_it_is_demanded(monkeypatch):
    monkeypatch.setenv("PATH", "")
    assert meteor([["a"]], [[["a"]]]) is None
    with pytest.raises(java.JavaError, match="install Java"):
        meteor([["a"]], [[["a"]]], java=True)


@needs_java
@pytest.mark.slow
def test_nothing_in_common_and_empty_captions_score_zero():
    assert meteor([["zebra"], []], [[["car"]], [["car"]]], java=True) == 0


@needs_java
@pytest.mark.slow
def test_agrees_with_coco_caption(corpus):
    coco = pytest.importorskip("pycocoevalcap.meteor.meteor")
    theirs = coco.Meteor()
    expected, _ = theirs.compute_score(*corpus.for_coco())
    theirs.meteor_p.stdout.close()  # it would leave them open
    theirs.meteor_p.stderr.close()
    assert 0.1 < expected < 0.6
    assert meteor(*corpus) == pytest.approx(expected, abs=1e-9)
