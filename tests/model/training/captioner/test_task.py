"""Training a captioner learns, writes its files, and changes only what it may."""

import json
import math
from pathlib import Path
from typing import Any

import pytest
import torch

from model.captioning.captioner import Captioner
from model.data.batches import collate
from model.networks.caption_network import CaptionNetwork
from model.training.captioner.loss import CaptionLoss
from model.training.task import Losses
from model.vocabulary import Vocabulary
from model.vocabulary import split as cut
from tests.model.data.toys import draw, encoded, karpathy
from tests.model.training.recipes import (
    REWARDED,
    TRAIN,
    TUNED,
    command,
    make_trainer,
    read_curve,
    read_progress,
    read_tensors,
    train,
    write_recipe,
)
from tests.tiny import tiny_captioner

BY_HEART = {
    "red.png": "A red dog runs on the grass.",
    "blue.png": "Two boats in the water",
    "green.png": "One woman kicks some green ball",
    "white.png": "The old man sits by himself",
}
ONE_EPOCH = {"optimisation": {"epochs": 1}}

State = dict[str, torch.Tensor]


@pytest.fixture(scope="module")
def learned(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run that learned a few pictures by heart, and is validated on the same ones."""
    folder = tmp_path_factory.mktemp("by heart")
    (folder / "pictures").mkdir()
    images = []
    for seed, (name, caption) in enumerate(BY_HEART.items()):
        for split in ("train", "val"):
            (folder / "pictures" / f"{split}-{name}").write_bytes(encoded(draw(seed), "PNG"))
            images.append((f"{split}-{name}", split, [caption]))
    (folder / "heart.json").write_text(json.dumps(karpathy("heart", images)))
    recipe = write_recipe(
        folder,
        folder,
        {
            "data": [
                {
                    "captions": f"{folder}/heart.json",
                    "pictures": [f"{folder}/pictures"],
                    "weight": 60,
                }
            ],
            "views": 1,
            "decoder": {"hidden_size": 32, "embedding_size": 32, "dropout": 0.0},
            "decoding": {"max_length": 12},
            "optimisation": {
                "epochs": 4,
                "final_rate": 0.2,
                "label_smoothing": 0.0,
                "sampling": 0.0,
                "tune_from": 0,
                "encoder_learning_rate": 0.003,
            },
        },
    )
    return train(recipe, folder / "run")


@pytest.fixture(scope="module")
def short(tmp_path_factory: pytest.TempPathFactory, data: Path) -> Path:
    """A run of one epoch."""
    folder = tmp_path_factory.mktemp("short")
    return train(write_recipe(folder, data, ONE_EPOCH), folder / "run")


def pictures() -> list[Any]:
    return [draw(seed) for seed in range(len(BY_HEART))]


def texts(captioner: Captioner) -> list[str]:
    return [captions[0].text for captions in captioner.caption(pictures())]


def network_of(state: State, prefix: str = "network/") -> State:
    return {n.removeprefix(prefix): t for n, t in state.items() if n.startswith(prefix)}


def final(run: Path) -> State:
    return read_tensors(run / "checkpoint.safetensors")


def changed(before: State, after: State) -> set[str]:
    return {name for name in before if not torch.equal(before[name], after[name])}


# What is learned


@pytest.mark.slow
def test_the_loss_falls(learned):
    losses = [point["loss"] for point in read_curve(learned) if "loss" in point]
    assert len(losses) == 4
    assert losses[0] > 1
    assert losses[-1] < 0.1


def test_pictures_learned_by_heart_are_captioned_word_by_word(learned):
    words = Vocabulary.build(BY_HEART.values())
    expected = [words.decode(words.encode(caption)) for caption in BY_HEART.values()]
    assert texts(Captioner.load(learned / "bundle", "cpu")) == expected


def test_validation_scores_rise_to_their_best(learned):
    points = [point for point in read_curve(learned) if "epoch" in point]
    assert points[-1]["cider"] == pytest.approx(10)
    assert points[-1]["heart/bleu_4"] == pytest.approx(1, abs=1e-3)
    best = read_progress(learned / "checkpoint.safetensors")["best"]
    assert best["cider"] == max(point["cider"] for point in points)
    assert points[best["epoch"]]["cider"] == best["cider"]


def test_the_bundle_captions_as_the_averaged_network_does(learned):
    bundle = Captioner.load(learned / "bundle", "cpu")
    network = CaptionNetwork(bundle.config, len(bundle.vocabulary))
    network.load_state_dict(read_tensors(learned / "best.safetensors"))
    averaged = Captioner.of(network, bundle.config, bundle.vocabulary)
    for ours, theirs in zip(bundle.caption(pictures()), averaged.caption(pictures()), strict=True):
        assert ours[0].text == theirs[0].text
        assert ours[0].logprob == pytest.approx(theirs[0].logprob, abs=0.01)


def test_the_average_is_kept_and_not_the_last_weights(short):
    best = read_tensors(short / "best.safetensors")
    assert changed(best, network_of(final(short), "average/module.")) == set()
    assert "decoder.embedding.weight" in changed(best, network_of(final(short)))


# What a run leaves behind


def test_the_recipe_is_in_the_runs_folder(short):
    recipe = json.loads((short / "recipe.json").read_text())
    assert recipe["name"] == "toy"
    assert recipe["optimisation"]["epochs"] == 1
    assert recipe["optimisation"]["batch_size"] == 4
    assert recipe["max_words"] == 20  # the defaults, too


def test_the_environment_is_in_the_runs_folder(short):
    environment = json.loads((short / "environment.json").read_text())
    assert environment["packages"]["torch"] == torch.__version__.split("+")[0]
    assert environment["threads"] == 1
    assert environment["processes"] == 1


def test_the_curve_has_every_epoch(short):
    trained, validated = read_curve(short)
    assert trained["step"] == validated["step"] == 5
    assert trained["loss"] > 0
    assert trained["seconds"] > 0
    assert validated["epoch"] == 1
    sets = (validated["meadow/cider"], validated["harbour/cider"])
    assert validated["cider"] == pytest.approx(sum(sets) / 2)


def test_the_curve_of_rewards_describes_the_drawn_captions(tmp_path, data):
    recipe = write_recipe(tmp_path, data, REWARDED, ONE_EPOCH, {"max_words": 6})
    trained, validated = read_curve(train(recipe, tmp_path / "run"))
    assert trained.keys() >= {"reward", "length", "finished", "loss", "learning_rate", "seconds"}
    assert 0 <= trained["finished"] <= 1
    assert 1 <= trained["length"] <= 7
    assert trained["loss"] > 1
    assert validated["epoch"] == 1


def test_tensorboard_can_read_the_run(short):
    (events,) = (short / "tensorboard").glob("events.out.tfevents.*")
    content = events.read_bytes()
    assert b"learning_rate" in content
    assert b"meadow/cider" in content


def test_nothing_temporary_is_left(short):
    names = {path.name for path in short.rglob("*")}
    assert not {name for name in names if name.endswith((".tmp", ".old"))}
    assert {"bundle", "best.safetensors", "checkpoint.safetensors"} <= names


def test_the_bundle_says_where_it_comes_from(short):
    config = Captioner.load(short / "bundle", "cpu").config
    assert config.name == "toy"
    assert config.provenance == {"data": ["meadow", "harbour"], "recipe": "toy", "best_epoch": 1}
    assert config.preprocessing.size == 64
    assert config.decoding.max_length == 6


# When it ends


def test_training_stops_when_validation_stops_rising(tmp_path, data):
    still = {"optimisation": {"epochs": 9, "patience": 2, "learning_rate": 1e-12}}
    recipe = write_recipe(tmp_path, data, still)
    run = train(recipe, tmp_path / "run")
    validated = [point["epoch"] for point in read_curve(run) if "epoch" in point]
    assert validated == [1, 2, 3]  # the first is the best, and two more were no better
    assert read_progress(run / "checkpoint.safetensors")["best"]["epoch"] == 0
    assert Captioner.load(run / "bundle", "cpu").config.provenance["best_epoch"] == 1
    train(recipe, run)  # training it again takes no more steps
    assert [point["epoch"] for point in read_curve(run) if "epoch" in point] == [1, 2, 3]


# The loss


def one_caption(smoothing: float) -> tuple[CaptionLoss, torch.Tensor, Any, float]:
    """Return a loss, a grid and a caption with the log-probability that the captioner gives it."""
    captioner = tiny_captioner(dropout=0.0, detected_words=8)
    text = "a dog runs on the grass"
    grid = captioner.encode(captioner.prepare([draw(1)])).clone()
    captions = collate([[text]], [False], captioner.vocabulary, 20)
    loss = CaptionLoss(captioner.network, smoothing)
    return loss, grid, captions, captioner.score(draw(1), text).logprob


def total(losses: Losses) -> float:
    """Return the cross-entropy, whose weight is the number of tokens."""
    words, detector = losses.terms
    assert words.total == losses.watched["loss"].total
    assert words.weight == detector.weight == 7
    return words.total.item()


def test_the_loss_in_evaluation_is_the_captions_log_probability():
    loss, grid, captions, logprob = one_caption(smoothing=0.1)
    assert total(loss.eval()(grid, captions, 0.0)) == pytest.approx(-logprob, rel=1e-4)


def test_labels_are_smoothed_only_in_training():
    loss, grid, captions, logprob = one_caption(smoothing=0.1)
    smoothed = total(loss.train()(grid, captions, 0.0))
    plain = total(one_caption(smoothing=0.0)[0].train()(grid, captions, 0.0))
    assert plain == pytest.approx(-logprob, rel=1e-4)
    assert smoothed != pytest.approx(plain, rel=1e-3)


def test_a_batch_without_words_has_no_loss_and_no_gradient():
    loss, grid, captions, _ = one_caption(smoothing=0.1)
    captions.reads[:] = False
    losses = loss.train()(grid, captions, 0.0)
    cost = sum(term.total for term in losses.terms)
    cost.backward()
    gradients = [p.grad for p in loss.parameters() if p.grad is not None]
    assert cost.item() == 0
    assert not any(term.weight for term in losses.terms)
    assert gradients
    assert not any(gradient.any() for gradient in gradients)


def test_the_detector_learns_only_from_its_own_loss():
    loss, grid, captions, _ = one_caption(smoothing=0.1)
    detector = loss.network.decoder.detector
    written, detected = (term.total for term in loss.train()(grid, captions, 0.0).terms)
    written.backward(retain_graph=True)
    assert all(p.grad is None for p in detector.parameters())
    detected.backward()
    assert all(p.grad is not None and p.grad.any() for p in detector.parameters())
    truth = detector.said(captions.targets)
    expected = torch.nn.functional.binary_cross_entropy(detector.log_odds(grid).sigmoid(), truth)
    assert detected.item() == pytest.approx(expected.item() * truth.numel(), rel=1e-4)


def test_the_detector_starts_from_the_words_frequencies_in_captions(tmp_path, data):
    trainer = make_trainer(write_recipe(tmp_path, data), tmp_path / "run")
    texts = [c for entries in trainer.task.data.train for entry in entries for c in entry.captions]
    word = trainer.task.data.vocabulary.tokens[6]
    rate = sum(word in cut(text, "word") for text in texts) / len(texts)
    usual = trainer.network.decoder.detector.usual[2]
    assert 0 < rate < 1
    assert usual.sigmoid().item() == pytest.approx(rate, rel=1e-4)


def test_scheduled_sampling_changes_what_is_learned_from_the_second_epoch_on(tmp_path, data):
    states = []
    for name, sampling in (("never", 0.0), ("often", 0.9), ("again", 0.9)):
        change = {"optimisation": {"epochs": 2, "sampling": sampling}}
        recipe = write_recipe(tmp_path / name, data, change)
        states.append(final(train(recipe, tmp_path / name / "run")))
    losses = [
        [point["loss"] for point in read_curve(tmp_path / name / "run") if "loss" in point]
        for name in ("never", "often")
    ]
    assert losses[0][0] == losses[1][0]
    assert losses[0][1] != losses[1][1]
    assert changed(states[0], states[1])
    assert not changed(states[1], states[2])
    assert all(torch.isfinite(tensor).all() for tensor in states[1].values())


# What is trained


def trained_from_its_start(tmp_path: Path, data: Path, *changes: dict[str, Any]) -> set[str]:
    """Train for an epoch, and return the names of the encoder's tensors that changed."""
    trainer = make_trainer(write_recipe(tmp_path, data, ONE_EPOCH, *changes), tmp_path / "run")
    before = {name: t.clone() for name, t in trainer.network.state_dict().items()}
    stages = trainer.network.encoder.stages()
    trainer.fit()
    moved = changed(before, trainer.network.state_dict())
    assert {name for name in before if name.startswith("decoder.")} - moved <= INVARIANT
    names = {id(t): name for name, t in trainer.network.state_dict(keep_vars=True).items()}
    early = {
        names[id(t)] for stage in stages[:-3] for t in stage.state_dict(keep_vars=True).values()
    }
    assert not moved & early
    return {name for name in moved if name.startswith("encoder.")}


# Softmax over the grid does not feel what is added to every score.
INVARIANT = {"decoder.attention.to_score.bias"}


def is_statistic(name: str) -> bool:
    return name.endswith(("running_mean", "running_var", "num_batches_tracked"))


def test_a_frozen_encoder_does_not_change(tmp_path, data):
    assert trained_from_its_start(tmp_path, data) == set()


def test_a_tuned_encoder_keeps_its_statistics(tmp_path, data):
    moved = trained_from_its_start(tmp_path, data, {"optimisation": {"tune_from": -3}})
    assert moved
    assert not any(map(is_statistic, moved))


def test_a_tuned_encoder_may_update_its_statistics(tmp_path, data):
    tuned = {"optimisation": {"tune_from": -3, "update_batch_norm": True}}
    moved = trained_from_its_start(tmp_path, data, tuned)
    assert {name.rsplit(".", 1)[1] for name in moved if is_statistic(name)} == {
        "running_mean",
        "running_var",
        "num_batches_tracked",
    }


def test_only_matrices_decay_and_the_encoder_has_its_own_rate(tmp_path, data):
    trainer = make_trainer(write_recipe(tmp_path, data, TUNED), tmp_path / "run")
    groups = trainer.optimizer.param_groups
    assert [(group["peak"], group["weight_decay"]) for group in groups] == [
        (0.01, 0.01),
        (0.01, 0.0),
        (0.01, 0.01),
        (0.01, 0.0),
    ]
    assert [{p.ndim >= 2 for p in group["params"]} for group in groups] == [
        {True},
        {False},
        {True},
        {False},
    ]
    trained = {id(p) for p in trainer.network.parameters() if p.requires_grad}
    assert {id(p) for group in groups for p in group["params"]} == trained


def test_a_tuned_encoder_reads_pixels_in_the_fast_layout(tmp_path, data):
    trainer = make_trainer(write_recipe(tmp_path, data, TUNED, ONE_EPOCH), tmp_path / "run")
    layouts = []
    trainer.network.encoder.register_forward_pre_hook(
        lambda _, pixels: layouts.append(pixels[0].is_contiguous(memory_format=torch.channels_last))
    )
    trainer.fit()
    assert layouts == [True] * 5


def test_pixels_are_not_mistaken_for_a_grid_with_as_many_channels(tmp_path, data, monkeypatch):
    # A picture 96 pixels wide, and an encoder of 96 channels.
    change = {"encoder": {"name": "timm/test_resnet"}, "preprocessing": {"size": 96}}
    trainer = make_trainer(write_recipe(tmp_path, data, TUNED, change), tmp_path / "run")
    seen = []
    search = Captioner.search

    def watched(captioner: Captioner, grid: torch.Tensor, **options: Any) -> Any:
        seen.append(tuple(grid.shape[1:]))
        return search(captioner, grid, **options)

    monkeypatch.setattr(Captioner, "search", watched)
    trainer.fit()
    assert set(seen) == {(3, 3, 96)}


# Precision and processes


@pytest.mark.slow
@pytest.mark.parametrize("kind", [{}, TUNED, REWARDED], ids=["frozen", "tuned", "rewarded"])
def test_bfloat16_trains_float32_weights(tmp_path, data, kind):
    losses = {}
    for precision in ("float32", "bfloat16"):
        folder = tmp_path / precision
        change = {"precision": precision, "decoder": {"dropout": 0.0}}
        run = train(write_recipe(folder, data, kind, change, ONE_EPOCH), folder / "run")
        losses[precision] = read_curve(run)[0]["loss"]
        floats = {t.dtype for t in final(run).values() if t.is_floating_point()}
        assert floats == {torch.float32}
    assert losses["bfloat16"] == pytest.approx(losses["float32"], rel=0.02)
    assert losses["bfloat16"] != losses["float32"]


# Each process draws other random numbers, so these captions are not drawn at random: the first word
# of one is the likeliest, of the next the second likeliest, and so on; every later word is the
# likeliest.
RANKED = """
import torch
from model.training.captioner import self_critical

def ranked(decoder, grid, samples, max_words, *, temperature):
    context = decoder.encode_context(grid.detach())
    state = tuple(part[:, None].expand(-1, samples, -1) for part in context.start)
    tokens, steps = torch.ones(len(grid), samples, dtype=torch.long), []
    for _ in range(max_words + 1):
        logprobs, state, _ = decoder.step(tokens, state, context)
        best = logprobs[..., 2:].topk(samples).indices + 2
        tokens = best[..., 0] if steps else best[:, 0]
        tokens = tokens + (tokens == 3)
        if steps:
            tokens = tokens * ~((steps[-1] == 2) | (steps[-1] == 0))
        steps.append(tokens)
    return torch.stack(steps, 2)

self_critical.draw_captions = torch.no_grad()(ranked)
"""


@pytest.mark.slow
@pytest.mark.parametrize(
    ("kind", "script"), [({}, TRAIN), (REWARDED, RANKED + TRAIN)], ids=["read", "rewarded"]
)
def test_two_processes_train_as_one_does(tmp_path, data, kind, script):
    # 18 pictures an epoch: the first step's are split unevenly, and one process idles in the
    # second. Without attention every parameter has a true gradient, which Adam does not blow up.
    change = {
        "decoder": {"kind": "global", "dropout": 0.0},
        "optimisation": {"batch_size": 17, "sampling": 0.0},
    }
    (tmp_path / "train.py").write_text(script)
    launcher = ("-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2")
    runs = []
    for name, start in (("one", ()), ("two", launcher)):
        recipe = write_recipe(tmp_path / name, data, change, kind)
        runs.append(tmp_path / name / "run")
        process = command(*start, str(tmp_path / "train.py"), str(recipe), str(runs[-1]))
        output, _ = process.communicate(timeout=240)
        assert process.returncode == 0, output.decode()
        environment = json.loads((runs[-1] / "environment.json").read_text())
        assert environment["processes"] == 1 + (name == "two")
    ours, theirs = (network_of(final(run)) for run in runs)
    for name, tensor in ours.items():
        torch.testing.assert_close(theirs[name], tensor, rtol=1e-4, atol=1e-5, msg=name)
    for ours, theirs in zip(*map(read_curve, runs), strict=True):
        for name in ours.keys() & {"loss", "reward", "length", "finished"}:
            assert math.isclose(ours[name], theirs[name], rel_tol=1e-5)
