"""Write a trained language model to `weights/text/`, with its scores and its card.

    python scripts/ship_language_model.py runs/shakespeare/bundle recipes/text/shakespeare-card.md \
        weights/text/shakespeare --report runs/shakespeare/reports/shakespeare-validation.json

The scores are those of the report that `unrolled evaluate text` wrote. In the card, `{scores}`
becomes their table, `{sample}` the prompt and what the model generates after it with seed 1, and
`{writing}` what `--writing`, a report of `unrolled evaluate writing`, says.
"""

import argparse
import json
from dataclasses import replace
from pathlib import Path

from model.bundle.write import save_bundle
from model.evaluation.writing_report import WritingReport
from model.text.language_model import LanguageModel

ORDERS = (2, 3, 5, 7, 10, 20)


def main() -> None:
    """Read a run's bundle and report, and write the shipped bundle."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("bundle", type=Path, help="trained language model")
    parser.add_argument("card", type=Path, help="Markdown template of its card")
    parser.add_argument("output", type=Path, help="folder of the shipped bundle")
    parser.add_argument("--report", type=Path, required=True, help="evaluation report")
    parser.add_argument("--writing", type=Path, help="report on what it writes, for {writing}")
    parser.add_argument("--version", help="default: the bundle's")
    parser.add_argument("--prompt", default="", help="of the sample; default: none")
    arguments = parser.parse_args()
    card = arguments.card.read_text(encoding="utf-8")
    if arguments.writing:
        card = card.replace("{writing}", WritingReport.read(arguments.writing).as_card())
    elif "{writing}" in card:
        parser.error(f"{arguments.card} shows what the model writes: give --writing")

    language_model = LanguageModel.load(arguments.bundle, device="cpu", runtime="torch")
    report = json.loads(arguments.report.read_text(encoding="utf-8"))
    sample = arguments.prompt + "".join(
        delta.text for delta in language_model.generate(arguments.prompt, seed=1)
    )
    scores = {
        f"nats_per_{report['level']}": round(report["nats"], 4),
        "perplexity": round(report["perplexity"], 3),
        "bits_per_character": round(report["bits_per_character"], 4),
    }
    config = replace(
        language_model.config,
        version=arguments.version or language_model.config.version,
        scores={f"{report['corpus']}/validation": {"model": scores}},
    )
    card = card.replace("{scores}", score_table(report)).replace("{sample}", sample.strip("\n"))
    save_bundle(
        arguments.output,
        config,
        language_model.network.state_dict(),
        language_model.vocabulary,
        card,
    )
    size = sum(path.stat().st_size for path in arguments.output.iterdir())
    print(f"wrote {arguments.output}, {size / 1e6:.1f} MB")


def score_table(report: dict) -> str:
    """Return a Markdown table of the model and some n-gram models."""
    lines = [f"| model | nats / {report['level']} |", "|---|---:|"]
    lines.append(f"| **this one** | **{report['nats']:.3f}** |")
    nats = report["ngrams"]
    lines += [f"| {n}-gram | {nats[n - 1]:.3f} |" for n in ORDERS if n <= len(nats)]
    if nats:
        best = min(range(len(nats)), key=nats.__getitem__)
        lines.append(f"| best n-gram (order {best + 1}) | {nats[best]:.3f} |")
    return "\n".join(lines)


if __name__ == "__main__":
    main()
