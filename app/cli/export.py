"""`unrolled export`: add the graphs to bundles that lack them."""

import typer

from app.cli.options import Weights, settings_from
from app.cli.terminal import exit_on

__all__ = ["export"]


def export(*, weights: Weights = None) -> None:
    """Add to bundles the graphs that a CPU runs without PyTorch.

    The shipped bundles have them. Making them takes PyTorch, and up to a minute for each bundle.
    """
    settings = settings_from(weights=weights)

    from app.serving.registry import read_bundles  # noqa: PLC0415
    from model.runtime.export import AnyBundle, add_graphs  # noqa: PLC0415

    with exit_on(ValueError, OSError):
        captioners, language_models = read_bundles(settings.weights)
        bundles: list[AnyBundle] = [*captioners, *language_models]
        for bundle in bundles:
            added = add_graphs(bundle)
            typer.echo(f"{bundle.folder}: graphs {'added' if added else 'are there'}")
