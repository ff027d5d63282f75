"""Train a captioner from a recipe: `unrolled train captioner --config recipe.toml`.

One code path for a CPU, a GPU with mixed precision, and several processes started by torchrun or
`accelerate launch`. What a step sees and draws is a function of the seed and the step, so a run
that was killed goes on from its checkpoint to the very weights it would have had.
"""

import time
from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from statistics import fmean

import torch
from accelerate.utils import DistributedDataParallelKwargs
from rich.console import Console
from safetensors.torch import load_file
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel
from torch.utils.data import DataLoader

from model.bundle.write import save_bundle
from model.captioning.captioner import Captioner
from model.config import CaptionerConfig
from model.data.batches import CaptionBatch
from model.networks.caption_network import CaptionNetwork
from model.training.accelerator import from_main, keep_weights, make_accelerator, progress_bar
from model.training.captioner.data import Batches, TrainingData
from model.training.captioner.initial_weights import first_network
from model.training.captioner.loss import CaptionLoss, Losses, Mean
from model.training.captioner.reward import Reward
from model.training.captioner.self_critical import SelfCriticalLoss
from model.training.captioner.validation import Validation
from model.training.optimizer import parameter_groups, update_average
from model.training.recipe import CaptionerRecipe, read_recipe
from model.training.resuming import digest, load_progress, save_progress, start_or_resume
from model.training.run import Run
from model.training.schedule import learning_rate_factor, sampling_chance

__all__ = ["Trainer", "main"]


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
        ValueError: the recipe or the data is not as it should be, or not as it was when the run to
            go on with began.
        OSError: a file that the recipe names is not there, or cannot be read.
    """
    recipe = read_recipe(config, CaptionerRecipe, seed)
    folder = output or Path("runs") / recipe.name
    return start_or_resume(Trainer, recipe, folder, resume=resume)


class Trainer:
    """A run: everything that its steps change, and the loop over them."""

    def __init__(self, recipe: CaptionerRecipe, folder: Path) -> None:
        self.recipe = recipe
        self.settings = recipe.optimisation
        self.accelerator = make_accelerator(
            recipe, kwargs_handlers=[DistributedDataParallelKwargs(broadcast_buffers=False)]
        )
        self.console = Console(quiet=not self.accelerator.is_main_process, stderr=True)
        self.run = Run(folder, main=self.accelerator.is_main_process)
        self.data = TrainingData(recipe)
        self.data_digest = digest([self.data.train, self.data.validation, self.data.lookalikes])
        torch.manual_seed(recipe.seed)
        self.network = first_network(recipe, self._bundle_config(), self.data)
        self.network.encoder.tune(
            self.settings.tune_from, update_batch_norm=self.settings.update_batch_norm
        )
        self.average = AveragedModel(
            self.network,
            multi_avg_fn=partial(update_average, decay=self.settings.average),
            use_buffers=True,
        )
        self.average.to(self.accelerator.device)
        loss = self._make_loss()
        self.optimizer: torch.optim.Optimizer = torch.optim.AdamW(
            parameter_groups(self.network, self.settings), fused=True
        )
        self.loss, self.optimizer = self.accelerator.prepare(loss, self.optimizer)
        if self.network.encoder.frozen:
            self._cache_features()
        self.validation = Validation(self.data)
        self.step = 0
        self.best = {"cider": -1.0, "epoch": -1}

    @property
    def total_steps(self) -> int:
        """Steps of the whole run."""
        return self.settings.epochs * len(self.data.plan)

    def modules(self) -> dict[str, nn.Module]:
        """Name what steps change: the network, and the average of its weights."""
        return {"network": self.network, "average": self.average}

    def resume(self) -> None:
        """Go on from the checkpoint."""
        load_progress(self)

    def checkpoint(self) -> None:
        """Write everything that `resume` needs."""
        save_progress(self)

    def fit(self) -> None:
        """Train until the last epoch, or until validation has stopped rising."""
        if self.step == 0 and self.recipe.initial_weights:
            self._validate(-1, {})  # what is better than all that follows is kept
        first, position = divmod(self.step, len(self.data.plan))
        for epoch in range(first, self.settings.epochs):
            if epoch - self.best["epoch"] > self.settings.patience:
                self.console.print(f"validation has not risen since epoch {self.best['epoch'] + 1}")
                break
            trained = self._epoch(epoch, position)
            position = 0
            self._validate(epoch, trained)
            self.checkpoint()
            self.accelerator.wait_for_everyone()
        self.run.close()

    def save(self) -> Path:
        """Write the best weights that were validated as a bundle."""
        folder = self.run.folder / "bundle"
        if self.accelerator.is_main_process:
            provenance = {
                "data": [data.name for data in self.data.sets],
                "recipe": self.recipe.name,
                "best_epoch": self.best["epoch"] + 1,
            }
            save_bundle(
                folder,
                replace(self._bundle_config(), provenance=provenance),
                load_file(self.run.best),
                self.data.vocabulary,
                f"# {self.recipe.name}\n\nTrained by `unrolled train captioner`.\n",
            )
            self.console.print(f"wrote {folder}")
        self.accelerator.wait_for_everyone()
        return folder

    def _epoch(self, epoch: int, position: int) -> dict[str, float]:
        """Take an epoch's steps from a position on; the means of what its losses watch."""
        plan = self.data.plan.epoch(epoch)
        rank, of = self.accelerator.process_index, self.accelerator.num_processes
        batches = Batches(self.data, epoch, plan[position:], rank, of)
        loader = DataLoader(batches, batch_size=None, num_workers=self.recipe.workers)
        chance = sampling_chance(epoch, epochs=self.settings.epochs, last=self.settings.sampling)
        self.loss.train()
        steps: list[dict[str, float]] = []
        started = saved = time.monotonic()
        with progress_bar(self.console) as bar:
            task = bar.add_task(f"epoch {epoch + 1}", total=len(plan), completed=position, note="")
            for done, (pictures, captions) in enumerate(loader, start=1):
                steps.append(self._step(pictures, captions, chance))
                speed = done * self.settings.batch_size / (time.monotonic() - started)
                note = f"{_told(steps[-1])}  {speed:.0f} pictures/s"
                bar.update(task, advance=1, note=note)
                # Not after the last step: who goes on from there would skip its validation.
                due = time.monotonic() - saved > 60 * self.recipe.checkpoint_minutes
                if due and done < len(batches):
                    self.checkpoint()
                    saved = time.monotonic()
        means = {name: fmean(step[name] for step in steps) for name in steps[0]}
        self.run.log(
            self.step,
            **means,
            learning_rate=self.optimizer.param_groups[0]["lr"],
            seconds=time.monotonic() - started,
        )
        return means

    def _step(self, pictures: Tensor, captions: CaptionBatch, sampling: float) -> dict[str, float]:
        """Take one step; the means over all processes of what the loss watches."""
        accelerator, settings = self.accelerator, self.settings
        torch.manual_seed(hash((self.recipe.seed, self.step, accelerator.process_index)))
        factor = learning_rate_factor(
            self.step, total=self.total_steps, warmup=settings.warmup, final=settings.final_rate
        )
        for group in self.optimizer.param_groups:
            group["lr"] = group["peak"] * factor
        pictures, captions = pictures.to(accelerator.device), captions.to(accelerator.device)
        with accelerator.autocast():
            losses: Losses = self.loss(pictures, captions, sampling)
        weights = accelerator.reduce([term.weight for term in losses.terms], "sum")
        loss = sum(t.total / weight for t, weight in zip(losses.terms, weights, strict=True))
        # Processes' gradients are averaged, so each gives its sum times their number.
        accelerator.backward(loss * accelerator.num_processes)
        accelerator.clip_grad_norm_(self.loss.parameters(), settings.clip_norm)
        self.optimizer.step()
        self.optimizer.zero_grad()
        self.average.update_parameters(self.network)
        self.step += 1
        watched: dict[str, Mean] = accelerator.reduce(losses.watched, "sum")
        return {name: float(mean.total / mean.weight) for name, mean in watched.items()}

    def _validate(self, epoch: int, trained: dict[str, float]) -> None:
        """Validate the averaged weights, and keep them where they are the best so far."""
        if self.accelerator.is_main_process:
            captioner = Captioner.of(
                self._averaged(),
                self._bundle_config(),
                self.data.vocabulary,
                device=self.accelerator.device,
            )
            with self.console.status("validating"):
                values = self.validation(captioner)
            self.run.log(self.step, epoch=epoch + 1, **values)
            self.console.print(f"epoch {epoch + 1}: {_told(trained | values)}")
            if values["cider"] > self.best["cider"]:
                self.best = {"cider": values["cider"], "epoch": epoch}
                keep_weights(self._averaged(), self.run.best)
        self.best = from_main(self.accelerator, self.best)

    def _averaged(self) -> CaptionNetwork:
        network = self.average.module
        assert isinstance(network, CaptionNetwork)  # noqa: S101 - what it was made of
        return network

    def _bundle_config(self) -> CaptionerConfig:
        recipe = self.recipe
        return CaptionerConfig(
            name=recipe.name,
            version=recipe.version,
            preprocessing=recipe.preprocessing,
            encoder=recipe.encoder,
            decoder=recipe.decoder,
            decoding=recipe.decoding,
        )

    def _make_loss(self) -> CaptionLoss:
        smoothing, settings = self.settings.label_smoothing, self.recipe.self_critical
        if settings is None:
            return CaptionLoss(self.network, smoothing)
        rewards = Reward(
            [entry.captions for entries in self.data.train for entry in entries],
            self.data.vocabulary,
            repetition_penalty=settings.repetition_penalty,
            bleu_weight=settings.bleu_weight,
            lookalike_share=settings.lookalike_share,
        )
        return SelfCriticalLoss(
            self.network,
            smoothing,
            settings=settings,
            rewards=rewards,
            max_words=self.recipe.max_words,
        )

    def _cache_features(self) -> None:
        dtype = torch.bfloat16 if self.recipe.precision == "bfloat16" else torch.float32
        with progress_bar(self.console) as bar, self.accelerator.main_process_first():
            task = bar.add_task("features", note="")
            self.data.cache(
                self.network.encoder,
                self.accelerator.device,
                dtype,
                lambda done, total: bar.update(task, completed=done, total=total),
            )


def _told(values: Mapping[str, float]) -> str:
    return " ".join(f"{name} {value:.3f}" for name, value in values.items())
