"""`unrolled score`: score a given text, token by token."""

from __future__ import annotations

import json
import math
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.text import Text

from app.cli.loading import load_language_model
from app.cli.ngram_options import Corpus, LevelName, NGramOptions, NGramOrder, SmoothingName
from app.cli.options import DeviceName, TextFormat, Weights, settings_from
from app.cli.terminal import exit_on, printable_text, use_utf8
from model.bundle.discovery import bundle_folder, is_text_bundle
from model.text.deltas import summarise

if TYPE_CHECKING:
    from model.captioning.caption import Token
    from model.text.scores import TextScore, TextToken

__all__ = ["score"]


def score(
    model: Annotated[
        str | None,
        typer.Argument(
            metavar="MODEL",
            help="A bundle's name in the weights folder, or its path; left out with --ngram.",
        ),
    ] = None,
    text: Annotated[str | None, typer.Argument(metavar="TEXT", help="The text to score.")] = None,
    *,
    ngram: NGramOrder = None,
    corpus: Corpus = None,
    smoothing: SmoothingName = None,
    level: LevelName = None,
    image: Annotated[
        Path | None,
        typer.Option(
            exists=True,
            dir_okay=False,
            help="The picture that the text describes; only for a captioner.",
        ),
    ] = None,
    output_format: Annotated[
        TextFormat, typer.Option("--format", help="The output format.")
    ] = TextFormat.TEXT,
    weights: Weights = None,
    device: DeviceName = None,
) -> None:
    """Show how likely a model finds a text, token by token.

    With --ngram, TEXT is the only argument, and each token's probability is shown too.
    """
    options = NGramOptions(ngram, corpus, smoothing, level)
    if ngram is not None and text is None:
        model, text = None, model  # the only argument
    if text is None or (model is None and ngram is None):
        raise typer.BadParameter("give a MODEL and a TEXT, or --ngram, --corpus and a TEXT")
    text = printable_text(text)
    only_models = {"a MODEL": model, "--image": image, "--weights": weights, "--device": device}
    if (language_model := options.count(**only_models)) is not None:
        _print_text_score(language_model.score(text), output_format, probabilities=True)
        return
    assert model is not None  # noqa: S101 - was looked at above
    settings = settings_from(weights=weights, device=device)
    with exit_on(ValueError):
        folder = bundle_folder(model, settings.weights)
    if is_text_bundle(folder):
        if image is not None:
            raise typer.BadParameter(f"{model} is a language model: leave out --image")
        with exit_on(ValueError):
            language_model = load_language_model(model, settings)
        _print_text_score(language_model.score(text), output_format)
        return
    if image is None:
        raise typer.BadParameter(f"{model} is a captioner: give the picture with --image")

    from app.bulk.reading import max_file_bytes, read_file  # noqa: PLC0415
    from app.errors import PictureError  # noqa: PLC0415
    from app.pictures.decode import decode_picture  # noqa: PLC0415
    from model.captioning.captioner import Captioner  # noqa: PLC0415

    with exit_on(ValueError, OSError, PictureError):
        data = read_file(image, max_file_bytes(settings.max_pixels))
        picture = decode_picture(data, settings.max_pixels)
        captioner = Captioner.load(
            folder, settings.device, runtime=settings.runtime, precision=settings.precision
        )
    _print_score(captioner.score(picture.image, text).tokens, {}, output_format)


def _print_text_score(
    scored: TextScore, output_format: TextFormat, *, probabilities: bool = False
) -> None:
    numbers = {"bits_per_character": scored.bits_per_character}
    _print_score(scored.tokens, numbers, output_format, probabilities=probabilities)


def _print_score(
    tokens: tuple[TextToken, ...] | tuple[Token, ...],
    numbers: dict[str, float],
    output_format: TextFormat,
    *,
    probabilities: bool = False,
) -> None:
    totals = summarise([token.logprob for token in tokens]) | numbers
    if output_format is TextFormat.JSONL:
        use_utf8()
        each = [
            {"token": token.token, "logprob": _finite(token.logprob)}
            | ({"probability": math.exp(token.logprob)} if probabilities else {})
            for token in tokens
        ]
        scored = {"tokens": each, **{name: _finite(value) for name, value in totals.items()}}
        sys.stdout.write(json.dumps(scored, ensure_ascii=False) + "\n")
        return
    console = Console(highlight=False, markup=False, emoji=False)
    for token in tokens:
        shown = token.token if token.token.isprintable() else repr(token.token)
        chance = f"{math.exp(token.logprob):9.4f}" if probabilities else ""
        line = Text.assemble(chance, (f"{token.logprob:9.3f}", "cyan"), f"  {shown}")
        console.print(line, soft_wrap=True)
    indent = " " * 9 * probabilities
    for name, value in totals.items():
        console.print(Text(f"{indent}{value:9.3f}  {name.replace('_', ' ')}", style="bold"))


def _finite(number: float) -> float | None:
    """Return a number, or None if it is infinite, which JSON cannot hold."""
    return number if math.isfinite(number) else None
