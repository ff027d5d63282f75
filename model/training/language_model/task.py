"""Train a language model from a recipe: `unrolled train text --config recipe.toml`.

Truncated backpropagation through time: streams of text are read side by side, a chunk at a time,
and the hidden state is carried from chunk to chunk. Checkpoints hold that state too.
"""

import math
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from accelerate import Accelerator
from rich.console import Console
from torch import Tensor, nn

from model.config import TextConfig
from model.data.corpus import Corpus, streams
from model.networks.cells import CellState
from model.networks.text_network import TextNetwork
from model.reporting.progress import status
from model.text.language_model import LanguageModel
from model.training.initial_weights import load_initial_weights
from model.training.language_model.loss import TextLoss, nats_per_token
from model.training.language_model.streams import StreamState, gather_state, take_share
from model.training.optimizer import parameter_groups
from model.training.recipe import TextRecipe, data_path, read_recipe
from model.training.task import Losses, Mean, TrainingTask, Validation
from model.training.train import train

__all__ = ["LanguageModelTask", "main"]

_SAMPLE_TOKENS = {"character": 200, "word": 20}


def main(
    config: Path, output: Path | None = None, *, seed: int | None = None, resume: bool = True
) -> Path:
    """Train a language model by the recipe in `config`, with another seed if one is given.

    See `model.training.train.train` for the rest.
    """
    recipe = read_recipe(config, TextRecipe, seed)
    return train(LanguageModelTask, recipe, output, resume=resume)


class LanguageModelTask(TrainingTask[Tensor]):
    """A language model, trained on a corpus. A batch is a chunk of this process's streams."""

    command = "text"
    measure = "loss"
    higher_is_better = False
    unit = "tokens"

    def __init__(self, recipe: TextRecipe, accelerator: Accelerator) -> None:
        self.recipe = recipe
        self.settings = recipe.optimisation
        self.validates_first = bool(recipe.initial_weights)
        self.accelerator = accelerator
        self.corpus = Corpus.read(
            Path(data_path(recipe.corpus)),
            level=recipe.level,
            ends=recipe.ends,
            characters=recipe.characters,
            validation_share=recipe.validation_share,
            validation_pieces=recipe.validation_pieces,
            min_count=recipe.min_count,
        )
        self.vocabulary = self.corpus.vocabulary
        text = [self.corpus.train_text, self.corpus.validation_text]
        self.fingerprinted_data = [self.vocabulary.tokens, *text]
        self.provenance = {
            "corpus": Path(recipe.corpus).name,
            "training_characters": len(self.corpus.train_text),
            "validation_share": recipe.validation_share,
            "validation_pieces": recipe.validation_pieces,
            "min_count": recipe.min_count,
        }
        self.config = TextConfig(
            name=recipe.name,
            version=recipe.version,
            level=recipe.level,
            network=recipe.network,
            sampling=recipe.sampling,
            ends=recipe.ends,
            beginning=recipe.beginning,
        )
        if self.streams < accelerator.num_processes:
            raise ValueError(
                f"{self.streams} streams cannot be shared by {accelerator.num_processes} "
                "processes: each needs at least one"
            )
        # Of this process's streams; None between epochs.
        self.state: CellState | None = None

    @property
    def streams(self) -> int:
        """Streams of all processes."""
        return min(self.settings.streams, len(self.corpus.train))

    @property
    def steps_per_epoch(self) -> int:
        """Chunks of a stream."""
        return math.ceil(len(self.corpus.train) // self.streams / self.settings.steps)

    @property
    def items_per_step(self) -> int:
        """Tokens of a chunk of all streams."""
        return self.streams * self.settings.steps

    def build_network(self, console: Console) -> TextNetwork:
        """Build the network, with random weights unless the recipe names others."""
        self.network = TextNetwork(self.recipe.network, len(self.vocabulary))
        if self.recipe.initial_weights:
            path = Path(self.recipe.initial_weights)
            load_initial_weights(self.network, path, self.config, self.vocabulary, ["network"])
        return self.network

    def build_loss(self) -> TextLoss:
        """Build the cross-entropy."""
        return TextLoss(self.network, self.vocabulary.start_id)

    def parameter_groups(self) -> list[dict[str, Any]]:
        """Group the parameters of the whole network."""
        return parameter_groups(
            self.network, self.settings.learning_rate, self.settings.weight_decay
        )

    def batches(self, epoch: int, position: int) -> Iterator[Tensor]:
        """Yield the whole text once, a chunk of (streams, steps + 1) tokens at a time."""
        # Where texts end by themselves, a stream begins in the middle of one: were that read after
        # the start token, the network would learn that texts begin so.
        first = self.vocabulary.end_id if self.recipe.ends else self.vocabulary.start_id
        text = streams(
            self.corpus.train, self.settings.streams, first, seed=f"{self.recipe.seed}/{epoch}"
        )
        text = take_share(text, self.accelerator)
        if position == 0:
            self.state = self.network.initial_state(len(text))
        for index in range(position, self.steps_per_epoch):
            start = index * self.settings.steps
            chunk = text[:, start : start + self.settings.steps + 1]
            yield chunk.to(self.accelerator.device)
        self.state = None

    def losses(self, loss: nn.Module, batch: Tensor) -> Losses:
        """Compute a chunk's loss, and carry the state on to the next chunk."""
        total, count, state = loss(batch, self.state)
        # The gradient goes back no further than this chunk, though the state does.
        self.state = tuple(part.detach() for part in state)
        mean = Mean(total, count)
        return Losses((mean,), {"loss": mean.detached()})

    def validate(self, network: TextNetwork, console: Console) -> Validation:
        """Measure the mean loss of a token of the validation text, and write a sample."""
        with status(console, "validating"):
            loss = nats_per_token(network.eval(), self.corpus.validation, self.vocabulary.start_id)
        language_model = LanguageModel.of(
            network, self.config, self.vocabulary, device=self.accelerator.device
        )
        prompt, tokens = self.recipe.prompt, _SAMPLE_TOKENS[self.recipe.level]
        deltas = language_model.generate(prompt, max_tokens=tokens, temperature=0.8)
        sample = prompt + "".join(delta.text for delta in deltas)
        return Validation(loss, {"validation_loss": loss}, sample)

    def checkpoint_due(self, step: int, minutes: float) -> bool:
        """Write a checkpoint every `checkpoint_steps` or `checkpoint_minutes`."""
        recipe = self.recipe
        return step % recipe.checkpoint_steps == 0 or minutes > recipe.checkpoint_minutes

    def carried(self) -> dict[str, nn.Module]:
        """Return the state of all processes' streams."""
        if self.state is None:
            state = self.network.initial_state(self.streams)
        else:
            state = gather_state(self.state, self.accelerator, self.streams)
        return {"state": StreamState(state)}

    def restore(self, carried: Mapping[str, nn.Module]) -> None:
        """Take this process's share of the state."""
        self.state = tuple(
            take_share(part.to(self.accelerator.device), self.accelerator, dim=1)
            for part in carried["state"].buffers()
        )
