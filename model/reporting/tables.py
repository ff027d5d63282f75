"""Format numbers and Markdown tables."""

from collections.abc import Sequence
from statistics import mean, median, stdev

__all__ = ["mean_and_deviation", "median_and_range", "scientific", "table"]


def table(header: Sequence[str], rows: Sequence[Sequence[str]], *, text: int = 1) -> str:
    """Build a Markdown table whose first `text` columns are text, and the others numbers."""
    rule = ["---"] * text + ["---:"] * (len(header) - text)
    return "\n".join(f"| {' | '.join(cells)} |" for cells in (header, rule, *rows))


def scientific(value: float) -> str:
    """Format a ratio of any magnitude: 0.954, 1.3e-07, 0."""
    if value == 0:
        return "0"
    return f"{value:.3g}" if 0.001 <= abs(value) < 1000 else f"{value:.1e}"


def mean_and_deviation(values: Sequence[float], digits: int = 3) -> str:
    """Write "2.516 ± 0.003"; a single value has no deviation."""
    shown = f"{mean(values):.{digits}f}"
    return shown + (f" ± {stdev(values):.{digits}f}" if len(values) > 1 else "")


def median_and_range(values: Sequence[float]) -> str:
    """Write "0.4 (0.39 to 0.408)": the median, the lowest and the highest."""
    low, high = scientific(min(values)), scientific(max(values))
    return f"{scientific(median(values))} ({low} to {high})"
