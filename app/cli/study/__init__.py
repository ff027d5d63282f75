"""`unrolled study`: experiments with networks, small enough for a laptop."""

import typer

from app.cli.study.captioners import captioning
from app.cli.study.corpora import cells, closing, gradients
from app.cli.study.feedforward import activations, normalization, preprocessing
from app.cli.study.recurrent import hello, sequences, truncation

__all__ = ["study"]

study = typer.Typer(help="Run experiments with networks.", no_args_is_help=True)

for _command in (
    *(activations, preprocessing, normalization),
    *(hello, cells, gradients, truncation, closing, sequences, captioning),
):
    study.command()(_command)
