"""Train a captioner from a recipe: `unrolled train captioner --config recipe.toml`."""

import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from accelerate import Accelerator
from rich.console import Console
from torch import Tensor, nn
from torch.utils.data import DataLoader

from model.captioning.captioner import Captioner
from model.config import CaptionerConfig
from model.data.batches import CaptionBatch
from model.networks.caption_network import CaptionNetwork
from model.training.captioner.data import Batches, TrainingData
from model.training.captioner.initial_weights import first_network
from model.training.captioner.loss import CaptionLoss
from model.training.captioner.reward import Reward
from model.training.captioner.self_critical import SelfCriticalLoss
from model.training.captioner.validation import CiderValidation
from model.training.optimizer import parameter_groups
from model.training.recipe import CaptionerRecipe, read_recipe
from model.training.schedule import sampling_probability
from model.training.task import Losses, TrainingTask, Validation
from model.training.train import train

__all__ = ["CaptionerTask", "main"]


def main(
    config: Path, output: Path | None = None, *, seed: int | None = None, resume: bool = True
) -> Path:
    """Train a captioner by the recipe in `config`, with another seed if one is given.

    See `model.training.train.train` for the rest.
    """
    recipe = read_recipe(config, CaptionerRecipe, seed)
    return train(CaptionerTask, recipe, output, resume=resume)


class CaptionerTask(TrainingTask[tuple[Tensor, CaptionBatch, float]]):
    """A captioner, trained by cross-entropy or rewarded for what it draws.

    A batch is pictures (or their features), captions, and the probability of scheduled sampling.
    """

    command = "captioner"
    measure = "cider"
    higher_is_better = True
    unit = "pictures"

    def __init__(self, recipe: CaptionerRecipe, accelerator: Accelerator) -> None:
        self.recipe = recipe
        self.settings = recipe.optimisation
        self.accelerator = accelerator
        self.data = TrainingData(recipe)
        self.fingerprinted_data = [self.data.train, self.data.validation, self.data.lookalikes]
        self.vocabulary = self.data.vocabulary
        self.provenance = {"data": [data.name for data in self.data.sets]}
        self.validates_first = bool(recipe.initial_weights)
        self.config = CaptionerConfig(
            name=recipe.name,
            version=recipe.version,
            preprocessing=recipe.preprocessing,
            encoder=recipe.encoder,
            decoder=recipe.decoder,
            decoding=recipe.decoding,
        )
        self._cider = CiderValidation(self.data)

    @property
    def steps_per_epoch(self) -> int:
        """Batches of the plan."""
        return len(self.data.plan)

    @property
    def items_per_step(self) -> int:
        """Pictures in a batch."""
        return self.settings.batch_size

    def build_network(self, console: Console) -> CaptionNetwork:
        """Build the network; with a frozen encoder, cache the features of all pictures."""
        self.network = first_network(self.recipe, self.config, self.data)
        encoder = self.network.encoder
        encoder.tune(self.settings.tune_from, update_batch_norm=self.settings.update_batch_norm)
        if encoder.frozen:
            dtype = torch.bfloat16 if self.recipe.precision == "bfloat16" else torch.float32
            with self.accelerator.main_process_first():
                self.data.cache(encoder, self.accelerator.device, dtype, console)
        return self.network

    def build_loss(self) -> CaptionLoss:
        """Build the cross-entropy, or the loss of self-critical training."""
        smoothing, settings = self.settings.label_smoothing, self.recipe.self_critical
        if settings is None:
            return CaptionLoss(self.network, smoothing)
        rewards = Reward(
            [entry.captions for entries in self.data.train for entry in entries],
            self.vocabulary,
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

    def parameter_groups(self) -> list[dict[str, Any]]:
        """Group the parameters: the encoder has its own learning rate."""
        settings, decay = self.settings, self.settings.weight_decay
        return [
            *parameter_groups(self.network.decoder, settings.learning_rate, decay),
            *parameter_groups(self.network.encoder, settings.encoder_learning_rate, decay),
        ]

    def batches(self, epoch: int, position: int) -> Iterator[tuple[Tensor, CaptionBatch, float]]:
        """Yield this process's share of the plan's batches."""
        accelerator, settings = self.accelerator, self.settings
        batches = Batches(
            self.data,
            epoch,
            self.data.plan.epoch(epoch)[position:],
            accelerator.process_index,
            accelerator.num_processes,
        )
        sampling = sampling_probability(epoch, epochs=settings.epochs, last=settings.sampling)
        for pictures, captions in DataLoader(
            batches,
            batch_size=None,
            num_workers=self.recipe.workers,
            worker_init_fn=_ignore_interrupts,
        ):
            yield pictures.to(accelerator.device), captions.to(accelerator.device), sampling

    def losses(self, loss: nn.Module, batch: tuple[Tensor, CaptionBatch, float]) -> Losses:
        """Compute a batch's losses."""
        losses: Losses = loss(*batch)
        return losses

    def validate(self, network: CaptionNetwork, console: Console) -> Validation:
        """Measure the CIDEr of the network's captions."""
        captioner = Captioner.of(
            network, self.config, self.vocabulary, device=self.accelerator.device
        )
        values = self._cider(captioner, console)
        return Validation(values["cider"], values)

    def checkpoint_due(self, step: int, minutes: float) -> bool:
        """Write a checkpoint every `checkpoint_minutes`."""
        return minutes > self.recipe.checkpoint_minutes


def _ignore_interrupts(worker: int) -> None:
    """Let Ctrl-C, which a terminal sends to workers too, end the run in its main process."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
