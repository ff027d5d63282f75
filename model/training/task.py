"""What a `Trainer` must be given to train something: its network, batches, loss and validation."""

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from typing import Any, ClassVar, Generic, NamedTuple, TypeVar

from rich.console import Console
from torch import Tensor, nn

from model.vocabulary import Vocabulary

__all__ = ["Losses", "Mean", "TrainingTask", "Validation"]

Batch = TypeVar("Batch")


class Mean(NamedTuple):
    """A sum over a batch and its weight, kept apart because processes share the batch."""

    total: Tensor
    weight: Tensor

    def detached(self) -> "Mean":
        """Return the same numbers without their history."""
        return Mean(self.total.detach(), self.weight)


class Losses(NamedTuple):
    """The loss of a batch is the sum of the means in `terms`; those in `watched` are logged."""

    terms: tuple[Mean, ...]
    watched: dict[str, Mean]


class Validation(NamedTuple):
    """The value that decides which weights are kept, what is logged, and a sample to print."""

    value: float
    logged: dict[str, float]
    sample: str = ""


class TrainingTask(ABC, Generic[Batch]):
    """What is trained, and on what.

    A task is made from its recipe and an `accelerator`, and reads its data then. It is made before
    the random numbers are seeded; the network is built after that.

    Attributes:
        command: trains such a task, `unrolled train COMMAND`.
        measure: the name in checkpoints of the value that decides which weights are kept.
        higher_is_better: whether the best weights have the highest value or the lowest.
        unit: what `items_per_step` counts, for the progress bar.
        validates_first: whether the initial weights are validated before the first step, and kept
            if no later ones are better.
        config: of the bundle, a `CaptionerConfig` or `TextConfig` without provenance.
        vocabulary: of the bundle.
        provenance: what the bundle says about its data.
        fingerprinted_data: everything the weights are learned and chosen from, as JSON values and
            dataclasses; a checkpoint is only resumed on the same.
    """

    command: ClassVar[str]
    measure: ClassVar[str]
    higher_is_better: ClassVar[bool]
    unit: ClassVar[str]

    validates_first = False
    config: Any
    vocabulary: Vocabulary
    provenance: dict[str, Any]
    fingerprinted_data: Any

    @property
    @abstractmethod
    def steps_per_epoch(self) -> int:
        """Steps of an epoch."""

    @property
    @abstractmethod
    def items_per_step(self) -> int:
        """Pictures or tokens that all processes read in a step."""

    @abstractmethod
    def build_network(self, console: Console) -> nn.Module:
        """Build the network with its initial weights; long work reports to the console."""

    @abstractmethod
    def build_loss(self) -> nn.Module:
        """Build the module that computes the network's loss, and freeze what it does not train.

        The network is a part of it, as distributed training needs.
        """

    @abstractmethod
    def parameter_groups(self) -> list[dict[str, Any]]:
        """Group the trained parameters for the optimizer, see `model.training.optimizer`."""

    @abstractmethod
    def batches(self, epoch: int, position: int) -> Iterator[Batch]:
        """Yield this process's batches of an epoch, from the step at `position` on."""

    @abstractmethod
    def losses(self, loss: nn.Module, batch: Batch) -> Losses:
        """Compute a batch's losses with the module of `build_loss`."""

    @abstractmethod
    def validate(self, network: Any, console: Console) -> Validation:
        """Measure a network's averaged weights; only the main process does.

        Progress is shown on the console.
        """

    @abstractmethod
    def checkpoint_due(self, step: int, minutes: float) -> bool:
        """Decide whether to write a checkpoint, `minutes` after the last one.

        The first of a process comes after a minute at the latest, whatever this returns.
        """

    def carried(self) -> dict[str, nn.Module]:
        """Return what steps change besides the weights; every process must call this."""
        return {}

    def restore(self, carried: Mapping[str, nn.Module]) -> None:
        """Take back what `carried` returned, as a checkpoint held it."""
