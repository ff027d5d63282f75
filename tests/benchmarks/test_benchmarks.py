"""Every suite runs and its report is complete; speed itself is never asserted."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
from typer.testing import CliRunner

from benchmarks import language_models, server, texts, throughput
from benchmarks.__main__ import SUITES, app
from benchmarks.bench import ROOT, Bench
from benchmarks.memory import measure_peak
from benchmarks.peak import ONLY_IMPORT
from benchmarks.report import Sample, Table, as_markdown
from benchmarks.stages import count_decoder
from benchmarks.timing import interleave, quantile
from tests.tiny import save_tiny_captioner, save_tiny_language_model


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory) -> Bench:
    weights = save_tiny_captioner(tmp_path_factory.mktemp("weights") / "captioner")
    return Bench(
        weights, ROOT / "examples", requests=2, launches=1, warmups=0, threads=1, runtime="torch"
    )


def test_variants_are_called_in_turn_and_warmups_are_dropped():
    calls: list[str] = []
    variants = {name: lambda name=name: calls.append(name) or len(calls) for name in "abc"}

    results = interleave(variants, rounds=2, warmups=1)

    assert "".join(calls) == "abcbcacab"
    assert results == {"a": [6, 8], "b": [4, 9], "c": [5, 7]}


def test_quantiles_are_interpolated():
    values = [float(value) for value in range(1, 102)]
    assert [quantile(values, share) for share in (0.25, 0.5, 0.95)] == [26, 51, 96]
    assert quantile([7.0], 0.95) == 7


def test_a_report_is_written_as_markdown():
    rows = [{"stage": "a|b", "ms": Sample((1.0, 2.0, 3.0))}, {"stage": "c", "roofline": 1234.5}]
    page = as_markdown({"cores": "2"}, [Table("Title", rows, ["A note."])])
    assert page == (
        "# Benchmarks\n\n- cores: 2\n\n## Title\n\n"
        "| stage | ms | roofline |\n| --- | --- | --- |\n"
        "| a\\|b | 2.00 [1.50 to 2.50] |  |\n| c |  | 1,234 |\n\n- A note.\n"
    )


def test_the_cost_of_a_step_is_that_counted_by_hand(bench: Bench):
    decoder = bench.eager.network.decoder
    embedding, hidden, attention, cells = 12, 16, 8, 4
    vocabulary = len(bench.eager.vocabulary)

    _, step = count_decoder(bench.eager)

    lstms = 4 * hidden * (embedding + hidden + hidden + 2 * hidden + hidden)
    attending = hidden * attention + cells * attention + cells * hidden
    assert step.multiply_adds == lstms + attending + hidden * embedding + embedding * vocabulary
    once = ("to_values", "initial", "from_picture", "attention.to_key")
    assert step.weight_bytes == sum(
        weights.nbytes for name, weights in decoder.named_parameters() if not name.startswith(once)
    )


@pytest.mark.slow
def test_the_command_prints_and_writes_its_report(
    bench: Bench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(throughput, "BATCH_SIZES", (1, 4))
    arguments = [
        "--weights",
        bench.weights,
        "--quick",
        "--runtime",
        "torch",
        "--suite",
        "stages",
        "--suite",
        "throughput",
        "--suite",
        "jpeg",
    ]
    arguments += ["--output", tmp_path / "report.md", "--json", tmp_path / "report.json"]

    result = CliRunner().invoke(app, [str(argument) for argument in arguments])

    assert result.exit_code == 0, result.output
    report = json.loads((tmp_path / "report.json").read_text())
    assert {"processor", "cores", "threads of the model", "parameters"} <= set(report["machine"])
    stages, speed, jpeg = report["tables"]
    used = jpeg["rows"][0]
    assert (used["mean difference, grey levels"], used["largest difference"]) == (0, 0)
    assert jpeg["rows"][1]["largest difference"] > 0
    assert "search, beam 5" in [row["stage"] for row in stages["rows"]]
    assert set(speed["rows"][0]) == {
        "beam",
        *(f"batch {size}{kind}" for size in (1, 4) for kind in ("", ", eager PyTorch")),
    }
    for table in report["tables"]:
        assert f"## {table['title']}" in (tmp_path / "report.md").read_text()
        assert table["title"] in result.output


def test_suites_that_take_minutes_run_only_on_request(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
):
    for name in SUITES:
        monkeypatch.setitem(SUITES, name, lambda _, name=name: [Table("", [{f"<{name}>": 1}])])
    weights = ["--weights", str(bench.weights)]

    default = CliRunner().invoke(app, weights)
    requested = CliRunner().invoke(app, [*weights, "--suite", "soak"])

    shown = {name for name in SUITES if f"<{name}>" in default.output}
    assert shown == set(SUITES) - {
        "fuzz-pictures", "gpu", "metrics", "other-models", "overload", "page", "soak", "workers",
    }  # fmt: skip
    assert "<soak>" in requested.output
    assert "<server>" not in requested.output


def test_every_language_model_next_to_the_captioner_is_measured(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(language_models, "_GENERATED_TOKENS", 5)
    monkeypatch.setattr(language_models, "_SCORED_TOKENS", 30)
    bench = Bench(
        save_tiny_captioner(tmp_path / "captioner"),
        ROOT / "examples",
        slow_rounds=1,
        threads=1,
        runtime="torch",
    )
    assert language_models.measure(bench) == []
    save_tiny_language_model(tmp_path / "text" / "verse")

    generation, scoring = language_models.measure(bench)

    assert [row["texts at once"] for row in generation.rows] == [1, 4, 16]
    for row in generation.rows:
        assert all(row[name].median > 0 for name in ("tokens per second", "eager PyTorch", "naive"))
        assert row["roofline"] > 0
    (row,) = scoring.rows
    assert row["tokens per second"].median > 0


def test_text_generation_is_measured_over_http(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(texts, "_TOKENS", 5)
    captioner = save_tiny_captioner(tmp_path / "captioner")
    bench = Bench(captioner, ROOT / "examples", slow_rounds=1, threads=1, runtime="torch")
    assert texts.measure(bench) == []
    save_tiny_language_model(tmp_path / "text" / "verse")

    (table,) = texts.measure(bench)

    assert [row["clients"] for row in table.rows] == [1, 4, 16]
    assert all(row["tokens per second"].median > 0 for row in table.rows)
    assert all(row["p95 ms"] >= row["p50 ms"] > 0 for row in table.rows)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--suite", "speed"], "no suite 'speed'"),
        (["--weights", "nowhere"], "nowhere"),
    ],
)
def test_wrong_options_are_explained(arguments: list[str], message: str):
    result = CliRunner().invoke(app, arguments)
    assert result.exit_code != 0
    assert message in result.output


def test_a_folder_without_photographs_is_refused(bench: Bench, tmp_path: Path):
    with pytest.raises(ValueError, match=r"no \*\.jpg"):
        _ = replace(bench, pictures=tmp_path).photographs


@pytest.mark.slow
def test_the_server_is_measured_and_stopped(bench: Bench):
    table = server.measure_latency(bench)
    assert table.rows[0]["request"] == "POST /caption, beam 1"
    assert all(len(row["ms"].values) == 2 for row in table.rows)


def test_a_process_reports_its_peak_memory(bench: Bench, tmp_path: Path):
    assert measure_peak(bench, tmp_path, ONLY_IMPORT, "torch") > 1e6
