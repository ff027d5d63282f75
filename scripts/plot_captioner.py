"""Plot the training curves of a captioner, one run after another.

    python scripts/plot_captioner.py runs/captioner runs/captioner-tuned docs/images/captioner.png

Each run has its own colour and begins at the epoch where the previous one ended.
"""

import argparse
import json
from pathlib import Path

from model.reporting.plots import draw
from model.training.curves import training_panels


def main() -> None:
    """Read the runs' curves and write the plot."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "run", type=Path, nargs="+", help="folders that `unrolled train captioner` wrote"
    )
    parser.add_argument("plot", type=Path, help="PNG file to write")
    arguments = parser.parse_args()
    curves = {
        run.resolve().name: json.loads((run / "curve.json").read_text(encoding="utf-8"))
        for run in arguments.run
    }
    draw(training_panels(curves), arguments.plot)
    print(f"wrote {arguments.plot}")


if __name__ == "__main__":
    main()
