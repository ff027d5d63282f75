"""Format numbers and Markdown tables."""

from collections.abc import Sequence

__all__ = ["scientific", "table"]


def table(header: Sequence[str], rows: Sequence[Sequence[str]], *, text: int = 1) -> str:
    """Build a Markdown table whose first `text` columns are text, and the others numbers."""
    rule = ["---"] * text + ["---:"] * (len(header) - text)
    return "\n".join(f"| {' | '.join(cells)} |" for cells in (header, rule, *rows))


def scientific(value: float) -> str:
    """Format a ratio of any magnitude: 0.954, 1.3e-07, 0."""
    if value == 0:
        return "0"
    return f"{value:.3g}" if 0.001 <= abs(value) < 1000 else f"{value:.1e}"
