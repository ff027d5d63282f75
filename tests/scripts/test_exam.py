"""The exam knows right main nouns from wrong ones, and is taken by any captioner."""

import importlib.util
import json
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image

from tests.tiny import save_tiny_captioner

SCRIPT = Path(__file__).parents[2] / "scripts" / "exam.py"

specification = importlib.util.spec_from_file_location("exam", SCRIPT)
exam = importlib.util.module_from_spec(specification)
specification.loader.exec_module(exam)


def test_a_caption_is_right_if_it_says_a_noun_as_a_whole_word():
    question = exam.Question("here", "tower.jpg", frozenset({"tower", "towers"}), frozenset())
    assert question.is_right("A tower, and a tree.")
    assert not question.is_right("a towering tree")
    assert not question.is_right("")


def test_a_caption_is_wrong_if_it_says_what_is_not_there():
    question = exam.Question("here", "bike.jpg", frozenset({"bike"}), frozenset({"dirt bike"}))
    assert question.is_right("a bike on a dirt road")
    assert not question.is_right("a man on a dirt bike")


def test_every_photograph_has_nouns_of_small_letters():
    questions = exam.Question.read_all()
    for question in questions:
        assert question.nouns
        assert not question.nouns & question.unless
        for word in question.nouns | question.unless:
            assert word.replace(" ", "").isalpha()
            assert word.islower()
    places = [(question.source, question.file) for question in questions]
    assert len(set(places)) == len(places) > 50


def test_its_own_examples_are_there_and_folders_that_are_given_come_first(tmp_path):
    examples = [q.file for q in exam.Question.read_all() if q.source == "examples"]
    folders = exam.find_folders({"pexels": tmp_path})
    assert folders["pexels"] == tmp_path
    assert examples
    for file in examples:
        assert (folders["examples"] / file).is_file()
    assert exam.find_folders({"examples": tmp_path})["examples"] == tmp_path


def take(bundle: Path, *options: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, SCRIPT, bundle, *options], capture_output=True, text=True, check=False
    )


def test_a_captioner_takes_it(tmp_path):
    bundle = save_tiny_captioner(tmp_path / "bundle")
    pexels = json.loads(exam.EXAM.read_text())["pexels"]
    for number, file in enumerate(pexels):
        Image.new("RGB", (20, 16), (6 * number, 90, 10)).save(tmp_path / file)
    done = take(bundle, "--folder", f"pexels={tmp_path}")
    assert done.returncode == 0, done.stderr
    assert all(f"| `{file}` |" in done.stdout for file in pexels)
    assert "main nouns are right" in done.stdout


@pytest.mark.parametrize("folder", ["pexels", "pexels=/nowhere", "elsewhere=/"])
def test_a_folder_that_is_not_there_is_refused(tmp_path, folder):
    done = take(tmp_path, "--folder", folder)
    assert done.returncode == 2
    assert "give SOURCE=FOLDER" in done.stderr
