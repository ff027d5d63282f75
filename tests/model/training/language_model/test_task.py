"""Training a language model learns, carries the state between chunks, and writes its files."""

import copy
import json
import math
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import torch
from accelerate import Accelerator
from typer.testing import CliRunner

import model.training.language_model.task
from app.cli.main import app
from model.config import RecurrentConfig, SamplingConfig, TextConfig
from model.data.corpus import streams
from model.networks.cells import CELLS
from model.networks.text_network import TextNetwork
from model.text.language_model import LanguageModel
from model.training.language_model.loss import TextLoss, nats_per_token
from model.training.trainer import Trainer
from model.vocabulary import Vocabulary
from tests.model.training.recipes import read_curve, read_progress, read_tensors
from tests.model.training.text_recipes import (
    NOUNS,
    VERBS,
    make_text_trainer,
    tale,
    train_text,
    write_text_recipe,
)

ONE_EPOCH = {"optimisation": {"epochs": 1}}
LINES: dict[str, Any] = {"level": "word", "ends": True, "prompt": "", "validation_share": 0.2}
QUICK = {"epochs": 8, "streams": 8, "steps": 16, "learning_rate": 0.02, "final_rate": 0.1}

State = dict[str, torch.Tensor]


@pytest.fixture(scope="module")
def lines(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run on lines of three words, whose words can be learned but not their order."""
    folder = tmp_path_factory.mktemp("lines")
    network = {"hidden_size": 24, "embedding_size": 12, "tie_output": True, "dropout": 0.1}
    recipe = write_text_recipe(
        folder, tale(1500), LINES, {"network": network, "optimisation": QUICK | {"epochs": 4}}
    )
    return train_text(recipe, folder / "run")


@pytest.fixture(scope="module")
def short(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of one epoch, of several steps."""
    folder = tmp_path_factory.mktemp("short")
    return train_text(write_text_recipe(folder, tale(), ONE_EPOCH), folder / "run")


@pytest.fixture
def trainer(tmp_path: Path) -> Trainer:
    return make_text_trainer(write_text_recipe(tmp_path, tale()), tmp_path / "run")


def of_steps(run: Path, name: str) -> list[float]:
    return [point[name] for point in read_curve(run) if name in point]


def final(run: Path, prefix: str = "network/") -> State:
    tensors = read_tensors(run / "checkpoint.safetensors")
    return {n.removeprefix(prefix): t for n, t in tensors.items() if n.startswith(prefix)}


def changed(before: State, after: State) -> set[str]:
    return {name for name in before if not torch.equal(before[name], after[name])}


# What is learned


@pytest.mark.slow
@pytest.mark.parametrize("cell", ["lstm", "rnn"])
def test_a_repetitive_text_is_learned_by_heart(tmp_path, cell):
    change = {
        "network": {"cell": cell, "hidden_size": 32},
        "optimisation": QUICK | {"epochs": 12},
        "sampling": {"temperature": 0.0},
    }
    recipe = write_text_recipe(tmp_path, "she sells sea shells. " * 90, change)
    run = train_text(recipe, tmp_path / "run")
    losses, validated = of_steps(run, "loss"), of_steps(run, "validation_loss")
    assert losses[0] > 1
    assert losses[-1] < 0.05
    assert validated[-1] < 0.06  # the first letters are anyone's guess
    language_model = LanguageModel.load(run / "bundle", "cpu")
    written = "".join(piece.text for piece in language_model.generate("she sells", max_tokens=35))
    assert written == " sea shells. she sells sea shells. "


@pytest.mark.slow
def test_earlier_chunks_are_remembered(tmp_path):
    # Whether a b comes next shows only seven letters back, and gradients go back three. A
    # network that forgets at every chunk knows 1, 2 or 3 letters: its loss is at least `unaware`.
    change = {
        "prompt": "",
        "network": {"cell": "gru", "hidden_size": 32},
        # Long enough that no processor's rounding, which is another seed, is near the bound.
        "optimisation": QUICK | {"steps": 3, "epochs": 40},
    }
    run = train_text(write_text_recipe(tmp_path, "aaaaaaab" * 220, change), tmp_path / "run")
    unaware = sum((8 - k) / 8 * entropy(1 / (8 - k)) for k in (1, 2, 3)) / 3
    assert unaware == pytest.approx(0.337, abs=1e-3)
    assert of_steps(run, "loss")[-1] < unaware / 2


def entropy(p: float) -> float:
    return -p * math.log(p) - (1 - p) * math.log(1 - p)


@pytest.mark.parametrize("cell", CELLS)
@pytest.mark.parametrize("layers", [1, 2])
def test_every_cell_takes_a_step(tmp_path, cell, layers):
    change = {
        "network": {"cell": cell, "layers": layers, "hidden_size": 8, "embedding_size": 6},
        "optimisation": {"epochs": 1, "streams": 4, "steps": 999},
    }
    trainer = make_text_trainer(write_text_recipe(tmp_path, tale(), change), tmp_path / "run")
    before = {name: t.clone() for name, t in trainer.network.state_dict().items()}
    trainer.fit()
    after = trainer.network.state_dict()
    assert trainer.step == trainer.total_steps == 1
    assert changed(before, after) == set(before)
    assert all(torch.isfinite(tensor).all() for tensor in after.values())
    assert LanguageModel.load(trainer.save(), "cpu").config.network.cell == cell


# Truncated backpropagation through time


def watched(trainer: Trainer, monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """Record at each step what the trainer reads and carries, and its gradient around clipping."""
    seen: list[dict[str, Any]] = []
    take, clip = trainer._step, trainer.accelerator.clip_grad_norm_

    def step(chunk: torch.Tensor) -> tuple[dict[str, float], float]:
        network, state = copy.deepcopy(trainer.network), trainer.task.state
        seen.append({"chunk": chunk, "network": network, "before": state})
        values, norm = take(chunk)
        rate = trainer.optimizer.param_groups[0]["lr"]
        seen[-1] |= {
            "after": trainer.task.state,
            "loss": values["loss"],
            "norm": norm,
            "rate": rate,
        }
        return values, norm

    def clipped(parameters: Any, max_norm: float) -> torch.Tensor:
        seen[-1]["gradient"] = gradient_of(trainer.network)
        norm = clip(parameters, max_norm)
        seen[-1]["clipped"] = gradient_of(trainer.network)
        return norm

    monkeypatch.setattr(trainer, "_step", step)
    monkeypatch.setattr(trainer.accelerator, "clip_grad_norm_", clipped)
    return seen


def gradient_of(network: torch.nn.Module) -> torch.Tensor:
    return torch.cat([p.grad.flatten() for p in network.parameters()])


def test_a_chunk_begins_where_the_last_one_ended(trainer, monkeypatch):
    seen = watched(trainer, monkeypatch)
    trainer.fit()
    epochs = [seen[i : i + 5] for i in range(0, len(seen), 5)]
    assert len(epochs) == 3
    texts = []
    for steps in epochs:
        assert not any(part.any() for part in steps[0]["before"])
        for one, two in pairwise(steps):
            assert all(part.any() for part in one["after"])
            pairs = zip(one["after"], two["before"], strict=True)
            assert all(torch.equal(*pair) for pair in pairs)
            assert torch.equal(one["chunk"][:, -1], two["chunk"][:, 0])
        texts.append(torch.cat([step["chunk"][:, :-1] for step in steps], dim=1))
        whole = torch.cat([texts[-1], steps[-1]["chunk"][:, -1:]], dim=1)
        start_id = trainer.task.corpus.vocabulary.start_id
        assert (whole[:, 0] == start_id).all()
        # The whole text is read, but for the few letters that do not fill the streams.
        around = torch.cat([trainer.task.corpus.train] * 2).tolist()
        read = whole[:, 1:].flatten().tolist()
        assert len(trainer.task.corpus.train) - len(read) < len(whole)
        assert any(around[i : i + len(read)] == read for i in range(len(around)))
    assert not torch.equal(texts[0], texts[1])  # cut elsewhere


def test_the_gradient_ends_at_the_start_of_the_chunk(trainer, monkeypatch):
    seen = watched(trainer, monkeypatch)
    trainer.fit()
    for step in seen[:7]:
        assert not any(part.requires_grad for part in step["after"])
        network, start_id = step["network"], trainer.task.corpus.vocabulary.start_id
        network.zero_grad()
        before = tuple(part.clone() for part in step["before"])
        logits, after = network(step["chunk"][:, :-1], before)
        chosen = logits.log_softmax(-1).gather(2, step["chunk"][:, 1:, None])
        assert start_id not in step["chunk"][:, 1:]
        (-chosen.mean()).backward()
        assert step["loss"] == pytest.approx(-chosen.mean().item(), rel=1e-5)
        torch.testing.assert_close(step["gradient"], gradient_of(network), rtol=1e-4, atol=1e-6)
        for ours, theirs in zip(step["after"], after, strict=True):
            torch.testing.assert_close(ours, theirs)


def test_the_gradient_is_clipped_and_its_norm_before_that_is_logged(tmp_path, monkeypatch):
    change = {"optimisation": {"epochs": 1, "clip_norm": 0.1}}
    trainer = make_text_trainer(write_text_recipe(tmp_path, tale(), change), tmp_path / "run")
    seen = watched(trainer, monkeypatch)
    trainer.fit()
    norms = [step["gradient"].norm().item() for step in seen]
    assert min(norms) > 0.1
    assert [step["norm"] for step in seen] == pytest.approx(norms, rel=1e-5)
    for step in seen:
        assert step["clipped"].norm().item() == pytest.approx(0.1, rel=1e-4)
        cosine = torch.cosine_similarity(step["gradient"], step["clipped"], dim=0)
        assert cosine.item() == pytest.approx(1)
    (point,) = [point for point in read_curve(tmp_path / "run") if "loss" in point]
    assert point["gradient_norm"] == pytest.approx(sum(norms) / len(norms), rel=1e-5)
    assert point["largest_gradient_norm"] == pytest.approx(max(norms), rel=1e-5)
    assert point["loss"] == pytest.approx(sum(step["loss"] for step in seen) / len(seen))


def test_a_small_gradient_is_not_clipped(tmp_path, monkeypatch):
    change = {"optimisation": {"epochs": 1, "clip_norm": 1e6}}
    trainer = make_text_trainer(write_text_recipe(tmp_path, tale(), change), tmp_path / "run")
    seen = watched(trainer, monkeypatch)
    trainer.fit()
    assert all(torch.equal(step["gradient"], step["clipped"]) for step in seen)


def test_the_learning_rate_rises_and_falls(trainer, monkeypatch):
    seen = watched(trainer, monkeypatch)
    trainer.fit()
    rates = [step["rate"] / 0.01 for step in seen]
    assert len(rates) == 15
    assert rates[:4] == pytest.approx([1 / 3, 2 / 3, 1, 1])
    assert rates[9] == pytest.approx(0.505)  # halfway from 1 to 0.01
    assert rates[3:] == sorted(rates[3:], reverse=True)
    assert 0.01 < rates[-1] < 0.05
    logged = of_steps(trainer.run.folder, "learning_rate")
    assert logged == pytest.approx([step["rate"] for step in seen[4::5]])


def test_a_step_with_nothing_to_predict_changes_little(tmp_path):
    # One stream, one token a step: where a text starts, that token is the start.
    change = {"optimisation": {"epochs": 1, "streams": 1, "steps": 1}}
    recipe = write_text_recipe(tmp_path, tale(10), LINES, change)
    run = train_text(recipe, tmp_path / "run")
    assert all(torch.isfinite(tensor).all() for tensor in final(run).values())
    assert 0 < of_steps(run, "loss")[0] < 10


# Validation


def random_language_model(*, ends: bool = False) -> LanguageModel:
    """Make a model of few tokens with random weights."""
    torch.manual_seed(3)
    config = RecurrentConfig(hidden_size=10, layers=2, dropout=0.5)
    vocabulary = Vocabulary.build(["abcdefg"], "character")
    network = TextNetwork(config, len(vocabulary))
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.add_(torch.randn_like(parameter))
    about = TextConfig("random", "0", "character", config, SamplingConfig(), ends=ends)
    return LanguageModel.of(network, about, vocabulary)


def letters(count: int) -> torch.Tensor:
    return torch.randint(4, 11, (count,), generator=torch.Generator().manual_seed(4))


@pytest.mark.parametrize("count", [2, 40, 300, 511])
def test_the_loss_of_a_short_text_is_the_language_models(count):
    language_model, tokens = random_language_model(), letters(count)
    by_hand = -language_model.logprobs(tokens.tolist()).mean().item()
    language_model.network.train()
    assert nats_per_token(language_model.network, tokens, 1) == pytest.approx(by_hand, rel=1e-5)


def test_a_long_text_is_read_in_several_streams():
    language_model, tokens = random_language_model(), letters(3 * 256 + 31)
    thirds = [language_model.logprobs(third.tolist()).mean() for third in tokens[:798].view(3, 266)]
    by_hand = -sum(thirds) / 3
    assert nats_per_token(language_model.network, tokens, 1) == pytest.approx(by_hand, rel=1e-5)


def test_end_tokens_are_predicted_and_start_tokens_are_not():
    language_model, start, end = random_language_model(ends=True), 1, 2
    tokens = torch.tensor([start, 5, 6, end, start, 7, end, start, 4, 4, 9, end])
    logprobs = language_model.logprobs(tokens.tolist())
    by_hand = -logprobs[(tokens != start).numpy()].mean().item()
    assert nats_per_token(language_model.network, tokens, start) == pytest.approx(by_hand, rel=1e-5)
    loss, count, _ = TextLoss(language_model.network.eval(), start)(
        streams(tokens, 1, start), language_model.network.initial_state(1)
    )
    assert count.item() == 9
    assert loss.item() == pytest.approx(9 * by_hand, rel=1e-5)


def test_the_average_is_validated(short):
    best = read_tensors(short / "best.safetensors")
    assert changed(best, final(short, "average/module.")) == set()
    assert changed(best, final(short))
    recipe = write_text_recipe(short.parent / "again", tale(), ONE_EPOCH)
    trainer = make_text_trainer(recipe, short.parent / "again" / "run")
    trainer.network.load_state_dict(best)
    nats = nats_per_token(trainer.network, trainer.task.corpus.validation, 1)
    assert of_steps(short, "validation_loss") == [pytest.approx(nats)]


# When it ends


def test_training_stops_when_validation_stops_falling_and_keeps_the_best(tmp_path, monkeypatch):
    averages: list[State] = []

    def scripted(network: TextNetwork, *_: Any) -> float:
        averages.append({name: t.clone() for name, t in network.state_dict().items()})
        return [3.0, 2.0, 2.5, 2.0, 1.0][len(averages) - 1]

    monkeypatch.setattr(model.training.language_model.task, "nats_per_token", scripted)
    recipe = write_text_recipe(
        tmp_path, tale(10), {"optimisation": {"epochs": 9, "patience": 2, "average": 0.5}}
    )
    run = train_text(recipe, tmp_path / "run")
    assert of_steps(run, "validation_loss") == [3.0, 2.0, 2.5, 2.0]
    assert read_progress(run / "checkpoint.safetensors")["best"] == {"loss": 2.0, "epoch": 1}
    best = read_tensors(run / "best.safetensors")
    assert changed(best, averages[1]) == set()
    assert changed(best, averages[3])
    shipped = read_tensors(run / "bundle" / "model.safetensors")
    assert changed({n: t.to(shipped[n].dtype) for n, t in best.items()}, shipped) == set()
    assert LanguageModel.load(run / "bundle", "cpu").config.provenance["best_epoch"] == 2
    train_text(recipe, run)  # training it again takes no more steps
    assert len(averages) == 4


# What a run leaves behind


def test_the_recipe_and_the_environment_are_in_the_runs_folder(short):
    recipe = json.loads((short / "recipe.json").read_text())
    assert recipe["optimisation"]["epochs"] == 1
    assert recipe["network"]["cell"] == "lstm"  # the defaults, too
    environment = json.loads((short / "environment.json").read_text())
    assert (environment["threads"], environment["processes"]) == (1, 1)


def test_the_curve_has_every_epoch(short):
    trained, validated = read_curve(short)
    assert trained["step"] == validated["step"] == 5
    assert set(trained) == {
        *("step", "loss", "gradient_norm", "largest_gradient_norm", "learning_rate", "seconds")
    }
    assert trained["largest_gradient_norm"] >= trained["gradient_norm"] > 0
    assert set(validated) == {"step", "epoch", "validation_loss"}
    (events,) = (short / "tensorboard").glob("events.out.tfevents.*")
    assert b"largest_gradient_norm" in events.read_bytes()


def test_nothing_temporary_is_left(short):
    names = {path.name for path in short.rglob("*")}
    assert not {name for name in names if name.endswith((".tmp", ".old"))}
    assert {"bundle", "best.safetensors", "checkpoint.safetensors"} <= names


def test_the_bundle_says_where_it_comes_from(tmp_path):
    recipe = write_text_recipe(tmp_path, tale(), ONE_EPOCH, {"characters": 300, "version": "7"})
    run = train_text(recipe, tmp_path / "run")
    config = LanguageModel.load(run / "bundle", "cpu").config
    assert (config.name, config.version, config.level, config.ends) == (
        *("toy", "7", "character", False),
    )
    assert config.provenance == {
        "corpus": "corpus.txt",
        "training_characters": 300,
        "validation_share": 0.1,
        "validation_pieces": 1,
        "min_count": 1,
        "recipe": "toy",
        "best_epoch": 1,
    }


def test_lines_of_words_are_written_with_their_ends(lines):
    language_model = LanguageModel.load(lines / "bundle", "cpu")
    assert (language_model.config.level, language_model.config.ends) == ("word", True)
    assert of_steps(lines, "loss")[-1] < 0.8  # the entropy: (log(5) + log(4)) / 4 = 0.75
    pieces = list(language_model.generate("the", n=20, max_tokens=30))
    for index in range(20):
        line = [piece for piece in pieces if piece.index == index]
        noun, verb = "".join(piece.text for piece in line).split()
        assert noun in NOUNS
        assert verb in VERBS
        assert line[-1].finish_reason == "stop"


def test_the_bundle_scores_a_text_with_its_end(lines):
    language_model = LanguageModel.load(lines / "bundle", "cpu")
    likely, odd = language_model.score("the dog runs"), language_model.score("runs the dog")
    assert [token.token for token in likely.tokens] == ["the", "dog", "runs", "<END>"]
    assert likely.logprob > odd.logprob + 3
    assert likely.logprob == pytest.approx(-math.log(20), abs=0.3)


def test_a_text_begins_like_a_line_and_not_where_streams_were_cut(lines):
    language_model = LanguageModel.load(lines / "bundle", "cpu")
    assert math.exp(language_model.score("the").tokens[0].logprob) > 0.97
    written = "".join(piece.text for piece in language_model.generate(n=1, seed=2))
    assert written.startswith("the ")


# What cannot be trained


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"network": {"cell": "mut4"}}, r"recipe\.toml: network\.cell"),
        ({"optimisation": {"streams": 0}}, r"recipe\.toml: optimisation\.streams"),
        ({"optimisation": {"batch_size": 3}}, r"recipe\.toml: optimisation\.batch_size"),
        ({"network": {"tie_output": True}}, "set embedding_size"),
        ({"characters": 1}, r"corpus\.txt is too short"),
        ({"optimisation": {"learning_rate": 1e38}}, r"step \d+ is not finite: .*learning_rate"),
    ],
)
def test_a_recipe_that_cannot_be_trained_is_refused(tmp_path, change, message):
    with pytest.raises(ValueError, match=message):
        train_text(write_text_recipe(tmp_path, tale(), change), tmp_path / "run")
    assert not (tmp_path / "run" / "bundle").exists()


def test_too_few_streams_for_the_processes_are_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(Accelerator, "num_processes", 6)
    with pytest.raises(ValueError, match="5 streams cannot be shared by 6 processes"):
        make_text_trainer(write_text_recipe(tmp_path, tale()), tmp_path / "run")


def test_a_corpus_that_is_missing_or_not_text_is_refused(tmp_path):
    recipe = write_text_recipe(tmp_path, tale())
    (tmp_path / "corpus.txt").write_bytes(b"caf\xe9" * 100)
    with pytest.raises(ValueError, match=r"corpus\.txt is not text in UTF-8"):
        train_text(recipe, tmp_path / "run")
    (tmp_path / "corpus.txt").unlink()
    with pytest.raises(FileNotFoundError, match=r"corpus\.txt"):
        train_text(recipe, tmp_path / "run")


def test_the_command_trains_and_reports_errors(tmp_path):
    recipe = write_text_recipe(tmp_path, tale(), ONE_EPOCH)
    words = ["train", "text", "--config", str(recipe), "--output", str(tmp_path / "run")]
    assert CliRunner().invoke(app, words).exit_code == 0
    assert LanguageModel.load(tmp_path / "run" / "bundle", "cpu").config.name == "toy"
    (tmp_path / "corpus.txt").unlink()
    missing = CliRunner().invoke(app, words)
    recipe.write_text('name = "toy"\ncorpus = "x.txt"\nlearning = 3\n')
    wrong = CliRunner().invoke(app, words)
    for result, message in ((missing, "corpus.txt"), (wrong, "learning: Unexpected keyword")):
        assert result.exit_code == 1
        assert result.stderr.startswith("unrolled: ")
        assert message in result.stderr
        assert "Traceback" not in result.output


# Precision


def test_bfloat16_trains_float32_weights(tmp_path):
    losses = {}
    for precision in ("float32", "bfloat16"):
        folder = tmp_path / precision
        recipe = write_text_recipe(folder, tale(), {"precision": precision})
        run = train_text(recipe, folder / "run")
        losses[precision] = of_steps(run, "loss")
        tensors = read_tensors(run / "checkpoint.safetensors").values()
        assert {t.dtype for t in tensors if t.is_floating_point()} == {torch.float32}
    assert losses["bfloat16"] == pytest.approx(losses["float32"], rel=0.02)
    assert losses["bfloat16"] != losses["float32"]
