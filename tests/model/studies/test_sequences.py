"""The study of sequences: its data is what it says, its networks learn it, its report holds it."""

import datetime
import json
import re
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from PIL import Image

from model.bundle.write import save_bundle
from model.studies.sequences import labels as labels_module
from model.studies.sequences import study as study_module
from model.studies.sequences.labels import (
    FRAMES,
    SIDE,
    LabelTask,
    moving_shape,
    next_character,
    which_writer,
)
from model.studies.sequences.networks import END, PAD, START, Labeller, Rewriter
from model.studies.sequences.rewrites import dates, make_rewrite_task, sums
from model.studies.sequences.study import SequenceStudySettings, study_sequences, written_texts
from model.studies.sequences.training import train_labeller, train_rewriter
from tests.tiny import save_tiny_language_model, tiny_language_model

TEXTS = {"low": "abcabcab" * 60, "high": "xyzxzyxz" * 60}


def generator(seed: int = 1) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def test_windows_are_of_the_writers_that_their_labels_name() -> None:
    task = which_writer(TEXTS, 16)
    for draw in (task.draw, task.draw_test):
        inputs, labels = draw(generator(), 50)
        alphabet = "".join(sorted(set("".join(TEXTS.values()))))
        assert inputs.shape[2] == len(alphabet) + 1
        low = inputs[labels == 0].sum((0, 1)) > 0
        high = inputs[labels == 1].sum((0, 1)) > 0
        assert not (low & high).any()
        assert (low.sum(), high.sum()) == (3, 3)
    assert task.draw_test(generator(), 3)[0].shape[1] == 16


def test_a_test_never_reads_what_was_trained_on() -> None:
    texts = {"a": "1" * 400 + "2" * 100, "b": "1" * 400 + "2" * 100}
    task = next_character(texts, 10)
    assert set(task.draw(generator(), 20)[1].flatten().tolist()) == {1}
    assert set(task.draw_test(generator(), 20)[1].flatten().tolist()) == {2}


def test_the_next_character_follows() -> None:
    inputs, labels = next_character({"a": "abcdefgh" * 30}, 12).draw(generator(), 5)
    assert torch.equal(inputs.argmax(2)[:, 1:], labels[:, :-1])


@pytest.mark.parametrize("in_step", [False, True])
def test_the_square_moves_where_the_label_says(
    in_step: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(labels_module, "_NOISE", 0.01)
    inputs, labels = moving_shape(in_step=in_step).draw(generator(), 40)
    frames = inputs.reshape(40, FRAMES, SIDE, SIDE)
    moves = {0: (0, 1), 1: (1, 0), 2: (0, -1), 3: (-1, 0)}
    for clip, row in zip(frames, labels.reshape(40, -1), strict=True):
        for t in range(1, FRAMES):
            direction = int(row[t] if in_step else row[0])
            # Moved back, the square is where it was: the frames correlate best that way.
            match = {
                one: float((clip[t - 1].roll(move, (0, 1)) * clip[t]).sum())
                for one, move in moves.items()
            }
            assert max(match, key=match.__getitem__) == direction
    if in_step:
        assert (labels[:, 1:] != labels[:, :-1]).sum(1).max() == 1


def test_dates_and_sums_are_right_and_all_different() -> None:
    for pairs in (dates(), sums()):
        assert len({source for source, _ in pairs}) == len(pairs)
    assert all(sum(map(int, source.split("+"))) == int(total) for source, total in sums())
    spellings = ("%d %B %Y", "%b %d, %Y", "%d.%m.%Y")
    used = set()
    for source, iso in dates()[::97]:
        spelling = spellings[0 if source[-5] == " " and "," not in source else 1 + ("." in source)]
        used.add(spelling)
        assert datetime.datetime.strptime(source, spelling).date().isoformat() == iso
    assert used == set(spellings)


def test_held_out_pairs_are_not_trained_on() -> None:
    task = make_rewrite_task("sum", sums())
    assert (len(task.source), len(task.test_source)) == (9_000, 1_000)
    trained = {tuple(row) for row in task.source.tolist()}
    assert not trained & {tuple(row) for row in task.test_source.tolist()}
    source, target = task.spell(task.source[0]), task.spell(task.target[0])
    assert sum(map(int, source.split("+"))) == int(target)


@pytest.mark.parametrize("attention", [False, True])
def test_writing_step_by_step_and_at_once_agree(attention: bool) -> None:
    torch.manual_seed(0)
    network = Rewriter("gru", 9, 7, attention=attention)
    source = torch.tensor([[PAD, 3, 4, 5], [6, 5, 4, 3]])
    written = network.rewrite(source, 5)
    given = torch.cat([torch.full((2, 1), START), written[:, :-1]], dim=1)
    assert torch.equal(network(source, given).argmax(-1), written)


def test_padding_is_not_looked_at() -> None:
    torch.manual_seed(0)
    network = Rewriter("lstm", 9, 7, attention=True)
    read, _ = network._read(torch.tensor([[PAD, PAD, 3, 4]]))
    hidden = torch.randn(1, 3, 9)
    padded = network._score(hidden, read, torch.tensor([[PAD, PAD, 3, 4]]))
    assert torch.allclose(padded, network._score(hidden, read[:, 2:], torch.tensor([[3, 4]])))


def test_without_memory_a_label_depends_on_one_vector_alone() -> None:
    torch.manual_seed(0)
    inputs = torch.randn(2, 5, 4)
    changed = inputs.clone()
    changed[:, :3] = 0
    forgetful, other = (Labeller("lstm", 4, 8, 3, memory=memory) for memory in (False, True))
    assert torch.equal(forgetful(inputs)[:, 3:], forgetful(changed)[:, 3:])
    assert not torch.allclose(other(inputs)[:, 3:], other(changed)[:, 3:])


@pytest.mark.parametrize("task", [which_writer(TEXTS, 8), moving_shape(in_step=False)])
def test_labels_are_learned(task: LabelTask) -> None:
    steps = 30 if task.name == "whose text" else 120
    run = train_labeller(task, cell="gru", units=32, steps=steps, seed=1, memory=True)
    assert run.score > 0.8 > run.commonest
    assert run.by_step[-1] == pytest.approx(run.score)


def test_a_direction_needs_memory() -> None:
    task = moving_shape(in_step=False)
    run = train_labeller(task, cell="gru", units=32, steps=60, seed=1, memory=False)
    assert run.score < 0.35


@pytest.mark.parametrize("backwards", [False, True])
def test_a_copy_is_learned_with_attention(backwards: bool) -> None:
    words = [f"{a}{b}{c}" for a in "abcdef" for b in "abcdef" for c in "abcdef"]
    task = make_rewrite_task("copy", [(word, word) for word in words])
    run = train_rewriter(
        task, cell="gru", units=32, steps=250, seed=1, backwards=backwards, attention=True
    )
    assert run.exact > 0.8
    assert run.characters >= run.exact
    for source, written, right in run.examples:
        assert source == right
        assert set(written) <= set("abcdef")
    assert run.curve[-1][0] <= 250


def test_reversed_sources_keep_their_padding_on_the_left() -> None:
    from model.studies.sequences.training import _reversed

    source = torch.tensor([[PAD, PAD, 3, 4], [5, 6, 7, 8], [PAD, 9, 9, 3]])
    expected = [[PAD, PAD, 4, 3], [8, 7, 6, 5], [PAD, 3, 9, 9]]
    assert _reversed(source).tolist() == expected
    assert END not in source


def test_the_report_holds_what_was_measured(tmp_path: Path) -> None:
    for name, text in TEXTS.items():
        (tmp_path / f"{name}.txt").write_text(text)
    settings = SequenceStudySettings(
        tasks=("writer", "clip", "next", "frames", "sum"),
        texts=(tmp_path / "low.txt", tmp_path / "high.txt"),
        units=6,
        steps=4,
        seeds=2,
        length=8,
    )
    lines: list[str] = []
    study = study_sequences(settings, report_progress=lines.append)
    assert len(lines) == len(study.labelled) + len(study.rewritten) == 4 * 2 * 2 + 4 * 2
    files = study.write(tmp_path / "report")
    assert [path.name for path in files] == ["sequences.json", "sequences.md", "sequences.png"]
    with Image.open(files[2]) as picture:
        picture.load()
    stored = json.loads(files[0].read_text())
    assert stored["labelled"][0]["score"] == study.labelled[0].score
    table = study.as_markdown()
    whose = [run for run in study.labelled if run.task == "whose text" and run.memory]
    mean = sum(run.score for run in whose) / 2
    row = next(line for line in table.splitlines() if line.startswith("| whose text |"))
    assert f"| {mean:.1%} ± " in row
    sums_row = [line for line in table.splitlines() if re.match(r"\| sum \| reversed \| yes", line)]
    assert len(sums_row) == 1
    assert "the mean ± the standard deviation over 2 seeds" in table


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"tasks": ("video",)}, "there is no task 'video'"),
        ({"tasks": ()}, "choose from"),
        ({"cell": "qrnn"}, "unknown cell 'qrnn'"),
        ({"steps": 1}, "steps must be at least 2"),
        ({"seeds": 0}, "seeds must be at least 1"),
    ],
)
def test_bad_settings_are_refused(changes: dict[str, object], says: str) -> None:
    with pytest.raises(ValueError, match=says):
        SequenceStudySettings(**changes)


def test_of_writers_of_one_text_the_largest_writes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    learned = {"small": ("plays", 4), "large": ("plays", 12), "other": ("prose", 4)}
    for name, (corpus, units) in learned.items():
        writer = tiny_language_model(hidden_size=units)
        config = replace(writer.config, name=name, provenance={"corpus": corpus})
        folder = tmp_path / "text" / name
        save_bundle(folder, config, writer.network.state_dict(), writer.vocabulary, writer.card)
    save_tiny_language_model(tmp_path / "text" / "words", text="a b c", level="word")
    monkeypatch.setattr(study_module, "SHIPPED_WEIGHTS", tmp_path)
    lines: list[str] = []
    texts = written_texts(60, 1, lines.append)
    assert sorted(texts) == ["large", "other"]
    assert all(len(text.replace("\n", "")) > 20 for text in texts.values())
    assert sorted(line.split(":")[0] for line in lines) == ["large", "other"]


def test_too_little_text_is_refused(tmp_path: Path) -> None:
    short, long = tmp_path / "short.txt", tmp_path / "long.txt"
    short.write_text("abc")
    long.write_text("abc" * 500)
    quick = {"steps": 2, "seeds": 1, "units": 2, "tasks": ("writer",)}
    for texts, says in (((long, short), "'short' has 3 characters"), ((long,), "two texts")):
        settings = SequenceStudySettings(texts=texts, **quick)
        with pytest.raises(ValueError, match=says):
            study_sequences(settings, report_progress=lambda line: None)
