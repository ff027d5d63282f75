"""Where captions go: rows of an output, sidecars, or both; and which files still lack them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from app.bulk.results import FailedFile
from app.bulk.sidecars import SidecarError, Sidecars

if TYPE_CHECKING:
    from collections.abc import Iterable

    from app.bulk.outputs import Output
    from app.bulk.results import FileResult

__all__ = ["Destination", "PlannedFile"]


class PlannedFile(NamedTuple):
    """A file to caption, and whether the output gets a row of it; if not, only sidecars."""

    file: Path | FailedFile
    row: bool


@dataclass(frozen=True)
class Destination:
    """An output, and sidecars if there are to be any."""

    output: Output
    sidecars: Sidecars | None = None

    def plan(self, files: Iterable[Path | FailedFile]) -> list[PlannedFile]:
        """Leave out the files whose rows and sidecars are all there.

        A file that is listed twice has two rows. One that the output cannot name is listed as
        failed.
        """
        files = list(files)
        done = self.output.done.copy()
        if self.sidecars is not None:
            self.sidecars.add(file for file in files if isinstance(file, Path))
        planned = []
        for file in files:
            if isinstance(file, FailedFile):
                planned.append(PlannedFile(file, row=True))
                continue
            try:
                name = self.output.name(file)
            except ValueError as error:
                planned.append(PlannedFile(FailedFile(file, str(error)), row=True))
                continue
            row = self.output.has_rows and done[name] <= 0
            done[name] -= 1
            missing = self.sidecars is not None and self.sidecars.missing(file)
            if row or missing:
                planned.append(PlannedFile(file, row))
        return planned

    def write(self, planned: PlannedFile, result: FileResult) -> str | None:
        """Write what became of a file; return what failed, None if nothing did.

        Raises:
            OutputError: the output cannot be written.
        """
        if planned.row:
            self.output.write(result)
        if isinstance(result, FailedFile):
            return result.reason
        if self.sidecars is not None:
            try:
                self.sidecars.write(result)
            except SidecarError as error:
                return str(error)
        return None
