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
from rich.console import Console
from rich.markup import escape
from safetensors.torch import load_file
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel

from model.bundle.write import save_bundle
from model.config import TextConfig
from model.data.corpus import Corpus, streams
from model.networks.cells import CellState
from model.networks.text_network import TextNetwork
from model.text.language_model import LanguageModel
from model.training.accelerator import from_main, keep_weights, make_accelerator, progress_bar
from model.training.language_model.loss import TextLoss, nats_per_token
from model.training.language_model.streams import HeldState, gather_state, own_streams
from model.training.optimizer import decaying_groups, update_average
from model.training.recipe import TextRecipe, data_path, read_recipe
from model.training.resuming import digest, load_progress, save_progress, start_or_resume
from model.training.run import Run
from model.training.schedule import learning_rate_factor

__all__ = ["TextLoss", "TextTrainer", "main", "nats_per_token"]

_SAMPLE_TOKENS = {"character": 200, "word": 20}


def main(
    config: Path, output: Path | None = None, *, seed: int | None = None, resume: bool = True
) -> Path:
    """Train as a recipe says.

    Args:
        config: the recipe, TOML.
        output: the run's folder; None is `runs/` and the recipe's name.
        seed: in place of the recipe's own.
        resume: go on from the checkpoint in that folder where there is one.

    Returns:
        The folder of the bundle that was written.

    Raises:
        ValueError: the recipe or the corpus is not as it should be, or not as it was when the run
            to go on with began.
        OSError: the corpus is not there, or cannot be read.
    """
    recipe = read_recipe(config, TextRecipe, seed)
    folder = output or Path("runs") / recipe.name
    return start_or_resume(TextTrainer, recipe, folder, resume=resume)


class TextTrainer:
    """A run: everything that its steps change, and the loop over them."""

    def __init__(self, recipe: TextRecipe, folder: Path) -> None:
        self.recipe = recipe
        self.settings = recipe.optimisation
        self.accelerator = make_accelerator(recipe)
        self.console = Console(quiet=not self.accelerator.is_main_process, stderr=True)
        self.run = Run(folder, main=self.accelerator.is_main_process)
        self.corpus = Corpus.read(
            Path(data_path(recipe.corpus)),
            level=recipe.level,
            ends=recipe.ends,
            characters=recipe.characters,
            validation_share=recipe.validation_share,
            validation_pieces=recipe.validation_pieces,
            min_count=recipe.min_count,
        )
        text = [self.corpus.train_text, self.corpus.validation_text]
        self.data_digest = digest([self.corpus.vocabulary.tokens, *text])
        if self.streams < self.accelerator.num_processes:
            raise ValueError(f"{self.streams} streams are too few: each process needs one")
        torch.manual_seed(recipe.seed)
        self.network = TextNetwork(recipe.network, len(self.corpus.vocabulary))
        self.average = AveragedModel(
            self.network, multi_avg_fn=partial(update_average, decay=self.settings.average)
        )
        self.average.to(self.accelerator.device)
        self.optimizer: torch.optim.Optimizer = torch.optim.AdamW(
            decaying_groups(self.network, self.settings.learning_rate, self.settings.weight_decay),
            fused=True,
        )
        loss = TextLoss(self.network, self.corpus.vocabulary.start_id)
        self.loss, self.optimizer = self.accelerator.prepare(loss, self.optimizer)
        self.step = 0
        self.state: CellState | None = (
            None  # of this process's streams, None at an epoch's beginning
        )
        self.best = {"loss": math.inf, "epoch": -1}

    @property
    def streams(self) -> int:
        """Streams of all processes."""
        return min(self.settings.streams, len(self.corpus.train))

    @property
    def steps_each_epoch(self) -> int:
        """Chunks of a stream."""
        return math.ceil(len(self.corpus.train) // self.streams / self.settings.steps)

    @property
    def total_steps(self) -> int:
        """Steps of the whole run."""
        return self.settings.epochs * self.steps_each_epoch

    def modules(self) -> dict[str, nn.Module]:
        """Name what steps change: the network, and the average of its weights."""
        return {"network": self.network, "average": self.average}

    def resume(self) -> None:
        """Go on from the checkpoint."""
        held = HeldState(self.network.initial_state(self.streams))
        load_progress(self, state=held)
        if self.step % self.steps_each_epoch:
            whole = held.state(self.accelerator.device)
            self.state = tuple(own_streams(part, self.accelerator, dim=1) for part in whole)

    def checkpoint(self) -> None:
        """Write everything that `resume` needs; every process must call it."""
        state = self.network.initial_state(self.streams)
        if self.state is not None:
            state = gather_state(self.state, self.accelerator, self.streams)
        save_progress(self, state=HeldState(state))

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
                "validation_share": self.recipe.validation_share,
                "validation_pieces": self.recipe.validation_pieces,
                "min_count": self.recipe.min_count,
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
        vocabulary, seed = self.corpus.vocabulary, f"{self.recipe.seed}/{epoch}"
        # Where texts end by themselves, a stream begins in the midst of one: were that read after
        # the start token, the network would learn that texts begin so.
        first = vocabulary.end_id if self.recipe.ends else vocabulary.start_id
        text = streams(self.corpus.train, self.settings.streams, first, seed=seed)
        text = own_streams(text, self.accelerator)
        position, total = self.step % self.steps_each_epoch, self.steps_each_epoch
        if self.state is None:
            self.state = self.network.initial_state(len(text))
        self.loss.train()
        losses: list[float] = []
        norms: list[float] = []
        started = time.monotonic()
        with progress_bar(self.console) as bar:
            task = bar.add_task(f"epoch {epoch + 1}", total=total, completed=position, note="")
            for index in range(position, total):
                start = index * self.settings.steps
                chunk = text[:, start : start + self.settings.steps + 1]
                loss, norm = self._step(chunk.to(self.accelerator.device))
                losses.append(loss)
                if math.isfinite(norm):
                    norms.append(norm)
                tokens = self.streams * self.settings.steps * len(losses)
                speed = tokens / (time.monotonic() - started)
                bar.update(task, advance=1, note=f"loss {loss:.3f}  {speed:.0f} tokens/s")
                # Not after the last step: who goes on from there would skip its validation.
                if self.step % self.recipe.checkpoint_steps == 0 and index + 1 < total:
                    self.checkpoint()
        self.state = None
        self.run.log(
            self.step,
            loss=sum(losses) / len(losses),
            gradient_norm=sum(norms) / max(1, len(norms)),
            largest_gradient_norm=max(norms, default=0.0),
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
        # At least 1: where every stream begins a new text at once, there is nothing to foretell.
        tokens = accelerator.reduce(count, "sum").clamp(min=1)
        # Processes' gradients are averaged, so each gives its sum times their number.
        accelerator.backward(total * accelerator.num_processes / tokens)
        norm = float(accelerator.clip_grad_norm_(self.loss.parameters(), settings.clip_norm))
        # In float16 the scaler leaves such a step out, and tries a smaller scale.
        if not (math.isfinite(norm) or accelerator.scaler):
            raise ValueError(
                f"the gradient of step {self.step + 1} is not finite: give a smaller learning_rate"
            )
        self.optimizer.step()
        self.optimizer.zero_grad()
        self.average.update_parameters(self.network)
        self.step += 1
        return float(accelerator.reduce(total.detach(), "sum") / tokens), norm

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
                keep_weights(network, self.run.best)
        self.best = from_main(self.accelerator, self.best)

    def _show_sample(self, network: TextNetwork) -> None:
        language_model = LanguageModel(
            network, self._bundle_config(), self.corpus.vocabulary, device=self.accelerator.device
        )
        tokens = _SAMPLE_TOKENS[self.recipe.level]
        pieces = language_model.generate(self.recipe.prompt, max_tokens=tokens, temperature=0.8)
        text = self.recipe.prompt + "".join(piece.text for piece in pieces)
        self.console.print(f"[dim]{escape(text)}[/dim]", highlight=False)

    def _averaged(self) -> TextNetwork:
        network = self.average.module
        assert isinstance(network, TextNetwork)  # noqa: S101 - what it was made of
        return network

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
