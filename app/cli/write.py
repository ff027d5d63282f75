"""`unrolled write` and `unrolled score`.

Knows options and what is printed; `model` does the work, and is imported only then.
"""

from __future__ import annotations

import json
import math
import sys
from dataclasses import asdict
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.text import Text

from app.cli.options import DeviceName, ModelName, Weights, settings_from
from app.cli.terminal import print_error, told
from model.bundle.discovery import bundle_folder, is_text_bundle
from model.text.assembler import TextAssembler, draw_seed, printable_text

if TYPE_CHECKING:
    from app.settings import Settings
    from model.captioning.captioner import Token
    from model.text.language_model import LanguageModel, TextToken
    from model.text.stop_strings import TextDelta

__all__ = ["load_language_model", "score", "write"]


class TextFormat(StrEnum):
    """What `--format` takes."""

    TEXT = "text"
    JSONL = "jsonl"


def write(
    *,
    model: Annotated[str, typer.Option(help="A name in weights/, or a bundle's folder.")],
    prompt: Annotated[str, typer.Option(help="What the text goes on from.")] = "",
    max_tokens: Annotated[
        int | None, typer.Option(min=1, max=10_000, help="Tokens; else the bundle's default.")
    ] = None,
    temperature: Annotated[
        float | None, typer.Option(min=0, max=10, help="0 takes the likeliest token always.")
    ] = None,
    top_k: Annotated[int | None, typer.Option(min=0, help="Draw from the k likeliest.")] = None,
    top_p: Annotated[
        float | None, typer.Option(min=0, max=1, help="Draw from what makes up this much.")
    ] = None,
    no_repeat_ngram_size: Annotated[
        int | None, typer.Option(min=0, max=100, help="So many tokens never come twice.")
    ] = None,
    seed: Annotated[
        int | None, typer.Option(min=0, max=2**63 - 1, help="The same one, the same text.")
    ] = None,
    stop: Annotated[list[str] | None, typer.Option(help="End at this text; repeatable.")] = None,
    n: Annotated[int, typer.Option("--n", min=1, max=1000, help="How many texts.")] = 1,
    output_format: Annotated[TextFormat, typer.Option("--format")] = TextFormat.TEXT,
    weights: Weights = None,
    device: DeviceName = None,
) -> None:
    """Write text, and show it while it is being written.

    Without --seed one is drawn, and told on standard error (in each line of jsonl).
    """
    settings = settings_from(weights=weights, device=device)

    from model.decoding.options import resolve_sampling  # noqa: PLC0415

    with told(ValueError):
        language_model = load_language_model(model, settings)
    try:
        sampling = resolve_sampling(
            language_model.config.sampling,
            max_tokens=max_tokens,
            temperature=temperature,
            top_k=top_k,
            top_p=top_p,
            no_repeat_ngram_size=no_repeat_ngram_size,
        )
    except ValueError as error:
        raise typer.BadParameter(" ".join(str(error).split())) from error
    options: dict[str, Any] = {**asdict(sampling), "stop": tuple(stop or ())}
    prompt = printable_text(prompt)
    drawn = draw_seed() if seed is None else seed
    if output_format is TextFormat.JSONL:
        _write_lines(language_model, prompt, n, drawn, options)
        return
    if seed is None:
        print_error(f"seed {drawn}", style="dim")
    for i in range(n):
        if n > 1:
            sys.stdout.write(f"--- {i + 1} of {n}, seed {drawn + i} ---\n")
        sys.stdout.write(prompt)
        for piece in language_model.generate(prompt, seed=drawn + i, **options):
            sys.stdout.write(piece.text)
            sys.stdout.flush()
        sys.stdout.write("\n")


def score(
    model: ModelName,
    text: Annotated[str, typer.Argument(help="What to score.")],
    *,
    image: Annotated[
        Path | None,
        typer.Option(exists=True, dir_okay=False, help="The picture, where a captioner scores."),
    ] = None,
    output_format: Annotated[TextFormat, typer.Option("--format")] = TextFormat.TEXT,
    weights: Weights = None,
    device: DeviceName = None,
) -> None:
    """Say how likely a model finds a text, token by token."""
    settings = settings_from(weights=weights, device=device)
    text = printable_text(text)
    with told(ValueError):
        folder = bundle_folder(model, settings.weights)
    if is_text_bundle(folder):
        if image is not None:
            raise typer.BadParameter(f"{model} reads no pictures: leave --image out")
        with told(ValueError):
            language_model = load_language_model(model, settings)
        scored = language_model.score(text)
        numbers = {"bits_per_character": scored.bits_per_character}
        _tell_score(scored.tokens, numbers, output_format)
        return
    if image is None:
        raise typer.BadParameter(f"{model} scores a text about a picture: give --image")

    from app.errors import PictureError  # noqa: PLC0415
    from app.pictures.decode import read_picture  # noqa: PLC0415
    from model.captioning.captioner import Captioner  # noqa: PLC0415

    with told(ValueError, OSError, PictureError):
        picture = read_picture(image, settings.max_pixels)
        captioner = Captioner.load(folder, settings.device, runtime=settings.runtime)
    _tell_score(captioner.score(picture.image, text).tokens, {}, output_format)


def load_language_model(model: str, settings: Settings) -> LanguageModel:
    """Load a writer, given by name or path.

    Raises:
        ValueError: there is no such model, or it cannot be used.
    """
    from model.text.language_model import LanguageModel  # noqa: PLC0415

    folder = bundle_folder(model, settings.weights)
    return LanguageModel.load(folder, settings.device, settings.runtime)


def _write_lines(
    language_model: LanguageModel, prompt: str, n: int, seed: int, options: dict[str, Any]
) -> None:
    """Write texts side by side, and print each as soon as it has ended."""
    written: dict[int, list[TextDelta]] = {i: [] for i in range(n)}
    for piece in language_model.generate(prompt, n=n, seed=seed, **options):
        written[piece.index].append(piece)
        if piece.finish_reason is None:
            continue
        (part,) = TextAssembler().join(written.pop(piece.index))
        line = {
            "index": part.index,
            "prompt": prompt,
            "seed": seed + part.index,
            "text": part.text,
            "finish_reason": part.finish_reason,
            "logprob": math.fsum(part.logprobs),
            "tokens": len(part.tokens),
        }
        sys.stdout.write(json.dumps(line, ensure_ascii=False) + "\n")
        sys.stdout.flush()


def _tell_score(
    tokens: tuple[TextToken, ...] | tuple[Token, ...],
    numbers: dict[str, float],
    output_format: TextFormat,
) -> None:
    from model.text.assembler import summarise  # noqa: PLC0415

    totals = summarise([token.logprob for token in tokens]) | numbers
    if output_format is TextFormat.JSONL:
        each = [{"token": token.token, "logprob": token.logprob} for token in tokens]
        sys.stdout.write(json.dumps({"tokens": each, **totals}, ensure_ascii=False) + "\n")
        return
    console = Console(highlight=False, markup=False, emoji=False)
    for token in tokens:
        shown = token.token if token.token.isprintable() else repr(token.token)
        line = Text.assemble((f"{token.logprob:9.3f}", "cyan"), f"  {shown}")
        console.print(line, soft_wrap=True)
    for name, value in totals.items():
        console.print(Text(f"{value:9.3f}  {name.replace('_', ' ')}", style="bold"))
