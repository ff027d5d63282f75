"""An earlier report and a new one: what changed by more than its spread is named, nothing else."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from benchmarks.__main__ import app
from benchmarks.compare import compare, read_report
from benchmarks.report import Sample, Table, as_json

MACHINE = {"processor": "one", "cores": "2", "measured": "today"}


def report(path: Path, tables: list[Table], machine: dict[str, str] = MACHINE) -> Path:
    path.write_text(as_json(machine, tables), encoding="utf-8")
    return path


def times(**rows: tuple[float, ...]) -> Table:
    return Table("Times", [{"stage": name, "ms": Sample(each)} for name, each in rows.items()])


def test_only_what_changed_by_more_than_its_spread_is_named(tmp_path):
    before = times(encode=(10, 11, 12), search=(20, 22, 24), decode=(3, 4, 5), gone=(1, 1, 1))
    now = times(encode=(20, 22, 24), search=(21, 23, 25), decode=(1, 1, 1), new=(9, 9, 9))

    found = compare(read_report(report(tmp_path / "old.json", [before])), MACHINE, [now])

    assert [(row["measurement"], row[""]) for row in found.rows] == [
        ("Times, encode, ms", "slower"),
        ("Times, decode, ms", "faster"),
    ]
    assert [row["times the cost"] for row in found.rows] == [2, 0.25]
    assert found.notes[0].startswith("2 of 3 measurements")
    assert "1.05 times the cost" in found.notes[1]
    assert len(found.notes) == 2


def test_more_a_second_is_faster(tmp_path):
    """Rates are known by the title of their table or by their column."""
    before = [
        Table("Pictures per second", [{"beam": "3", "batch 1": Sample((10.0, 10.0))}]),
        Table("Clients", [{"clients": 4, "requests per second": Sample((8.0, 8.0))}]),
    ]
    now = [
        Table("Pictures per second", [{"beam": "3", "batch 1": Sample((20.0, 20.0))}]),
        Table("Clients", [{"clients": 4, "requests per second": Sample((2.0, 2.0))}]),
    ]

    found = compare(read_report(report(tmp_path / "old.json", before)), MACHINE, now)

    assert [(row["measurement"], row["times the cost"], row[""]) for row in found.rows] == [
        ("Clients, clients 4, requests per second", 4, "slower"),
        ("Pictures per second, 3, batch 1", 0.5, "faster"),
    ]


def test_another_machine_is_named(tmp_path):
    old = read_report(report(tmp_path / "old.json", [times(encode=(1,))], {"processor": "other"}))
    notes = compare(old, MACHINE, [times(encode=(1,))]).notes
    assert notes[2] == "Not the same machine: processor was 'other', and is 'one'."
    assert notes[3] == "Not the same machine: cores was 'unknown', and is '2'."


@pytest.mark.parametrize("text", ["", "[]", "{}", json.dumps({"machine": {}, "tables": [1]})])
def test_a_file_that_is_no_report_is_refused_before_measuring(tmp_path, text):
    path = tmp_path / "old.json"
    path.write_text(text, encoding="utf-8")
    result = CliRunner().invoke(app, ["--compare", str(path)])
    assert result.exit_code == 2
    assert "is no report of" in " ".join(result.output.replace("\u2502", " ").split())


def test_a_missing_report_is_refused(tmp_path):
    result = CliRunner().invoke(app, ["--compare", str(tmp_path / "none.json")])
    assert result.exit_code == 2
    assert "No such file" in result.output
