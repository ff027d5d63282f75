"""The page is measured in a real browser; speed itself is never asserted."""

from pathlib import Path

import pytest

from benchmarks import page
from benchmarks.bench import ROOT, Bench
from tests.app.web.conftest import find_chromium
from tests.tiny import save_tiny_captioner


@pytest.mark.slow
def test_paints_and_captions_are_timed(tmp_path: Path) -> None:
    find_chromium()
    weights = save_tiny_captioner(tmp_path / "captioner")
    bench = Bench(weights, ROOT / "examples", rounds=2, warmups=0, threads=1, runtime="torch")
    paint, captions = page.measure(bench)
    (row,) = paint.rows
    assert len(row["ms"].values) == 2
    assert row["ms"].median > 0
    assert [row["of a visit"] for row in captions.rows] == ["first", "further"] * 2
    assert all(len(row["ms"].values) == 2 for row in captions.rows)
    # From the second drop on, another photograph's caption is there before.
    assert all(row["ms"].median > 5 for row in captions.rows)
