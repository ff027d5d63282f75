"""What a study of several parts hands back: for each part text, numbers and a figure."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from model.files import write_json, write_text
from model.reporting.grids import PictureRow, draw_pictures
from model.reporting.plots import Panel, draw
from model.studies.settings import PartSettings

__all__ = ["Part", "ReportProgress", "StudyReport", "measure_parts"]

Settings = TypeVar("Settings", bound=PartSettings)

ReportProgress = Callable[[str], None]


@dataclass(frozen=True)
class Part:
    """One experiment.

    Attributes:
        name: also that of its figure.
        title: its heading.
        blocks: paragraphs and tables in Markdown.
        data: what was measured, ready for JSON.
        panels: its figure; none if empty.
        pictures: or rows of pictures in their place.
    """

    name: str
    title: str
    blocks: tuple[str, ...]
    data: Any
    panels: tuple[Panel, ...] = ()
    pictures: tuple[PictureRow, ...] = ()

    def as_markdown(self) -> str:
        """Return the heading and what follows it."""
        return "\n\n".join([f"## {self.title}", *self.blocks]) + "\n"


@dataclass(frozen=True)
class StudyReport:
    """The parts of a study; `name` is that of its files."""

    name: str
    parts: tuple[Part, ...]

    def as_markdown(self) -> str:
        """Return every part, one after the other."""
        return "\n".join(part.as_markdown() for part in self.parts)

    def as_dict(self) -> Mapping[str, Any]:
        """Return what each part measured, ready for JSON."""
        return {part.name: part.data for part in self.parts}

    def write(self, folder: Path) -> tuple[Path, ...]:
        """Write `NAME.json`, `NAME.md` and a picture for each part that has one.

        Returns:
            The files written.

        Raises:
            OSError: a file cannot be written.
        """
        files = [folder / f"{self.name}.json", folder / f"{self.name}.md"]
        write_json(files[0], self.as_dict())
        write_text(files[1], self.as_markdown())
        for part in self.parts:
            path = folder / f"{self.name}-{part.name}.png"
            if part.panels:
                draw(part.panels, path)
            if part.pictures:
                draw_pictures(part.pictures, path)
            if part.panels or part.pictures:
                files.append(path)
        return tuple(files)


def measure_parts(
    study: str,
    makers: Mapping[str, Callable[[Settings], Part]],
    settings: Settings,
    report_progress: ReportProgress,
) -> StudyReport:
    """Measure the parts of a study that are wanted, one after the other.

    Args:
        study: the name of its files.
        makers: what measures each part, by its name.
        settings: of all parts; they say which are wanted.
        report_progress: called with a line about each part.
    """
    found = []
    for name in settings.parts:
        report_progress(f"measuring {name}")
        found.append(makers[name](settings))
    return StudyReport(study, tuple(found))
