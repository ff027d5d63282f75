"""Train the small networks of the study, and test them."""

import time
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from model.config import CellName
from model.studies.sequences.labels import LabelTask
from model.studies.sequences.networks import PAD, START, Labeller, Rewriter
from model.studies.sequences.rewrites import RewriteTask

__all__ = ["LabelRun", "RewriteRun", "train_labeller", "train_rewriter"]

_BATCH = 64
_LEARNING_RATE = 1e-2  # at first; it falls to zero as half a cosine
_CLIP = 1.0
_TEST = 1_000
_CURVE = 20  # points of a learning curve


@dataclass(frozen=True)
class LabelRun:
    """A trained labeller.

    Attributes:
        task, shape, labels, memory: what it was, see `LabelTask` and `Labeller`.
        score: share of labels that are right, on sequences that it was not trained on.
        commonest: what naming always the commonest label would reach.
        by_step: of sequences with one label, the score if it is asked after each step; of others,
            the score of each step's label.
        seconds: that training took.
    """

    task: str
    shape: str
    labels: int
    seed: int
    memory: bool
    score: float
    commonest: float
    by_step: tuple[float, ...]
    seconds: float


@dataclass(frozen=True)
class RewriteRun:
    """A trained rewriter.

    Attributes:
        task, seed, backwards, attention: what it was; backwards reads the source from its end.
        exact: share of held-out sequences that are wholly right.
        characters: share of their characters that are right, given the right ones before.
        curve: (steps, exact) during training, on some of them.
        examples: a few sources, what was written and what would be right.
    """

    task: str
    seed: int
    backwards: bool
    attention: bool
    exact: float
    characters: float
    curve: tuple[tuple[int, float], ...]
    examples: tuple[tuple[str, str, str], ...]
    seconds: float

    @property
    def manner(self) -> str:
        """Describe how the source was read."""
        order = "reversed" if self.backwards else "in order"
        return f"{order}, attention" if self.attention else order


def train_labeller(
    task: LabelTask, *, cell: CellName, units: int, steps: int, seed: int, memory: bool
) -> LabelRun:
    """Train a labeller for some steps of 64 sequences, and test it on 1,000 others."""
    torch.manual_seed(seed)
    generator = torch.Generator().manual_seed(seed)
    network = Labeller(cell, task.input_size, units, len(task.labels), memory=memory)
    started = time.perf_counter()

    def loss() -> Tensor:
        inputs, labels = task.draw(generator, _BATCH)
        logits = network(inputs)
        if not task.in_step:
            logits = logits[:, -1]
        return nn.functional.cross_entropy(logits.flatten(0, -2), labels.flatten())

    _train(network, loss, steps)
    seconds = time.perf_counter() - started
    inputs, labels = task.draw_test(torch.Generator().manual_seed(seed + 1_000_000), _TEST)
    with torch.inference_mode():
        guesses = network(inputs).argmax(-1)
    right = (guesses == (labels if task.in_step else labels[:, None])).float()
    by_step = right.mean(0)
    return LabelRun(
        task=task.name,
        shape=task.shape,
        labels=len(task.labels),
        seed=seed,
        memory=memory,
        score=float(right.mean() if task.in_step else by_step[-1]),
        commonest=float(labels.flatten().bincount().max() / labels.numel()),
        by_step=tuple(by_step.tolist()),
        seconds=seconds,
    )


def train_rewriter(
    task: RewriteTask,
    *,
    cell: CellName,
    units: int,
    steps: int,
    seed: int,
    backwards: bool,
    attention: bool,
) -> RewriteRun:
    """Train a rewriter for some steps of 64 pairs, and test it on those held out."""
    torch.manual_seed(seed)
    generator = torch.Generator().manual_seed(seed)
    network = Rewriter(cell, units, task.tokens, attention=attention)
    source, test_source = task.source, task.test_source
    if backwards:
        source, test_source = _reversed(source), _reversed(test_source)
    curve: list[tuple[int, float]] = []
    some = slice(0, 200)

    def loss() -> Tensor:
        rows = torch.randint(len(source), (_BATCH,), generator=generator)
        target = task.target[rows]
        logits = network(source[rows], _shifted(target))
        return nn.functional.cross_entropy(logits.flatten(0, 1), target.flatten(), ignore_index=PAD)

    def watch(step: int) -> None:
        if step % max(1, steps // _CURVE) == 0:
            curve.append((step, _exact(network, test_source[some], task.test_target[some])))

    started = time.perf_counter()
    _train(network, loss, steps, watch)
    seconds = time.perf_counter() - started
    target = task.test_target
    with torch.inference_mode():
        guesses = network(test_source, _shifted(target)).argmax(-1)
        written = network.rewrite(test_source[:5], target.shape[1])
    counted = target != PAD
    examples = [
        (task.spell(one), task.spell(ours), task.spell(right))
        for one, ours, right in zip(task.test_source, written, target, strict=False)
    ]
    return RewriteRun(
        task=task.name,
        seed=seed,
        backwards=backwards,
        attention=attention,
        exact=_exact(network, test_source, target),
        characters=float((guesses == target)[counted].float().mean()),
        curve=tuple(curve),
        examples=tuple(examples),
        seconds=seconds,
    )


def _train(
    network: nn.Module,
    loss: Callable[[], Tensor],
    steps: int,
    watch: Callable[[int], None] = lambda step: None,
) -> None:
    parameters = list(network.parameters())
    optimizer = torch.optim.Adam(parameters, lr=_LEARNING_RATE)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)
    for step in range(1, steps + 1):
        optimizer.zero_grad()
        torch.autograd.backward(loss())
        nn.utils.clip_grad_norm_(parameters, _CLIP)
        optimizer.step()
        schedule.step()
        watch(step)


@torch.inference_mode()
def _exact(network: Rewriter, source: Tensor, target: Tensor) -> float:
    """Return the share of sequences that are written without a fault, up to their end."""
    written = network.rewrite(source, target.shape[1])
    return float(((written == target) | (target == PAD)).all(1).float().mean())


def _shifted(target: Tensor) -> Tensor:
    """Return what the writer reads: each token comes one step later, after `START`."""
    return torch.cat([torch.full_like(target[:, :1], START), target[:, :-1]], dim=1)


def _reversed(source: Tensor) -> Tensor:
    """Reverse sources; their padding stays on the left."""
    lengths = (source != PAD).sum(1, keepdim=True)
    width = source.shape[1]
    places = torch.arange(width)
    mirrored = (2 * width - lengths - 1 - places).clamp(0, width - 1)
    return torch.where(places >= width - lengths, source.gather(1, mirrored), PAD)
