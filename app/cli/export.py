"""`unrolled export`: make the models' OpenVINO graphs ahead of time."""

import typer

from app.cli.options import Weights, settings_from
from app.cli.terminal import told

__all__ = ["export"]


def export(*, weights: Weights = None) -> None:
    """Make the models' graphs for OpenVINO now, rather than when they are first needed.

    They are kept in the folder UNROLLED_CACHE, else in the user's cache.
    """
    settings = settings_from(weights=weights)

    from app.serving.registry import read_bundles  # noqa: PLC0415
    from model.runtime.export import ExportError  # noqa: PLC0415
    from model.runtime.export import export as make  # noqa: PLC0415

    with told(ValueError, ExportError):
        captioners, language_models = read_bundles(settings.weights)
        for path in make(*captioners, *language_models):
            typer.echo(path)
