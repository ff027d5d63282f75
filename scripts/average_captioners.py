"""Average the weights of captioners that were trained from the same starting point.

    python scripts/average_captioners.py runs/one/bundle runs/two/bundle:0.5 runs/averaged

Each bundle may carry a weight (default 1). Networks fine-tuned from one starting point often stay
in one basin of the loss, and their average is often better than any of them at the cost of one
(Wortsman et al. 2022, "Model soups"). All must have the same network, preprocessing and vocabulary.
Configuration and card are the first bundle's, and the provenance lists them all. Consensus,
calibration and golden captions belong to other weights and are left out.
"""

import argparse
from dataclasses import replace
from pathlib import Path

import torch
from torch import Tensor

from model.bundle.write import save_bundle
from model.captioning.captioner import Captioner

CLASS_WORDS = "decoder.class_names.words"


def main() -> None:
    """Read the bundles and write their average."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("bundle", nargs="+", type=parse_bundle, help="bundle, or bundle:weight")
    parser.add_argument("output", type=Path, help="folder of the averaged bundle")
    arguments = parser.parse_args()

    bundles = arguments.bundle
    captioners = [Captioner.load(path, device="cpu", runtime="torch") for path, _ in bundles]
    first = captioners[0]
    for (path, _), other in zip(bundles, captioners, strict=True):
        if (part := difference(first, other)) is not None:
            parser.error(f"{path} differs in its {part} from {bundles[0][0]}: they must be alike")
    state = average(
        [captioner.network.state_dict() for captioner in captioners],
        [weight for _, weight in bundles],
    )
    sources = [
        captioner.config.provenance | {"weight": weight}
        for captioner, (_, weight) in zip(captioners, bundles, strict=True)
    ]
    config = replace(
        first.config,
        decoding=replace(first.config.decoding, consensus=False),
        consensus=None,
        calibration=None,
        tagging=None,
        golden=(),
        provenance={"average_of": sources},
        scores={},
    )
    save_bundle(arguments.output, config, state, first.vocabulary, first.card)
    print(f"wrote {arguments.output}")


def parse_bundle(text: str) -> tuple[Path, float]:
    """Return the path and weight of `bundle` or `bundle:weight`."""
    path, colon, weight = text.rpartition(":")
    return (Path(path), float(weight)) if colon else (Path(text), 1.0)


def difference(one: Captioner, other: Captioner) -> str | None:
    """Return the first part in which two captioners differ, or None if they can be averaged."""
    for part in ("encoder", "decoder", "preprocessing"):
        if getattr(one.config, part) != getattr(other.config, part):
            return part
    if one.vocabulary.tokens != other.vocabulary.tokens:
        return "vocabulary"
    words = [captioner.network.state_dict().get(CLASS_WORDS) for captioner in (one, other)]
    if words[0] is not None and words[1] is not None and not torch.equal(words[0], words[1]):
        return "names of classes"
    return None


def average(states: list[dict[str, Tensor]], weights: list[float]) -> dict[str, Tensor]:
    """Return the weighted mean of each tensor; integer counters are the first network's."""
    shares = [weight / sum(weights) for weight in weights]
    mean = {}
    for name, tensor in states[0].items():
        terms = [share * state[name].double() for share, state in zip(shares, states, strict=True)]
        mean[name] = sum(terms[1:], terms[0]).to(tensor) if tensor.is_floating_point() else tensor
    return mean


if __name__ == "__main__":
    main()
