"""Put a trained captioner into `weights/`, with its scores and its card.

    python scripts/ship_captioner.py runs/captioner/bundle recipes/captioner-card.md \
        weights/captioner --report runs/captioner/reports/flickr8k-test.json ... \
        --length-penalty 0.8 --no-repeat-ngram-size 3 --no-echo-words and

The default decoding is chosen on validation data, after training; the scores are those of the
reports that `unrolled evaluate captioner` wrote. In the card, `{scores}` becomes their table, and
`{confidence}` that of how often the captions of the first report are as good as their confidence
says, at the default beam size.
What `unrolled finalize captioner` added belongs to the decoding: it is kept where the decoding is,
and left out where that is changed here.
"""

import argparse
import json
from dataclasses import replace
from pathlib import Path

from model.bundle.write import save_bundle
from model.captioning.captioner import Captioner

METRICS = {
    "bleu_1": "BLEU-1",
    "bleu_4": "BLEU-4",
    "rouge_l": "ROUGE-L",
    "meteor": "METEOR",
    "cider": "CIDEr",
}


def main() -> None:
    """Read a run's bundle and its reports, write the shipped one."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("bundle", type=Path)
    parser.add_argument("card", type=Path)
    parser.add_argument("output", type=Path)
    parser.add_argument("--report", type=Path, nargs="+", default=[])
    parser.add_argument("--name")
    parser.add_argument("--version")
    parser.add_argument("--length-penalty", type=float)
    parser.add_argument("--no-repeat-ngram-size", type=int)
    parser.add_argument("--no-echo-words", nargs="*")
    arguments = parser.parse_args()

    captioner = Captioner.load(arguments.bundle, device="cpu")
    reports = [json.loads(path.read_text()) for path in arguments.report]
    given = {
        name: value
        for name in ("length_penalty", "no_repeat_ngram_size", "no_echo_words")
        if (value := getattr(arguments, name)) is not None
    }
    files: dict[str, bytes] = {}
    config = replace(
        captioner.config,
        name=arguments.name or captioner.config.name,
        version=arguments.version or captioner.config.version,
        decoding=replace(captioner.config.decoding, **given),
        scores={f"{r['dataset']}/{r['split']}": scores_by_beam(r) for r in reports},
    )
    if config.decoding != captioner.config.decoding:
        plain = replace(config.decoding, consensus=False)
        config = replace(config, decoding=plain, consensus=None, calibration=None, golden=())
    else:
        files = captioner.files()
    card = arguments.card.read_text().replace("{scores}", table(reports))
    card = card.replace("{confidence}", reliability(reports, config.decoding.beam_size))
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
    """Pick the metrics that a bundle's configuration holds."""
    return {
        str(result["beam_size"]): {
            name: round(result["scores"][name], 4)
            for name in METRICS
            if result["scores"][name] is not None
        }
        for result in report["results"]
    }


def table(reports: list[dict]) -> str:
    """Print all reports as one Markdown table, times a hundred."""
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


def reliability(reports: list[dict], beam_size: int) -> str:
    """Print how confident captions are, and how many of them are good, as a Markdown table."""
    report = reports[0] if reports else {"results": []}
    found = next((r["calibration"] for r in report["results"] if r["beam_size"] == beam_size), None)
    if found is None:  # as before `unrolled finalize captioner`
        return "Not measured yet."
    lines = ["| confidence | captions | its mean | good |", "|---|---:|---:|---:|"]
    lines += [
        f"| {100 * one['low']:.0f} to {100 * one['high']:.0f} | {one['count']} | "
        f"{100 * one['confidence']:.1f} | {100 * one['good']:.1f} |"
        for one in found["equal_width"]
    ]
    error = (
        f"Expected calibration error {100 * found['ece']:.1f} ({100 * found['ece_by_chance']:.1f} "
        "would come by chance if every confidence were true)"
    )
    return f"{error}, {report['dataset']} {report['split']}, beam {beam_size}, times 100:\n\n" + (
        "\n".join(lines)
    )


if __name__ == "__main__":
    main()
