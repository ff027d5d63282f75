"""How a report on writing is shown, written and read again."""

from dataclasses import replace

import pytest

from model.evaluation.pairs import PAIRS, Balance
from model.evaluation.writing_report import Judgement, WritingReport

PAIR_COUNTS = dict.fromkeys(PAIRS, Balance(0, 0)) | {"{ }": Balance(3, 1), "( )": Balance(1, 0)}


def judgement(source: str, temperature: float | None) -> Judgement:
    return Judgement(source, temperature, 2, 0.975, 0.5, 12, (7, 1210), "x" * 1210, PAIR_COUNTS)


REPORT = WritingReport(
    model="toy",
    corpus="rhyme",
    characters=3000,
    seed=1,
    beginning="\n",
    judgements=(
        judgement("corpus, unseen", None),
        *(judgement(source, t) for source in ("toy", "20-gram") for t in (0.5, 0.8)),
    ),
    absent=(r"\begin \end", "/* */"),
)
ROW = "| toy, 0.5 | 0.975 | 0.500 | 12 | 608 | 1,210 | 0.75 of 4 | 1.00 of 1 | none |"


def test_the_table_has_all_texts_and_the_card_the_warmest_ngrams():
    table, card = REPORT.as_markdown(), REPORT.as_card()
    for text in (table, card):
        assert ROW in text.splitlines()
        assert r"so not judged: `\begin \end`, `/* */`." in text
        assert "| 20-gram, 0.8 |" in text
        assert "| corpus, unseen |" in text
    assert "| 20-gram, 0.5 |" in table
    assert "| 20-gram, 0.5 |" not in card
    assert "`unrolled evaluate writing`" in card
    assert card.startswith("2 texts of 3,000 characters at each")
    assert all(len(line) <= 100 for line in card.splitlines() if line[0:1] != "|")


def test_nothing_is_said_of_what_is_absent_if_nothing_is():
    assert "not judged" not in replace(REPORT, absent=()).as_card()


def test_shares_are_explained_only_where_there_are_some():
    assert "columns count pairs" in " ".join(REPORT.as_card().split())
    assert "count" not in replace(REPORT, absent=tuple(PAIRS)).as_card()


def test_a_report_that_was_written_is_read_again(tmp_path):
    REPORT.write(tmp_path / "rhyme-writing")
    assert WritingReport.read(tmp_path / "rhyme-writing.json") == REPORT


@pytest.mark.parametrize("text", ["{}", "nothing", '{"model": 3}'])
def test_another_file_is_no_report(tmp_path, text):
    (tmp_path / "other.json").write_text(text)
    with pytest.raises(ValueError, match=r"other\.json is no report on writing"):
        WritingReport.read(tmp_path / "other.json")
