"""Average the weights of captioners that were trained from the same beginning.

    python scripts/average_captioners.py runs/one/bundle runs/two/bundle:0.5 runs/averaged

A weight may follow each bundle (1 where none does). Networks that went different ways from one
beginning lie in one basin, and their average is often better than any of them, at the cost of one
(Wortsman et al. 2022, "Model soups"). What is averaged must be the same network with the same
vocabulary. Configuration and card are the first one's, and the provenance lists all; confidence and
the like belong to other weights, and are left out.
"""

import argparse
from dataclasses import replace
from pathlib import Path

from torch import Tensor

from model.bundle.write import save_bundle
from model.captioning.captioner import Captioner


def main() -> None:
    """Read bundles, write their average."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("bundle", nargs="+", type=split, help="a bundle, or a bundle:weight")
    parser.add_argument("output", type=Path)
    arguments = parser.parse_args()

    given = arguments.bundle
    captioners = [Captioner.load(path, device="cpu") for path, _ in given]
    first = captioners[0]
    for (path, _), other in zip(given, captioners, strict=True):
        if (what := difference(first, other)) is not None:
            parser.error(f"{path} has another {what} than {given[0][0]}")
    state = average(
        [captioner.network.state_dict() for captioner in captioners],
        [weight for _, weight in given],
    )
    parts = [
        captioner.config.provenance | {"weight": weight}
        for captioner, (_, weight) in zip(captioners, given, strict=True)
    ]
    config = replace(
        first.config,
        decoding=replace(first.config.decoding, consensus=False),
        consensus=None,
        calibration=None,
        golden=(),
        provenance={"average_of": parts},
        scores={},
    )
    save_bundle(arguments.output, config, state, first.vocabulary, first.card)
    print(f"wrote {arguments.output}")


def split(text: str) -> tuple[Path, float]:
    """Read `bundle` or `bundle:weight`."""
    path, colon, weight = text.rpartition(":")
    return (Path(path), float(weight)) if colon else (Path(text), 1.0)


def difference(one: Captioner, other: Captioner) -> str | None:
    """Name what keeps two captioners from being averaged, if anything does."""
    for part in ("encoder", "decoder", "preprocessing"):
        if getattr(one.config, part) != getattr(other.config, part):
            return part
    return None if one.vocabulary.tokens == other.vocabulary.tokens else "vocabulary"


def average(states: list[dict[str, Tensor]], weights: list[float]) -> dict[str, Tensor]:
    """Take the weighted mean of each tensor; counters, which are no weights, are the first's."""
    shares = [weight / sum(weights) for weight in weights]
    mean = {}
    for name, tensor in states[0].items():
        parts = [share * state[name].double() for share, state in zip(shares, states, strict=True)]
        mean[name] = sum(parts[1:], parts[0]).to(tensor) if tensor.is_floating_point() else tensor
    return mean


if __name__ == "__main__":
    main()
