"""A captioned set: its splits, its pictures, and clear errors about a wrong file."""

import json
from pathlib import Path

import numpy as np
import pytest

from model.data.karpathy import CaptionDataset, Entry
from tests.model.data.toys import draw, encoded, karpathy, write_set

ONE = [("a.png", "train", ["A dog ."])]


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    folder = tmp_path / "pictures"
    folder.mkdir()
    (folder / "a.png").write_bytes(encoded(draw(1), "PNG"))
    return folder


def refused(pictures: Path, content: bytes) -> str:
    path = pictures.parent / "captions.json"
    path.write_bytes(content)
    with pytest.raises(ValueError, match=r"captions\.json") as caught:
        CaptionDataset(path, [pictures])
    return str(caught.value)


def test_a_set_has_its_name_splits_and_captions(tmp_path):
    data = CaptionDataset(write_set(tmp_path, "meadow", 14), [tmp_path / "meadow"])
    assert data.name == "meadow"
    assert len(data.split("val")) == 2
    assert len(data.split("test")) == 2
    assert [len(entry.captions) for entry in data.split("test")] == [2, 4]
    assert data.split("test")[0].filename == "meadow_006.jpg"


def test_restval_belongs_to_the_training_split(tmp_path):
    data = CaptionDataset(write_set(tmp_path, "meadow", 14), [tmp_path / "meadow"])
    assert len(data.split("train")) == 10
    assert "meadow_002.jpg" in {entry.filename for entry in data.split("train")}
    with pytest.raises(ValueError, match="restval"):
        data.split("restval")


def test_no_picture_is_in_two_splits(tmp_path):
    data = CaptionDataset(write_set(tmp_path, "meadow", 21), [tmp_path / "meadow"])
    names = [entry.filename for split in ("train", "val", "test") for entry in data.split(split)]
    assert len(set(names)) == len(names) == 21


def test_pictures_come_from_tars_as_from_folders(tmp_path):
    loose = CaptionDataset(write_set(tmp_path / "f", "meadow", 5), [tmp_path / "f" / "meadow"])
    path = write_set(tmp_path / "t", "meadow", 5, tars=2)
    packed = CaptionDataset(path, [tmp_path / "t" / "meadow-*.tar"])
    for ours, theirs in zip(loose.split("train"), packed.split("train"), strict=True):
        assert ours == theirs
        assert np.array_equal(np.array(loose.picture(ours)), np.array(packed.picture(theirs)))


def test_captions_are_stripped(pictures):
    path = pictures / "c.json"
    path.write_text(json.dumps(karpathy("x", [("a.png", "train", ["  A dog .\n"])])))
    assert CaptionDataset(path, [pictures]).split("train") == [Entry("a.png", ("A dog .",))]


def test_the_error_for_an_unknown_split_lists_the_splits(tmp_path):
    data = CaptionDataset(write_set(tmp_path, "meadow", 7), [tmp_path / "meadow"])
    with pytest.raises(ValueError, match=r"no split 'dev'.*\['test', 'train', 'val'\]"):
        data.split("dev")


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{",
        b"[]",
        b"null",
        b"7",
        b"\xff\xfe\xff",
        b"{}",
        b'{"dataset": "x"}',
        b'{"images": []}',
        b'{"dataset": "x", "images": 3}',
        b'{"dataset": "x", "images": [3]}',
        b'{"dataset": "x", "images": {"a.png": []}}',
        b'{"dataset": "x", "images": [{"filename": "a.png", "split": "train"}]}',
        b'{"dataset": "x", "images": [{"filename": "a.png", "sentences": []}]}',
        b'{"dataset": "x", "images": [{"split": "train", "sentences": []}]}',
        b'{"dataset": "x", "images": [{"filename": 3, "split": "train", "sentences": []}]}',
        b'{"dataset": "x", "images": [{"filename": "a.png", "split": "train", "sentences": 3}]}',
    ],
)
def test_a_file_in_another_format_is_refused(pictures, content):
    assert "is not in the Karpathy format" in refused(pictures, content)


@pytest.mark.parametrize("sentence", ["A dog.", {"tokens": ["a"]}, {"raw": None}, {"raw": 3}])
def test_a_sentence_that_is_not_a_string_is_refused(pictures, sentence):
    data = karpathy("x", ONE)
    data["images"][0]["sentences"] = [sentence]
    assert "Karpathy format" in refused(pictures, json.dumps(data).encode())


def test_the_error_for_a_missing_picture_names_it(pictures):
    data = karpathy("x", [*ONE, ("b.png", "test", ["A cat ."])])
    message = refused(pictures, json.dumps(data).encode())
    assert "names b.png, which is in none of the picture sources" in message


def test_the_error_for_a_picture_without_a_caption_names_it(pictures):
    message = refused(pictures, json.dumps(karpathy("x", [("a.png", "train", [])])).encode())
    assert "no caption of a.png" in message


def test_a_missing_file_raises_file_not_found(pictures):
    with pytest.raises(FileNotFoundError, match=r"nowhere\.json"):
        CaptionDataset(pictures / "nowhere.json", [pictures])
