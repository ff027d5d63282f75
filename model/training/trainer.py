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
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any

import torch
from accelerate import Accelerator
from accelerate.utils import DistributedDataParallelKwargs
from safetensors.torch import load_file
from torch import nn
from torch.optim.swa_utils import AveragedModel

from model.reporting.progress import make_console, progress, status
from model.training.checkpoint import load_checkpoint, read_progress, save_checkpoint, save_weights
from model.training.epoch_log import EpochLog
from model.training.interrupt import postponed_interrupt
from model.training.optimizer import update_average
from model.training.recipe import (
    CaptionerRecipe,
    OptimisationConfig,
    Recipe,
    TextOptimisationConfig,
    TextRecipe,
)
from model.training.run import OTHER_RUN, Run
from model.training.schedule import learning_rate_factor
from model.training.task import Mean, TrainingTask

__all__ = ["TaskType", "Trainer", "fingerprint"]

_PRECISIONS = {"float32": "no", "bfloat16": "bf16", "float16": "fp16"}

# At most, before a process writes its first checkpoint; later ones come as the recipe says.
_FIRST_CHECKPOINT_MINUTES = 1.0

TaskType = Callable[[Recipe, Accelerator], TrainingTask[Any]]


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
        self.console = make_console(quiet=not self.accelerator.is_main_process)
        self.run = Run(folder, main=self.accelerator.is_main_process)
        with status(self.console, "reading the data"):
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
        self.epoch_log = EpochLog()
        self._has_checkpoint = False  # of this process
        worst = -math.inf if self.task.higher_is_better else math.inf
        self.best: dict[str, float] = {self.task.measure: worst, "epoch": -1}

    @property
    def total_steps(self) -> int:
        """Steps of the whole run."""
        return self.settings.epochs * self.task.steps_per_epoch

    def checkpoint(self) -> None:
        """Write what `resume` needs, and a bundle to try; every process must call this."""
        modules = self._modules()
        self._has_checkpoint = True
        if not self.run.main:
            return
        scaler = self.accelerator.scaler
        progress = {
            "step": self.step,
            "best": self.best,
            "curve": self.run.curve,
            "scaler": scaler.state_dict() if scaler else None,
            "data": self.data_fingerprint,
            "epoch": asdict(self.epoch_log),
        }
        save_checkpoint(self.run.checkpoint, modules, self.optimizer, progress)
        self._save_unfinished()

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
        self.epoch_log = EpochLog(**progress.get("epoch", {}))

    def fit(self) -> None:
        """Train until the last epoch, or until validation has stopped improving."""
        self.console.print(
            f"training for {self.settings.epochs} epochs of {self.task.steps_per_epoch:,} steps on "
            f"{self.accelerator.device}; Ctrl-C keeps what is learned, and the same command goes on"
        )
        self.console.print(f"to see the curves: tensorboard --logdir {self.run.folder}")
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
        if self.run.main:
            weights, about = load_file(self.run.best), {"best_epoch": self.best["epoch"] + 1}
            self.run.save_bundle(self.recipe, self.task, weights, about)
            self.console.print(f"wrote {self.run.bundle}")
        self.accelerator.wait_for_everyone()
        return self.run.bundle

    def _save_unfinished(self) -> None:
        """Write the best weights so far, or the latest if none are validated yet, as a bundle."""
        about: dict[str, Any] = {"unfinished": f"step {self.step:,} of {self.total_steps:,}"}
        if math.isfinite(self.best[self.task.measure]):
            weights = load_file(self.run.best)
            about["best_epoch"] = self.best["epoch"] + 1
        else:
            weights = self.average.module.state_dict()
        self.run.save_bundle(self.recipe, self.task, weights, about)

    def _modules(self) -> dict[str, nn.Module]:
        """Return everything that steps change, but for the optimizer."""
        return {"network": self.network, "average": self.average} | self.task.carried()

    def _epoch(self, epoch: int, position: int) -> dict[str, float]:
        """Take an epoch's steps from a position on, and return the means of what they watch.

        Raises:
            KeyboardInterrupt: the run was interrupted; a checkpoint has been written.
        """
        task, total, log = self.task, self.task.steps_per_epoch, self.epoch_log
        self.loss.train()
        began = saved = time.monotonic()
        before, first = log.seconds, position
        what = f"epoch {epoch + 1} of {self.settings.epochs}"
        with (
            postponed_interrupt() as is_interrupted,
            progress(self.console, what, total, done=position) as update,
        ):
            for batch in task.batches(epoch, position):
                watched, norm = self._step(batch)
                log.add(watched, norm)
                now, position = time.monotonic(), position + 1
                log.seconds = before + now - began
                speed = (position - first) * task.items_per_step / (now - began)
                update(position, f"{_format(watched)}, {speed:,.0f} {task.unit}/s")
                minutes = (now - saved) / 60
                due = task.checkpoint_due(self.step, minutes) or (
                    not self._has_checkpoint and minutes > _FIRST_CHECKPOINT_MINUTES
                )
                due, interrupted = self._in_any_process(due, is_interrupted())
                # Not after the last step: a run resumed from there would skip its validation.
                if (due or interrupted) and self.step % total:
                    self.checkpoint()
                    saved = time.monotonic()
                if interrupted:
                    raise KeyboardInterrupt
        self.run.log(self.step, **log.point(), learning_rate=self.optimizer.param_groups[0]["lr"])
        self.epoch_log = EpochLog()
        return log.means()

    def _in_any_process(self, *flags: bool) -> list[bool]:
        """Return which flags are set in any process; every process must call this."""
        if self.accelerator.num_processes == 1:
            return list(flags)
        counts = self.accelerator.reduce(
            torch.tensor(flags, dtype=torch.float32, device=self.accelerator.device), "sum"
        )
        return [count > 0 for count in counts.tolist()]

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
            value, logged, sample = self.task.validate(network, self.console)
            self.run.log(self.step, epoch=epoch + 1, **logged)
            self.console.print(f"epoch {epoch + 1}: {_format({**trained, **logged})}")
            if sample:
                self.console.print(sample, style="dim")
            best = self.best[measure]
            if value > best if self.task.higher_is_better else value < best:
                self.best = {measure: value, "epoch": epoch}
                save_weights(network, self.run.best)
        if self.accelerator.num_processes > 1:
            from_main = [self.best]
            torch.distributed.broadcast_object_list(from_main)
            self.best = from_main[0]


def fingerprint(data: Any) -> str:
    """Return a digest of JSON values and dataclasses."""
    return hashlib.sha256(json.dumps(data, default=asdict).encode()).hexdigest()


def _format(values: Mapping[str, float]) -> str:
    return " ".join(f"{name} {value:.3f}" for name, value in values.items())
