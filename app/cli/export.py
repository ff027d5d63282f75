"""`unrolled export`: export the models to OpenVINO ahead of time."""

import typer

from app.cli.options import Weights, settings_from
from app.cli.terminal import exit_on

__all__ = ["export"]


def export(*, weights: Weights = None) -> None:
    """Export the models to OpenVINO now, not when they are first needed.

    The exports are kept in the folder UNROLLED_CACHE, by default in the user's cache.
    """
    settings = settings_from(weights=weights)

    from app.serving.registry import read_bundles  # noqa: PLC0415
    from model.runtime.export import ExportError  # noqa: PLC0415
    from model.runtime.export import export as make  # noqa: PLC0415

    with exit_on(ValueError, ExportError):
        captioners, language_models = read_bundles(settings.weights)
        for path in make(*captioners, *language_models):
            typer.echo(path)
