"""A language model beside n-grams, measured on the same text."""

import json
import math
from dataclasses import replace

import pytest
import torch

from model.config import RecurrentConfig, SamplingConfig, TextConfig
from model.data.corpus import Corpus
from model.evaluation.language_model import evaluate_text
from model.networks.text_network import TextNetwork
from model.text.language_model import LanguageModel
from model.text.ngram import NGram

RHYME = "Humpty Dumpty sat on a wall, Humpty Dumpty had a great fall.\n" * 12


def writer_of(corpus: Corpus, *, ends: bool = False) -> LanguageModel:
    torch.manual_seed(0)
    network = RecurrentConfig(hidden_size=8)
    config = TextConfig("toy", "1", corpus.vocabulary.level, network, SamplingConfig(), ends=ends)
    return LanguageModel.of(TextNetwork(network, len(corpus.vocabulary)), config, corpus.vocabulary)


@pytest.fixture
def path(tmp_path):
    path = tmp_path / "rhyme.txt"
    path.write_text(RHYME)
    return path


def test_the_validation_part_is_scored_by_model_and_ngrams(path):
    corpus = Corpus.read(path, validation_share=0.2)
    language_model = writer_of(corpus)
    report = evaluate_text(language_model, corpus, name="rhyme", order=3)
    score = language_model.score(corpus.validation_text)
    assert report.nats == pytest.approx(-score.logprob / len(score.tokens), rel=1e-5)
    assert report.perplexity == pytest.approx(score.perplexity, rel=1e-5)
    assert report.bits_per_character == pytest.approx(score.bits_per_character, rel=1e-5)
    ngram = NGram.train(corpus.train.numpy(), len(corpus.vocabulary), 3)
    assert report.ngrams == pytest.approx(ngram.orders(corpus.validation.numpy()))
    assert report.training_tokens + report.tokens == len(RHYME)


def test_where_a_text_starts_is_not_foretold(path):
    corpus = Corpus.read(path, level="word", ends=True, validation_share=0.2)
    language_model = writer_of(corpus, ends=True)
    report = evaluate_text(language_model, corpus, name="rhyme", order=2)
    lines = corpus.validation_text.splitlines()
    assert report.tokens == sum(len(language_model.encode(line)) + 1 for line in lines)
    assert len(corpus.validation) == report.tokens + len(lines)


def test_a_report_says_what_was_measured(path, tmp_path):
    corpus = Corpus.read(path)
    report = evaluate_text(writer_of(corpus), corpus, name="rhyme", order=2)
    report.write(tmp_path / "reports" / "rhyme-validation")
    data = json.loads((tmp_path / "reports" / "rhyme-validation.json").read_text())
    assert data["nats"] == report.nats
    assert data["perplexity"] == pytest.approx(math.exp(report.nats))
    table = (tmp_path / "reports" / "rhyme-validation.md").read_text()
    assert f"| toy | {report.nats:.4f} |" in table
    assert f"| 2-gram | {report.ngrams[1]:.4f} |" in table
    assert "gram" not in replace(report, ngrams=()).as_markdown()


def test_another_corpus_is_refused(path, tmp_path):
    (tmp_path / "other.txt").write_text("Jack and Jill went up the hill\n" * 9)
    with pytest.raises(ValueError, match="other has another vocabulary than toy"):
        evaluate_text(
            writer_of(Corpus.read(path)),
            Corpus.read(tmp_path / "other.txt"),
            name="other",
            order=0,
        )
