"""Put what `unrolled evaluate writing` found into the card of a shipped language model.

    python scripts/update_writing.py weights/text/linux reports/linux-writing.json

The part of the card under "What it writes" is replaced, and the bundle's sha256 of its card.
"""

import argparse
import re
from pathlib import Path

from model.bundle.format import CARD
from model.bundle.read import load_text_bundle
from model.bundle.write import add_files
from model.evaluation.writing_report import WritingReport

_SECTION = re.compile(r"(^## What it writes\n\n).*?(?=\n+## |\Z)", re.MULTILINE | re.DOTALL)


def main() -> None:
    """Read a report, and write the card and its digest."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("bundle", type=Path, help="shipped language model")
    parser.add_argument("report", type=Path, help="JSON report on what it writes")
    arguments = parser.parse_args()
    bundle = load_text_bundle(arguments.bundle)
    report = WritingReport.read(arguments.report)
    if report.model != bundle.config.name:
        parser.error(f"the report is on {report.model}, but the bundle is {bundle.config.name}")
    card, places = _SECTION.subn(lambda found: found[1] + report.as_card(), bundle.card)
    if places != 1:
        parser.error(f'{arguments.bundle / CARD} needs one heading "## What it writes"')
    add_files(bundle, {CARD: card.encode()})
    print(f"wrote {arguments.bundle / CARD}")


if __name__ == "__main__":
    main()
