"""Numbers as Markdown; knows nothing of what they mean."""

from collections.abc import Sequence

__all__ = ["scientific", "table"]


def table(header: Sequence[str], rows: Sequence[Sequence[str]], *, text: int = 1) -> str:
    """Make a table whose first `text` columns are text, and the others numbers."""
    rule = ["---"] * text + ["---:"] * (len(header) - text)
    return "\n".join(f"| {' | '.join(cells)} |" for cells in (header, rule, *rows))


def scientific(value: float) -> str:
    """Print a ratio that may be of any size: 0.954, 1.3e-07, 0."""
    if value == 0:
        return "0"
    return f"{value:.3g}" if 0.001 <= abs(value) < 1000 else f"{value:.1e}"
