"""Train a language model from a recipe: `unrolled train text --config recipe.toml`.

Truncated backpropagation through time: streams of text are read side by side, a chunk at a time,
and the hidden state goes on from chunk to chunk. One code path for a CPU, a GPU with mixed
precision, and several processes; a run that was killed goes on from its checkpoint, hidden state
included, to the very weights it would have had.
"""

import math
import time
from dataclasses import replace
from functools import partial
from pathlib import Path

import torch
from accelerate import Accelerator
from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel

from model.bundle import save_bundle
from model.cells import State
from model.config import TextConfig
from model.data.corpus import Corpus, streams
from model.language_model import LanguageModel
from model.text_network import TextNetwork
from model.training.checkpoint import load_checkpoint, save_checkpoint
from model.training.config import TextRecipe, data_path, read_recipe
from model.training.optimisation import decaying_groups, update_average
from model.training.run import Run
from model.training.schedule import learning_rate_factor

__all__ = ["TextLoss", "TextTrainer", "main", "nats_per_token"]

_SAMPLE_TOKENS = {"character": 200, "word": 20}
_VALIDATION_STREAMS = 32


def main(config: Path, output: Path | None = None, *, resume: bool = True) -> Path:
    """Train as a recipe says.

    Args:
        config: the recipe, TOML.
        output: the run's folder; None is `runs/` and the recipe's name.
        resume: go on from the checkpoint in that folder where there is one.

    Returns:
        The folder of the bundle that was written.

    Raises:
        ValueError: the recipe or the corpus is not as it should be.
        FileNotFoundError: the corpus is not there.
    """
    recipe = read_recipe(config, TextRecipe)
    trainer = TextTrainer(recipe, output or Path("runs") / recipe.name)
    if resume and trainer.run.checkpoint.exists():
        trainer.resume()
    elif trainer.run.main:
        # Whoever resumes this run later must not go on with the one that it replaces.
        trainer.run.checkpoint.unlink(missing_ok=True)
    trainer.fit()
    return trainer.save()


class TextLoss(nn.Module):
    """The network and its loss in one forward pass, as distributed training wants it."""

    def __init__(self, network: TextNetwork, start_id: int) -> None:
        super().__init__()
        self.network = network
        self.start_id = start_id

    def forward(self, chunk: Tensor, state: State) -> tuple[Tensor, Tensor, State]:
        """Foretell each token of a chunk.

        Args:
            chunk: ids (streams, steps + 1), the last of which is only foretold.
            state: each (layers, streams, hidden)

        Returns:
            The sum of the negative log-probabilities, natural; of how many tokens (where a new
            text starts is not foretold); and the state after the chunk.
        """
        logits, state = self.network(chunk[:, :-1], state)
        targets = chunk[:, 1:]
        loss = nn.functional.cross_entropy(
            logits.flatten(0, 1).float(),
            targets.flatten(),
            ignore_index=self.start_id,
            reduction="sum",
        )
        return loss, (targets != self.start_id).sum(), state


class TextTrainer:
    """A run: everything that its steps change, and the loop over them."""

    def __init__(self, recipe: TextRecipe, folder: Path) -> None:
        self.recipe = recipe
        self.settings = recipe.optimisation
        self.accelerator = Accelerator(
            mixed_precision={"float32": "no", "bfloat16": "bf16", "float16": "fp16"}[
                recipe.precision
            ],
            cpu=recipe.device == "cpu",
        )
        self.console = Console(quiet=not self.accelerator.is_main_process, stderr=True)
        self.run = Run(folder, recipe, main=self.accelerator.is_main_process)
        self.corpus = Corpus.read(
            Path(data_path(recipe.corpus)),
            level=recipe.level,
            ends=recipe.ends,
            characters=recipe.characters,
            validation_share=recipe.validation_share,
            min_count=recipe.min_count,
        )
        torch.manual_seed(recipe.seed)
        self.network = TextNetwork(recipe.network, len(self.corpus.vocabulary))
        self.average = AveragedModel(
            self.network, multi_avg_fn=partial(update_average, decay=self.settings.average)
        )
        self.average.to(self.accelerator.device)
        self.optimizer = torch.optim.AdamW(
            decaying_groups(self.network, self.settings.learning_rate, self.settings.weight_decay),
            fused=True,
        )
        loss = TextLoss(self.network, self.corpus.vocabulary.start_id)
        self.loss, self.optimizer = self.accelerator.prepare(loss, self.optimizer)
        self.step = 0
        self.state: State | None = None  # of this process's streams, None at an epoch's beginning
        self.best = {"loss": math.inf, "epoch": -1}

    @property
    def steps_each_epoch(self) -> int:
        """Chunks of a stream."""
        tokens = len(self.corpus.train)
        return math.ceil(tokens // min(self.settings.streams, tokens) / self.settings.steps)

    @property
    def total_steps(self) -> int:
        """Steps of the whole run."""
        return self.settings.epochs * self.steps_each_epoch

    def resume(self) -> None:
        """Go on from the checkpoint."""
        held = _Held(self._streams_of_all(), self.network)
        modules = self._modules() | {"state": held}
        progress = load_checkpoint(self.run.checkpoint, modules, self.optimizer)
        self.step, self.best = progress["step"], progress["best"]
        if self.step % self.steps_each_epoch:
            self.state = self._share(held.state(self.accelerator.device))
        if self.accelerator.scaler and progress["scaler"]:
            self.accelerator.scaler.load_state_dict(progress["scaler"])
        self.run.restore(progress["curve"])
        self.console.print(f"going on from step {self.step} of {self.total_steps}")

    def checkpoint(self) -> None:
        """Write everything that `resume` needs; every process must call it."""
        held = _Held(self._streams_of_all(), self.network)
        if self.state is not None:
            held.keep(self._state_of_all(self.state))
        if not self.accelerator.is_main_process:
            return
        scaler = self.accelerator.scaler
        progress = {
            "step": self.step,
            "best": self.best,
            "curve": self.run.curve,
            "scaler": scaler.state_dict() if scaler else None,
        }
        modules = self._modules() | {"state": held}
        save_checkpoint(self.run.checkpoint, modules, self.optimizer, progress)

    def fit(self) -> None:
        """Train until the last epoch, or until validation has stopped falling."""
        for epoch in range(self.step // self.steps_each_epoch, self.settings.epochs):
            if epoch - self.best["epoch"] > self.settings.patience:
                self.console.print(
                    f"validation has not fallen since epoch {self.best['epoch'] + 1}"
                )
                break
            self._epoch(epoch)
            self._validate(epoch)
            self.checkpoint()
            self.accelerator.wait_for_everyone()
        self.run.close()

    def save(self) -> Path:
        """Write the best weights that were validated as a bundle."""
        folder = self.run.folder / "bundle"
        if self.accelerator.is_main_process:
            provenance = {
                "corpus": Path(self.recipe.corpus).name,
                "training_characters": len(self.corpus.train_text),
                "recipe": self.recipe.name,
                "best_epoch": self.best["epoch"] + 1,
            }
            save_bundle(
                folder,
                replace(self._bundle_config(), provenance=provenance),
                load_file(self.run.best),
                self.corpus.vocabulary,
                f"# {self.recipe.name}\n\nTrained by `unrolled train text`.\n",
            )
            self.console.print(f"wrote {folder}")
        self.accelerator.wait_for_everyone()
        return folder

    def _epoch(self, epoch: int) -> None:
        """Read the whole text once, from the chunk at which the run stands."""
        seed = f"{self.recipe.seed}/{epoch}"
        start_id = self.corpus.vocabulary.start_id
        text = streams(self.corpus.train, self.settings.streams, start_id, seed=seed)
        text = text[self.accelerator.process_index :: self.accelerator.num_processes]
        position, total = self.step % self.steps_each_epoch, self.steps_each_epoch
        if self.state is None:
            self.state = self.network.begin(len(text))
        self.loss.train()
        losses: list[float] = []
        norms: list[float] = []
        started = time.monotonic()
        with self._progress() as bar:
            task = bar.add_task(f"epoch {epoch + 1}", total=total, completed=position, note="")
            for index in range(position, total):
                start = index * self.settings.steps
                chunk = text[:, start : start + self.settings.steps + 1]
                loss, norm = self._step(chunk.to(self.accelerator.device))
                losses.append(loss)
                norms.append(norm)
                tokens = self._streams_of_all() * self.settings.steps * len(losses)
                speed = tokens / (time.monotonic() - started)
                bar.update(task, advance=1, note=f"loss {loss:.3f}  {speed:.0f} tokens/s")
                # Not after the last step: who goes on from there would skip its validation.
                if self.step % self.recipe.checkpoint_steps == 0 and index + 1 < total:
                    self.checkpoint()
        self.state = None
        self.run.log(
            self.step,
            loss=sum(losses) / len(losses),
            gradient_norm=sum(norms) / len(norms),
            largest_gradient_norm=max(norms),
            learning_rate=self.optimizer.param_groups[0]["lr"],
            seconds=time.monotonic() - started,
        )

    def _step(self, chunk: Tensor) -> tuple[float, float]:
        """Take one step.

        Returns:
            The mean loss of a token over all processes; the norm of the gradient before it is
            clipped (Pascanu et al. 2013, algorithm 1).
        """
        accelerator, settings = self.accelerator, self.settings
        torch.manual_seed(hash((self.recipe.seed, self.step, accelerator.process_index)))
        factor = learning_rate_factor(
            self.step, total=self.total_steps, warmup=settings.warmup, final=settings.final_rate
        )
        for group in self.optimizer.param_groups:
            group["lr"] = group["peak"] * factor
        assert self.state is not None  # noqa: S101 - set by `_epoch`
        with accelerator.autocast():
            total, count, state = self.loss(chunk, self.state)
        # The gradient goes no further back than this chunk; what the network remembers does.
        self.state = tuple(part.detach() for part in state)
        tokens = accelerator.reduce(count, "sum")
        # Processes' gradients are averaged, so each gives its sum times their number.
        accelerator.backward(total * accelerator.num_processes / tokens)
        norm = accelerator.clip_grad_norm_(self.loss.parameters(), settings.clip_norm)
        self.optimizer.step()
        self.optimizer.zero_grad()
        self.average.update_parameters(self.network)
        self.step += 1
        return float(accelerator.reduce(total.detach(), "sum") / tokens), float(norm or 0.0)

    def _validate(self, epoch: int) -> None:
        """Validate the averaged weights, and keep them where they are the best so far."""
        if self.accelerator.is_main_process:
            network = self._averaged().eval()
            start_id = self.corpus.vocabulary.start_id
            loss = nats_per_token(network, self.corpus.validation, start_id)
            self.run.log(self.step, epoch=epoch + 1, validation_loss=loss)
            trained = next(p["loss"] for p in reversed(self.run.curve) if "loss" in p)
            self.console.print(f"epoch {epoch + 1}: loss {trained:.4f} validation {loss:.4f}")
            self._show_sample(network)
            if loss < self.best["loss"]:
                self.best = {"loss": loss, "epoch": epoch}
                temporary = self.run.best.with_suffix(".tmp")
                state = network.state_dict()
                save_file(
                    {name: t.cpu().clone().contiguous() for name, t in state.items()}, temporary
                )
                temporary.replace(self.run.best)
        if self.accelerator.num_processes > 1:
            held = [self.best]
            torch.distributed.broadcast_object_list(held)
            self.best = held[0]

    def _show_sample(self, network: TextNetwork) -> None:
        writer = LanguageModel(
            network, self._bundle_config(), self.corpus.vocabulary, device=self.accelerator.device
        )
        tokens = _SAMPLE_TOKENS[self.recipe.level]
        pieces = writer.generate(self.recipe.prompt, max_tokens=tokens, temperature=0.8)
        text = self.recipe.prompt + "".join(piece.text for piece in pieces)
        self.console.print(f"[dim]{escape(text)}[/dim]", highlight=False)

    def _streams_of_all(self) -> int:
        return min(self.settings.streams, len(self.corpus.train))

    def _state_of_all(self, state: State) -> State:
        """Put the states of all processes' streams together, in the streams' order."""
        of = self.accelerator.num_processes
        if of == 1:
            return state
        total = self._streams_of_all()
        most = math.ceil(total / of)
        whole = []
        for part in state:
            padded = nn.functional.pad(part, (0, 0, 0, most - part.shape[1]))
            gathered = self.accelerator.gather(padded.transpose(0, 1).contiguous())
            by_rank = gathered.view(of, most, *gathered.shape[1:])
            whole.append(by_rank.transpose(0, 1).flatten(0, 1)[:total].transpose(0, 1))
        return tuple(whole)

    def _share(self, state: State) -> State:
        """Take this process's streams out of all."""
        rank, of = self.accelerator.process_index, self.accelerator.num_processes
        return tuple(part[:, rank::of].contiguous() for part in state)

    def _averaged(self) -> TextNetwork:
        network = self.average.module
        assert isinstance(network, TextNetwork)  # noqa: S101 - what it was made of
        return network

    def _modules(self) -> dict[str, nn.Module]:
        return {"network": self.network, "average": self.average}

    def _bundle_config(self) -> TextConfig:
        recipe = self.recipe
        return TextConfig(
            name=recipe.name,
            version=recipe.version,
            level=recipe.level,
            network=recipe.network,
            sampling=recipe.sampling,
            ends=recipe.ends,
        )

    def _progress(self) -> Progress:
        return Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeRemainingColumn(),
            TextColumn("{task.fields[note]}"),
            console=self.console,
            transient=True,
        )


class _Held(nn.Module):
    """The hidden state of all streams, in the form in which checkpoints keep tensors."""

    def __init__(self, count: int, network: TextNetwork) -> None:
        super().__init__()
        for index, part in enumerate(network.begin(count)):
            self.register_buffer(f"part{index}", part.clone())  # zeros may share memory

    def keep(self, state: State) -> None:
        for part, new in zip(self.buffers(), state, strict=True):
            part.copy_(new)

    def state(self, device: torch.device) -> State:
        return tuple(part.to(device) for part in self.buffers())


@torch.inference_mode()
def nats_per_token(network: TextNetwork, tokens: Tensor, start_id: int) -> float:
    """Give the mean negative natural log-probability of a token.

    The text is read in a few streams side by side, so that it is quick; the first tokens of each
    know nothing of what was before them, and the result is a little too high for it.
    """
    device = next(network.parameters()).device
    text = streams(tokens, _VALIDATION_STREAMS, start_id).to(device)
    loss = TextLoss(network.eval(), start_id)
    state, total, count = network.begin(len(text)), 0.0, 0
    for start in range(0, text.shape[1] - 1, 256):
        summed, counted, state = loss(text[:, start : start + 257], state)
        total, count = total + float(summed), count + int(counted)
    return total / count
