"""`unrolled write`: write text with a language model."""

from __future__ import annotations

import json
import math
import sys
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Any

import typer

from app.cli.loading import load_language_model
from app.cli.options import DeviceName, TextFormat, Weights, settings_from
from app.cli.terminal import print_error, told
from model.decoding.options import resolve_sampling
from model.text.assembler import TextAssembler, draw_seed, printable_text

if TYPE_CHECKING:
    from model.text.language_model import LanguageModel
    from model.text.stop_strings import TextDelta

__all__ = ["write"]


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
