"""Train one network with each activation function: which units die, and which learns fastest."""

import math
from collections.abc import Sequence
from dataclasses import asdict, replace
from statistics import mean
from typing import Any

from torch import nn

from model.reporting.plots import Line, Panel, band
from model.reporting.tables import mean_and_deviation, table
from model.studies.activations import dead_share
from model.studies.dense import (
    ACTIVATION_COLOURS,
    ACTIVATIONS,
    dense,
    parameter_count,
    seeded,
    suitable,
)
from model.studies.digits import CLASSES, PIXELS, Digits, Learning, digits, learn, scaled
from model.studies.report import Part

__all__ = ["convergence", "dead_units"]

_SIZES = (PIXELS, 50, 50, 50, CLASSES)
_LOW = 0.1  # the loss whose epoch is compared, in nats


def dead_units(seeds: Sequence[int], rates: Sequence[float], epochs: int) -> Part:
    """Count the units that a learning rate kills, of ReLU and of leaky ReLU."""
    data = scaled(digits())
    names = ("ReLU", "leaky ReLU")
    found: dict[str, list[list[tuple[float, Learning]]]] = {name: [] for name in names}
    for rate in rates:
        for name in names:
            runs = []
            for seed in seeds:
                learned, network = _train(name, data, rate, epochs, seed)
                runs.append((dead_share(network, data.train), learned))
            found[name].append(runs)
    rows = [
        [f"{rate:g}"]
        + [mean_and_deviation([dead for dead, _ in found[name][i]], 2) for name in names]
        + [mean_and_deviation([run.test for _, run in found[name][i]], 2) for name in names]
        for i, rate in enumerate(rates)
    ]
    panels = []
    for title, pick in (("dead units", 0), ("right on the test part", 1)):
        lines = []
        for name in names:
            by_seed = zip(*found[name], strict=True)
            curves = [
                [run[0] if pick == 0 else run[1].test for run in by_rate] for by_rate in by_seed
            ]
            line = band(name, curves, ACTIVATION_COLOURS[name])
            lines.append(replace(line, x=rates, marker="o"))
        panels.append(Panel(title, "learning rate", "share", lines, counts=False, log_x=True))
    header = ["learning rate", "dead: ReLU", "dead: leaky ReLU", "right: ReLU", "right: leaky ReLU"]
    return Part(
        "dead",
        "Dead units by learning rate",
        (
            "The digits, three hidden layers of 50 units, He's initial weights, "
            f"{epochs} epochs of plain gradient descent. A hidden unit is dead if it has "
            "no gradient for any of the 1,000 training pictures. Mean ± standard deviation over "
            f"{len(seeds)} seeds:",
            table(header, rows, text=0),
        ),
        {
            name: [
                {
                    "rate": rate,
                    "dead": [dead for dead, _ in runs],
                    "test": [r.test for _, r in runs],
                }
                for rate, runs in zip(rates, found[name], strict=True)
            ]
            for name in names
        },
        tuple(panels),
    )


def convergence(seeds: Sequence[int], rates: Sequence[float], epochs: int) -> Part:
    """Train one network with each function, at its best learning rate."""
    data = scaled(digits())
    rows: list[list[str]] = []
    losses: list[Line] = []
    kept: dict[str, Any] = {}
    for name in ACTIVATIONS:
        by_rate = {rate: [_train(name, data, rate, epochs, s)[0] for s in seeds] for rate in rates}
        best = max(by_rate, key=lambda rate: mean(run.validation for run in by_rate[rate]))
        runs = by_rate[best]
        reached = [after for run in runs if (after := run.epochs_to(_LOW)) is not None]
        count = parameter_count(dense(_SIZES, name, suitable(name)))
        few = "" if len(reached) == len(runs) else f" ({len(reached)} of {len(runs)} seeds)"
        finite = [run.last_loss for run in runs if math.isfinite(run.last_loss)]
        cells = [
            mean_and_deviation([*map(float, reached)], 1) + few if reached else "never",
            mean_and_deviation(finite) if finite else "not finite",
            mean_and_deviation([run.test for run in runs]),
        ]
        rows.append([name, f"{count:,}", f"{best:g}", *cells])
        if finite:
            curves = [run.losses for run in runs if run.losses]
            losses.append(band(name, curves, ACTIVATION_COLOURS[name], start=1))
        kept[name] = {str(rate): [asdict(run) for run in runs] for rate, runs in by_rate.items()}
    header = ["function", "parameters", "learning rate", f"epochs to a loss of {_LOW:g}"]
    return Part(
        "convergence",
        "Convergence side by side",
        (
            "The same network on the digits with each function, Xavier's initial weights where it "
            "saturates and for maxout, He's otherwise. Each has the best of the learning rates "
            f"{', '.join(f'{rate:g}' for rate in rates)} by its validation part. Loss in "
            f"nats after {epochs} epochs; mean ± standard deviation over "
            f"{len(seeds)} seeds:",
            table([*header, "training loss", "right on the test part"], rows),
        ),
        kept,
        (Panel("convergence", "epoch", "training loss (nats)", losses, log=True),),
    )


def _train(
    name: str, data: Digits, rate: float, epochs: int, seed: int
) -> tuple[Learning, nn.Sequential]:
    network = seeded(seed, lambda: dense(_SIZES, name, suitable(name)))
    return learn(network, data, rate=rate, epochs=epochs, seed=seed), network
