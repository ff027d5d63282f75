"""Draw how a captioner came about: the curves of its trainings, one after the other.

    python scripts/plot_captioner.py runs/captioner runs/captioner-tuned docs/images/captioner.png

Each run is a colour, and begins at the epoch where the one before it ended.
"""

import argparse
import json
from pathlib import Path

from model.reporting.plots import draw
from model.training.curves import training_panels


def main() -> None:
    """Read the runs' curves, write the picture."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("run", type=Path, nargs="+", help="folders of `unrolled train captioner`")
    parser.add_argument("picture", type=Path, help="the PNG to write")
    arguments = parser.parse_args()
    curves = {
        run.resolve().name: json.loads((run / "curve.json").read_text()) for run in arguments.run
    }
    draw(training_panels(curves), arguments.picture)
    print(f"wrote {arguments.picture}")


if __name__ == "__main__":
    main()
