"""What a study of several parts hands back: for each part text, numbers and a figure."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from model.files import write_json, write_text
from model.reporting.grids import PictureRow, draw_pictures
from model.reporting.plots import Panel, draw
from model.studies.settings import PartSettings

__all__ = ["Part", "ReportProgress", "StudyReport", "measure_parts", "write_report"]

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
        figures = {f"{self.name}-{part.name}": part.panels for part in self.parts}
        files = write_report(folder, self.name, self.as_markdown(), self.as_dict(), figures)
        pictured = [part for part in self.parts if part.pictures]
        paths = [folder / f"{self.name}-{part.name}.png" for part in pictured]
        for part, path in zip(pictured, paths, strict=True):
            draw_pictures(part.pictures, path)
        return (*files, *paths)


def write_report(
    folder: Path, name: str, page: str, numbers: Any, figures: Mapping[str, Sequence[Panel]]
) -> tuple[Path, ...]:
    """Write what a study found.

    Args:
        folder: where to.
        name: of the page in Markdown, `NAME.md`, and of the numbers, `NAME.json`.
        page, numbers: these two.
        figures: by their names, each `FIGURE.png`; one without panels is left out.

    Returns:
        The files written.

    Raises:
        OSError: a file cannot be written.
    """
    files = [folder / f"{name}.json", folder / f"{name}.md"]
    write_json(files[0], numbers)
    write_text(files[1], page)
    for figure, panels in figures.items():
        if panels:
            files.append(folder / f"{figure}.png")
            draw(panels, files[-1])
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
