"""Options that several commands share, and the settings that they stand for."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer

from app.settings import Device, Runtime, Settings, SettingsError, read_settings

__all__ = [
    "BeamSizes",
    "DeviceName",
    "ModelName",
    "Pictures",
    "RuntimeName",
    "TextFormat",
    "Weights",
    "read_beam_sizes",
    "settings_from",
]

Weights = Annotated[
    Path | None,
    typer.Option(help="A bundle, or the folder that holds captioner/ and text/."),
]
DeviceName = Annotated[Device | None, typer.Option(help="auto prefers a GPU.")]
RuntimeName = Annotated[
    Runtime | None,
    typer.Option(help="Of the captioner; auto: OpenVINO on a CPU, else PyTorch."),
]

ModelName = Annotated[
    str, typer.Argument(metavar="MODEL", help="A name in weights/, or a bundle's folder.")
]

# Of the commands that read a data set.
Pictures = Annotated[
    list[str], typer.Option(help="A folder, a tar file or a pattern of either; repeatable.")
]
BeamSizes = Annotated[str, typer.Option(help="One or several, with commas.")]


class TextFormat(StrEnum):
    """What `--format` takes."""

    TEXT = "text"
    JSONL = "jsonl"


def read_beam_sizes(given: str) -> tuple[int, ...]:
    """Read beam sizes with commas between them.

    Raises:
        BadParameter: they are none.
    """
    try:
        return tuple(int(size) for size in given.split(","))
    except ValueError as error:
        raise typer.BadParameter(f"--beam-size is like 1,3,5, not {given}") from error


def settings_from(**overrides: Any) -> Settings:
    """Read the settings; what makes no sense is a wrong command.

    Raises:
        BadParameter: a setting makes no sense.
    """
    try:
        return read_settings(**overrides)
    except SettingsError as error:
        raise typer.BadParameter(str(error)) from error
