"""Options that several commands share, and the settings they result in."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer

from app.settings import Settings, SettingsError, read_settings
from model.runtime.options import Device, Runtime

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
    typer.Option(help="A bundle, or a folder with captioner/ and text/."),
]
DeviceName = Annotated[Device | None, typer.Option(help="Where to run; auto prefers a GPU.")]
RuntimeName = Annotated[
    Runtime | None,
    typer.Option(help="What runs the captioner; auto: OpenVINO on a CPU, else PyTorch."),
]

ModelName = Annotated[
    str, typer.Argument(metavar="MODEL", help="A bundle's name in the weights folder, or its path.")
]

# Options of the commands that read a data set.
Pictures = Annotated[
    list[str], typer.Option(help="A folder, tar file or glob with the pictures; repeatable.")
]
BeamSizes = Annotated[str, typer.Option(help="One or more beam sizes, separated by commas.")]


class TextFormat(StrEnum):
    """The formats that `--format` accepts, for commands that write text."""

    TEXT = "text"
    JSONL = "jsonl"


def read_beam_sizes(given: str) -> tuple[int, ...]:
    """Parse beam sizes separated by commas.

    Raises:
        BadParameter: one of them is not a whole number.
    """
    try:
        return tuple(int(size) for size in given.split(","))
    except ValueError as error:
        raise typer.BadParameter(f"--beam-size must be numbers like 1,3,5, not {given}") from error


def settings_from(**overrides: Any) -> Settings:
    """Read the settings, with these options taking precedence.

    Raises:
        BadParameter: a setting is invalid.
    """
    try:
        return read_settings(**overrides)
    except SettingsError as error:
        raise typer.BadParameter(str(error)) from error
