"""Pictures that look alike are found, written to a file and read from it."""

import json
import re

import pytest
import torch

from model.data.karpathy import Entry
from model.data.lookalikes import nearest, read_lookalikes, write_lookalikes

ENTRIES = [Entry(f"{name}.jpg", ("a dog",)) for name in "abcd"]
LOOKALIKES = {"a.jpg": ["c.jpg", "b.jpg"], "b.jpg": ["a.jpg", "d.jpg"], "c.jpg": ["a.jpg", "d.jpg"]}
LOOKALIKES |= {"d.jpg": ["b.jpg", "a.jpg"], "of another split.jpg": ["a.jpg"]}


def test_the_nearest_have_the_smallest_angle_seen_from_the_mean():
    torch.manual_seed(0)
    features = torch.randn(12, 5, dtype=torch.float64) + 40  # far from the origin
    apart = features - features.mean(0)
    found = nearest(features, 4)
    assert found.shape == (12, 4)
    for index, others in enumerate(found.tolist()):
        cosines = torch.cosine_similarity(apart[index : index + 1], apart)
        ranked = sorted(set(range(12)) - {index}, key=lambda other: -cosines[other].item())
        assert others == ranked[:4]


def test_a_written_file_is_read_as_indices(tmp_path):
    write_lookalikes(tmp_path / "alike.json", LOOKALIKES)
    assert read_lookalikes(tmp_path / "alike.json", ENTRIES, 2) == [[2, 1], [0, 3], [0, 3], [1, 0]]
    assert read_lookalikes(tmp_path / "alike.json", ENTRIES, 1) == [[2], [0], [0], [1]]
    assert not list(tmp_path.glob("*.tmp"))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("[", "JSONDecodeError"),
        ("[1]", "TypeError"),
        ('{"a.jpg": 3}', "TypeError"),
        (json.dumps(LOOKALIKES | {"b.jpg": ["x.jpg", "a.jpg"]}), "x.jpg"),
        (json.dumps({name: LOOKALIKES[name] for name in ("a.jpg", "b.jpg", "c.jpg")}), "d.jpg"),
        (json.dumps(LOOKALIKES | {"c.jpg": ["a.jpg"]}), "fewer than 2"),
    ],
)
def test_a_file_in_another_format_is_refused(tmp_path, content, message):
    path = tmp_path / "alike.json"
    path.write_text(content)
    with pytest.raises(ValueError, match=re.escape(message)) as caught:
        read_lookalikes(path, ENTRIES, 2)
    assert "alike.json" in str(caught.value)


def test_a_missing_file_raises_file_not_found(tmp_path):
    with pytest.raises(FileNotFoundError):
        read_lookalikes(tmp_path / "alike.json", ENTRIES, 2)
