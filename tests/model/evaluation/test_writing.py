"""What is said of texts that a model, its corpus and n-grams wrote."""

import json
from dataclasses import replace

import pytest

from model.data.corpus import Corpus
from model.evaluation.pairs import Balance
from model.evaluation.writing import evaluate_writing
from model.text.language_model import LanguageModel
from model.text.ngram_model import count
from tests.model.evaluation.test_language_model import RHYME, writer_of

PROGRAM = "".join(
    f"/* step {i} */\nint f{i}(void)\n{{\n\treturn g({i}) + {i * i % 7};\n}}\n\n" for i in range(80)
)


@pytest.fixture
def program(tmp_path) -> Corpus:
    (tmp_path / "program.txt").write_text(PROGRAM)
    return Corpus.read(tmp_path / "program.txt", validation_share=0.2)


def beginning_with(language_model: LanguageModel, beginning: str) -> LanguageModel:
    config = replace(language_model.config, beginning=beginning)
    return LanguageModel(language_model.runner, config, language_model.vocabulary)


def test_corpus_model_and_ngrams_are_judged(program):
    model = beginning_with(writer_of(program), "}\n\n")
    report = evaluate_writing(
        model, program, name="program", texts=3, characters=150, temperatures=(0.5, 1), orders=(8,)
    )
    assert [one.name for one in report.judgements] == [
        *("corpus, unseen", "toy, 0.5", "toy, 1", "8-gram, 0.5", "8-gram, 1"),
    ]
    assert report.absent == (r"\begin \end", '" "')
    corpus, untrained, _, ngram, _ = report.judgements
    # An untrained network writes noise; an 8-gram copies the lines of so regular a text.
    assert corpus.known_words > untrained.known_words
    assert ngram.known_words > untrained.known_words
    assert min(ngram.copied) > max(untrained.copied)
    assert ngram.longest_copy in program.train_text
    assert len(ngram.longest_copy) == max(ngram.copied)
    assert corpus.pairs["/* */"].share > 0.8
    assert corpus.longest_blank == 2


def test_texts_are_those_that_the_model_writes_with_these_seeds(program):
    model = beginning_with(writer_of(program), "\n")
    report = evaluate_writing(
        model, program, name="p", texts=2, characters=80, temperatures=(0.7,), orders=(6,), seed=5
    )
    ngram = count(program.train_text, 6, smoothing="none")
    for judged, writer in zip(report.judgements[1:], (model, ngram), strict=True):
        options = {"max_tokens": 80, "temperature": 0.7}
        texts = [
            "".join(delta.text for delta in writer.generate("\n", seed=seed, **options))
            for seed in (5, 6)
        ]
        assert judged.pairs["{ }"] == Balance(
            *map(sum, zip(*((b.pairs, b.unmatched) for b in map(braces_of, texts)), strict=True))
        )
        assert all(judged.longest_copy in program.train_text for _ in texts)
        assert any(judged.longest_copy in text for text in texts)


def braces_of(text: str) -> Balance:
    depth = pairs = stray = 0
    for character in text:
        if character == "{":
            depth += 1
        elif character == "}" and depth:
            depth, pairs = depth - 1, pairs + 1
        elif character == "}":
            stray += 1
    return Balance(pairs, depth + stray)


def test_a_report_is_written_as_json_and_as_a_table(program, tmp_path):
    model = beginning_with(writer_of(program), "}\n\n")
    report = evaluate_writing(
        model, program, name="program", texts=2, characters=60, temperatures=(0.5,), orders=()
    )
    report.write(tmp_path / "reports" / "program-writing")
    data = json.loads((tmp_path / "reports" / "program-writing.json").read_text())
    assert data["beginning"] == "}\n\n"
    corpus, written = data["judgements"]
    assert corpus["temperature"] is None
    assert written["name"] == "toy, 0.5"
    assert written["copied"] == list(report.judgements[1].copied)
    assert corpus["pairs"]["{ }"]["share"] == report.judgements[0].pairs["{ }"].share
    page = (tmp_path / "reports" / "program-writing.md").read_text()
    assert page.startswith("toy: 2 texts of 60 characters each\n")
    assert "`{ }`" in page
    assert "| corpus, unseen | " in page
    assert r'so not judged: `\begin \end`, `" "`.' in page


def test_what_a_text_never_opens_is_called_none(program):
    report = evaluate_writing(
        writer_of(program), program, name="p", texts=1, characters=1, temperatures=(), orders=()
    )
    (corpus,) = report.judgements
    without = replace(
        report, judgements=(replace(corpus, pairs=dict.fromkeys(corpus.pairs, Balance(0, 0))),)
    )
    assert without.as_markdown().count("| none") == 3


def test_the_last_word_counts_only_if_it_is_whole(tmp_path):
    (tmp_path / "rhyme.txt").write_text(RHYME)
    corpus = Corpus.read(tmp_path / "rhyme.txt", validation_share=0.2)
    model = beginning_with(writer_of(corpus), "\n")
    for characters in (12, 13):  # "Humpty Dumpt" and "Humpty Dumpty": either may be cut
        (judged,) = evaluate_writing(
            *(model, corpus), name="r", texts=1, characters=characters, temperatures=(), orders=()
        ).judgements
        assert (judged.known_words, judged.distinct_words) == (1.0, 1.0)
        assert isinstance(judged.known_words, float)
        assert judged.copied == (characters,)


def test_models_whose_texts_end_are_refused(tmp_path):
    (tmp_path / "rhyme.txt").write_text(RHYME)
    for level, ends, says in (("word", False, "writes words:"), ("character", True, "ends by")):
        corpus = Corpus.read(tmp_path / "rhyme.txt", level=level, ends=ends, validation_share=0.2)
        with pytest.raises(ValueError, match=says):
            evaluate_writing(writer_of(corpus, ends=ends), corpus, name="rhyme")


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"characters": 9_999}, "ask for shorter texts"),
        ({"texts": 0}, "at least 1"),
        ({"temperatures": (-1,)}, "temperature"),
        ({"orders": (21,), "characters": 20, "texts": 1}, "order must be in 1..20"),
    ],
)
def test_numbers_out_of_range_are_refused(program, options, says):
    with pytest.raises(ValueError, match=says):
        evaluate_writing(writer_of(program), program, name="p", **options)
