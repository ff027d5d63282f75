"""Options that several commands share, and the settings that they stand for."""

from pathlib import Path
from typing import Annotated, Any

import typer

from app.settings import Device, Settings, SettingsError, read_settings

__all__ = ["DeviceName", "ModelName", "Weights", "settings_from"]

Weights = Annotated[
    Path | None,
    typer.Option(help="A bundle, or the folder that holds captioner/ and text/."),
]
DeviceName = Annotated[Device | None, typer.Option(help="auto prefers a GPU.")]

ModelName = Annotated[
    str, typer.Argument(metavar="MODEL", help="A name in weights/, or a bundle's folder.")
]


def settings_from(**overrides: Any) -> Settings:
    """Read the settings; what makes no sense is a wrong command.

    Raises:
        BadParameter: a setting makes no sense.
    """
    try:
        return read_settings(**overrides)
    except SettingsError as error:
        raise typer.BadParameter(str(error)) from error
