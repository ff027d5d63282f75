"""Write a trained captioner to `weights/`, with its scores and its card.

    python scripts/ship_captioner.py runs/captioner/bundle recipes/captioner-card.md \
        weights/captioner --report runs/captioner/reports/flickr8k-test.json ... \
        --length-penalty 0.8 --no-repeat-ngram-size 3 --no-echo-words and

The scores are those of the reports that `unrolled evaluate captioner` wrote. In the card,
`{scores}` becomes their table, `{confidence}` the first report's calibration at the default beam
size, `{errors}` the wrong captions at each `min_confidence` on the validation sets, and `{tags}`
the precision of tags there. The decoding options replace the bundle's defaults; choose them on
validation data. Consensus, calibration and golden captions from `unrolled finalize captioner` hold
for one decoding only: they are dropped if the decoding changes.
"""

import argparse
import json
from dataclasses import replace
from pathlib import Path

from model.bundle.write import save_bundle
from model.captioning.captioner import Captioner
from model.evaluation.report import tag_table
from model.reporting.tables import table

KEPT = ("kept", "of these wrong")
METRICS = {
    "bleu_1": "BLEU-1",
    "bleu_4": "BLEU-4",
    "rouge_l": "ROUGE-L",
    "meteor": "METEOR",
    "cider": "CIDEr",
}


def main() -> None:
    """Read a run's bundle and reports, and write the shipped bundle."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("bundle", type=Path, help="trained captioner")
    parser.add_argument("card", type=Path, help="Markdown template of its card")
    parser.add_argument("output", type=Path, help="folder of the shipped bundle")
    parser.add_argument("--report", type=Path, nargs="+", default=[], help="evaluation reports")
    parser.add_argument("--name", help="default: the bundle's")
    parser.add_argument("--version", help="default: the bundle's")
    parser.add_argument("--length-penalty", type=float, help="default: the bundle's")
    parser.add_argument("--no-repeat-ngram-size", type=int, help="default: the bundle's")
    parser.add_argument("--no-echo-words", nargs="*", help="default: the bundle's")
    parser.add_argument(
        "--repeat-nouns", action=argparse.BooleanOptionalAction, help="default: the bundle's"
    )
    parser.add_argument(
        "--open-endings", action=argparse.BooleanOptionalAction, help="default: the bundle's"
    )
    arguments = parser.parse_args()

    captioner = Captioner.load(arguments.bundle, device="cpu", runtime="torch")
    reports = [json.loads(path.read_text(encoding="utf-8")) for path in arguments.report]
    changes = {
        name: value
        for name in (
            "length_penalty",
            "no_repeat_ngram_size",
            "no_echo_words",
        )
        if (value := getattr(arguments, name)) is not None
    }
    for name in ("repeat_nouns", "open_endings"):  # argparse reads any --no-... as its opposite
        if (allowed := getattr(arguments, name)) is not None:
            changes[f"no_{name}"] = not allowed
    files: dict[str, bytes] = {}
    config = replace(
        captioner.config,
        name=arguments.name or captioner.config.name,
        version=arguments.version or captioner.config.version,
        decoding=replace(captioner.config.decoding, **changes),
        scores={f"{r['dataset']}/{r['split']}": scores_by_beam(r) for r in reports},
    )
    if config.decoding != captioner.config.decoding:
        decoding = replace(config.decoding, consensus=False)
        config = replace(config, decoding=decoding, consensus=None, calibration=None, golden=())
    else:
        files = captioner.optional_files()
    card = arguments.card.read_text(encoding="utf-8").replace("{scores}", score_table(reports))
    card = card.replace("{confidence}", calibration_table(reports, config.decoding.beam_size))
    card = card.replace("{errors}", error_tables(reports)).replace("{tags}", tag_tables(reports))
    save_bundle(
        arguments.output,
        config,
        captioner.network.state_dict(),
        captioner.vocabulary,
        card,
        files=files,
    )
    size = sum(path.stat().st_size for path in arguments.output.rglob("*") if path.is_file())
    print(f"wrote {arguments.output}, {size / 1e6:.1f} MB")


def scores_by_beam(report: dict) -> dict[str, dict[str, float]]:
    """Return the scores that a bundle's configuration records, by beam size."""
    return {
        str(result["beam_size"]): {
            name: round(result["scores"][name], 4)
            for name in METRICS
            if result["scores"][name] is not None
        }
        for result in report["results"]
    }


def score_table(reports: list[dict]) -> str:
    """Return all reports as one Markdown table, times 100."""
    lines = [
        f"| set | beam | {' | '.join(METRICS.values())} |",
        f"|---|---:|{'---:|' * len(METRICS)}",
    ]
    for report in reports:
        for result in report["results"]:
            values = [result["scores"][name] for name in METRICS]
            cells = " | ".join("-" if v is None else f"{100 * v:.1f}" for v in values)
            name = f"{report['dataset']} {report['split']} ({report['pictures']} pictures)"
            lines.append(f"| {name} | {result['beam_size']} | {cells} |")
    return "\n".join(lines)


def calibration_table(reports: list[dict], beam_size: int) -> str:
    """Return how confident captions are, and how many are good, as a Markdown table."""
    report = reports[0] if reports else {"results": []}
    calibration = next(
        (r["calibration"] for r in report["results"] if r["beam_size"] == beam_size), None
    )
    if calibration is None:  # not yet finalized by `unrolled finalize captioner`
        return "Not measured yet."
    lines = ["| confidence | captions | mean confidence | good |", "|---|---:|---:|---:|"]
    lines += [
        f"| {100 * bin_['low']:.0f} to {100 * bin_['high']:.0f} | {bin_['count']} | "
        f"{100 * bin_['confidence']:.1f} | {100 * bin_['good']:.1f} |"
        for bin_ in calibration["equal_width"]
    ]
    error = (
        f"Expected calibration error {100 * calibration['ece']:.1f} "
        f"({100 * calibration['ece_by_chance']:.1f} would be expected by chance if every "
        "confidence were exact)"
    )
    return f"{error}, {report['dataset']} {report['split']}, beam {beam_size}, times 100:\n\n" + (
        "\n".join(lines)
    )


def error_tables(reports: list[dict]) -> str:
    """Return how many captions each `min_confidence` keeps, and how many are wrong, times 100."""
    measured = {
        f"{report['dataset']} {report['split']}": thresholds
        for report in reports
        if report["split"] == "val"
        for result in report["results"]
        if result["beam_size"] == 3 and (calibration := result["calibration"])
        for thresholds in (calibration.get("thresholds"),)
        if thresholds
    }
    if not measured:
        return "Not measured yet."
    header = ["min_confidence", *(f"{name}, {what}" for name in measured for what in KEPT)]
    rows = [
        [
            f"{least / 10:.1f}",
            *(
                cell
                for thresholds in measured.values()
                for cell in (
                    percent(thresholds[least]["kept"]),
                    percent(thresholds[least]["wrong"]),
                )
            ),
        ]
        for least in range(10)
    ]
    return table(header, rows, text=0)


def tag_tables(reports: list[dict]) -> str:
    """Return how many tags there are of each probability or more, and how many are true."""
    measured = {
        f"{report['dataset']} {report['split']}": report
        for report in reports
        if report["split"] == "val" and report.get("tags")
    }
    if not measured:
        return "Not measured yet."
    parts = []
    for name, report in measured.items():
        header, rows = tag_table(report)
        parts.append(f"{name} ({report['pictures']} pictures):\n\n{table(header, rows, text=0)}")
    return "\n\n".join(parts)


def percent(share: float | None) -> str:
    """Return a share times 100, or a dash."""
    return "-" if share is None else f"{100 * share:.1f}"


if __name__ == "__main__":
    main()
