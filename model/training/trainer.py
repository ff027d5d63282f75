"""The training loop: steps, validation, checkpoints, resuming, and the bundle at the end.

One code path for a CPU, a GPU with mixed precision, and several processes started by torchrun or
`accelerate launch`. What a step sees and draws is a function of the seed and the step, so a run
that was killed and is resumed ends with exactly the weights that it would have had. The curve holds
the gradient's norm before clipping; where it is not finite, the run stops (in float16, a step is
skipped instead). What is trained is a `TrainingTask`.
"""

import hashlib
import json
import math
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path
from statistics import fmean
from typing import Any

import torch
from accelerate import Accelerator
from accelerate.utils import DistributedDataParallelKwargs
from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from safetensors.torch import load_file
from torch import nn
from torch.optim.swa_utils import AveragedModel

from model.bundle.write import save_bundle
from model.training.checkpoint import load_checkpoint, read_progress, save_checkpoint, save_weights
from model.training.optimizer import update_average
from model.training.recipe import (
    CaptionerRecipe,
    OptimisationConfig,
    Recipe,
    TextOptimisationConfig,
    TextRecipe,
)
from model.training.run import OTHER_RUN, Run, check_recipe
from model.training.schedule import learning_rate_factor
from model.training.task import Mean, TrainingTask

__all__ = ["Trainer", "fingerprint", "progress_bar", "train"]

_PRECISIONS = {"float32": "no", "bfloat16": "bf16", "float16": "fp16"}

TaskType = Callable[[Recipe, Accelerator], TrainingTask[Any]]


def train(
    task_type: TaskType[Recipe], recipe: Recipe, output: Path | None, *, resume: bool
) -> Path:
    """Train from a folder's checkpoint if there is one and it is wanted, else from the beginning.

    Args:
        task_type: makes the task of a recipe.
        recipe: what to train.
        output: the run's folder; None is `runs/` and the recipe's name.
        resume: whether to use the checkpoint in that folder.

    Returns:
        The folder of the bundle that was written.

    Raises:
        ValueError: the recipe or its data cannot be used, or are not those of the checkpoint.
        OSError: a file that the recipe names is missing or cannot be read.
    """
    folder = output or Path("runs") / recipe.name
    resume = resume and Run.has_checkpoint(folder)
    if resume:
        # Before the main process writes anything, so that all processes see the same recipe.
        check_recipe(folder, recipe)
    trainer = Trainer(task_type, recipe, folder)
    if resume:
        trainer.resume()
        trainer.console.print(f"resuming from step {trainer.step} of {trainer.total_steps}")
    elif trainer.run.main:
        # Otherwise this run, if interrupted early, would later resume from the one it replaces.
        trainer.run.checkpoint.unlink(missing_ok=True)
    # Only now: the recipe in the folder is always the one of the checkpoint there.
    trainer.run.describe(recipe)
    trainer.fit()
    return trainer.save()


class Trainer:
    """A run: everything that its steps change, and the loop over them."""

    def __init__(self, task_type: TaskType[Recipe], recipe: Recipe, folder: Path) -> None:
        self.recipe: CaptionerRecipe | TextRecipe = recipe
        self.settings: OptimisationConfig | TextOptimisationConfig = recipe.optimisation
        self.accelerator = Accelerator(
            mixed_precision=_PRECISIONS[recipe.precision],
            cpu=recipe.device == "cpu",
            kwargs_handlers=[DistributedDataParallelKwargs(broadcast_buffers=False)],
        )
        self.console = Console(quiet=not self.accelerator.is_main_process, stderr=True)
        self.run = Run(folder, main=self.accelerator.is_main_process)
        self.task = task_type(recipe, self.accelerator)
        self.data_fingerprint = fingerprint(self.task.fingerprinted_data)
        torch.manual_seed(recipe.seed)
        self.network = self.task.build_network(self.console)
        self.average = AveragedModel(
            self.network,
            multi_avg_fn=partial(update_average, decay=self.settings.average),
            use_buffers=True,
        )
        self.average.to(self.accelerator.device)
        loss = self.task.build_loss()
        self.optimizer: torch.optim.Optimizer = torch.optim.AdamW(
            self.task.parameter_groups(), fused=True
        )
        self.loss, self.optimizer = self.accelerator.prepare(loss, self.optimizer)
        self.step = 0
        worst = -math.inf if self.task.higher_is_better else math.inf
        self.best: dict[str, float] = {self.task.measure: worst, "epoch": -1}

    @property
    def total_steps(self) -> int:
        """Steps of the whole run."""
        return self.settings.epochs * self.task.steps_per_epoch

    def checkpoint(self) -> None:
        """Write everything that `resume` needs; every process must call this."""
        modules = self._modules()
        if not self.run.main:
            return
        scaler = self.accelerator.scaler
        progress = {
            "step": self.step,
            "best": self.best,
            "curve": self.run.curve,
            "scaler": scaler.state_dict() if scaler else None,
            "data": self.data_fingerprint,
        }
        save_checkpoint(self.run.checkpoint, modules, self.optimizer, progress)

    def resume(self) -> None:
        """Restore what `checkpoint` wrote.

        Raises:
            ValueError: the checkpoint is damaged, or of other data, another network or another
                optimizer.
        """
        path, scaler = self.run.checkpoint, self.accelerator.scaler
        progress = read_progress(path)
        # Checkpoints of old versions lack the fingerprint.
        if progress.get("data", self.data_fingerprint) != self.data_fingerprint:
            raise ValueError(
                f"{path} was trained on other data of the same name: restore that data, {OTHER_RUN}"
            )
        modules = self._modules()
        load_checkpoint(path, modules, self.optimizer)
        self.task.restore(modules)
        self.step, self.best = progress["step"], progress["best"]
        if scaler and progress["scaler"]:
            scaler.load_state_dict(progress["scaler"])
        self.run.curve = progress["curve"]  # what was logged after the checkpoint is dropped

    def fit(self) -> None:
        """Train until the last epoch, or until validation has stopped improving."""
        if self.step == 0 and self.task.validates_first:
            self._validate(-1, {})
        first, position = divmod(self.step, self.task.steps_per_epoch)
        for epoch in range(first, self.settings.epochs):
            if epoch - self.best["epoch"] > self.settings.patience:
                best = self.best["epoch"] + 1
                self.console.print(f"stopping: validation has not improved since epoch {best}")
                break
            trained = self._epoch(epoch, position)
            position = 0
            self._validate(epoch, trained)
            self.checkpoint()
            self.accelerator.wait_for_everyone()
        self.run.close()

    def save(self) -> Path:
        """Write the best validated weights as a bundle, and return its folder."""
        folder, name = self.run.folder / "bundle", self.recipe.name
        if self.run.main:
            about = {"recipe": name, "best_epoch": self.best["epoch"] + 1}
            save_bundle(
                folder,
                replace(self.task.config, provenance=self.task.provenance | about),
                load_file(self.run.best),
                self.task.vocabulary,
                f"# {name}\n\nTrained by `unrolled train {self.task.command}`.\n",
            )
            self.console.print(f"wrote {folder}")
        self.accelerator.wait_for_everyone()
        return folder

    def _modules(self) -> dict[str, nn.Module]:
        """Return everything that steps change, but for the optimizer."""
        return {"network": self.network, "average": self.average} | self.task.carried()

    def _epoch(self, epoch: int, position: int) -> dict[str, float]:
        """Take an epoch's steps from a position on, and return the means of what they watch."""
        task, total = self.task, self.task.steps_per_epoch
        self.loss.train()
        steps: list[dict[str, float]] = []
        norms: list[float] = []
        started = saved = time.monotonic()
        with progress_bar(self.console) as bar:
            row = bar.add_task(f"epoch {epoch + 1}", total=total, completed=position, note="")
            for batch in task.batches(epoch, position):
                watched, norm = self._step(batch)
                steps.append(watched)
                if math.isfinite(norm):
                    norms.append(norm)
                speed = len(steps) * task.items_per_step / (time.monotonic() - started)
                note = f"{_format(watched)}  {speed:.0f} {task.unit}/s"
                bar.update(row, advance=1, note=note)
                # Not after the last step: a run resumed from there would skip its validation.
                minutes = (time.monotonic() - saved) / 60
                if self.step % total and task.checkpoint_due(self.step, minutes):
                    self.checkpoint()
                    saved = time.monotonic()
        means = {name: fmean(step[name] for step in steps) for name in steps[0]}
        self.run.log(
            self.step,
            **means,
            gradient_norm=sum(norms) / max(1, len(norms)),
            largest_gradient_norm=max(norms, default=0.0),
            learning_rate=self.optimizer.param_groups[0]["lr"],
            seconds=time.monotonic() - started,
        )
        return means

    def _step(self, batch: Any) -> tuple[dict[str, float], float]:
        """Take one step.

        Returns:
            The means over all processes of what the loss watches; the norm of the gradient before
            it is clipped (Pascanu et al. 2013, algorithm 1).

        Raises:
            ValueError: the gradient is not finite.
        """
        accelerator, settings = self.accelerator, self.settings
        torch.manual_seed(hash((self.recipe.seed, self.step, accelerator.process_index)))
        factor = learning_rate_factor(
            self.step, total=self.total_steps, warmup=settings.warmup, final=settings.final_rate
        )
        for group in self.optimizer.param_groups:
            group["lr"] = group["peak"] * factor
        with accelerator.autocast():
            losses = self.task.losses(self.loss, batch)
        weights = accelerator.reduce([term.weight for term in losses.terms], "sum")
        # A weight is 0 where a batch has nothing to predict.
        loss = sum(t.total / w.clamp(min=1) for t, w in zip(losses.terms, weights, strict=True))
        # Gradients are averaged over the processes, and their sum is wanted.
        accelerator.backward(loss * accelerator.num_processes)
        norm = float(accelerator.clip_grad_norm_(self.loss.parameters(), settings.clip_norm))
        # In float16 the scaler skips such a step, and tries a smaller scale.
        if not (math.isfinite(norm) or accelerator.scaler):
            raise ValueError(
                f"the gradient of step {self.step + 1} is not finite: set a smaller learning_rate"
            )
        self.optimizer.step()
        self.optimizer.zero_grad()
        self.average.update_parameters(self.network)
        self.step += 1
        watched: dict[str, Mean] = accelerator.reduce(losses.watched, "sum")
        values = {name: float(m.total / m.weight.clamp(min=1)) for name, m in watched.items()}
        return values, norm

    def _validate(self, epoch: int, trained: Mapping[str, float]) -> None:
        """Validate the averaged weights, and keep them if they are the best so far."""
        if self.run.main:
            network, measure = self.average.module, self.task.measure
            with self.console.status("validating"):
                value, logged, sample = self.task.validate(network)
            self.run.log(self.step, epoch=epoch + 1, **logged)
            self.console.print(f"epoch {epoch + 1}: {_format({**trained, **logged})}")
            if sample:
                self.console.print(f"[dim]{escape(sample)}[/dim]", highlight=False)
            best = self.best[measure]
            if value > best if self.task.higher_is_better else value < best:
                self.best = {measure: value, "epoch": epoch}
                save_weights(network, self.run.best)
        if self.accelerator.num_processes > 1:
            from_main = [self.best]
            torch.distributed.broadcast_object_list(from_main)
            self.best = from_main[0]


def progress_bar(console: Console) -> Progress:
    """Return a progress bar whose rows have a `note`."""
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        TextColumn("{task.fields[note]}"),
        console=console,
        transient=True,
    )


def fingerprint(data: Any) -> str:
    """Return a digest of JSON values and dataclasses."""
    return hashlib.sha256(json.dumps(data, default=asdict).encode()).hexdigest()


def _format(values: Mapping[str, float]) -> str:
    return " ".join(f"{name} {value:.3f}" for name, value in values.items())
