"""Iterate over batches, with a progress bar on standard error."""

from collections.abc import Iterator, Sequence
from typing import TypeVar

from rich.console import Console
from rich.progress import MofNCompleteColumn, Progress, TimeRemainingColumn

__all__ = ["batches"]

Item = TypeVar("Item")


def batches(
    items: Sequence[Item], batch_size: int, *, what: str = "Captioning", show: bool = True
) -> Iterator[Sequence[Item]]:
    """Yield items in order, `batch_size` at a time; the bar is called `what`."""
    columns = (*Progress.get_default_columns()[:2], MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True), disable=not show) as bar:
        task = bar.add_task(what, total=len(items))
        for start in range(0, len(items), batch_size):
            batch = items[start : start + batch_size]
            yield batch
            bar.advance(task, len(batch))
