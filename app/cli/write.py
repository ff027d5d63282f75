"""`unrolled write`: write text with a language model."""

from __future__ import annotations

import json
import math
import sys
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Any

import typer

from app.cli.loading import load_language_model
from app.cli.ngram_options import (
    Corpus,
    LevelName,
    NGramOptions,
    NGramOrder,
    SmoothingName,
    check_known,
)
from app.cli.options import (
    DeviceName,
    ModelOption,
    TextFormat,
    Weights,
    config_options,
    invalid_options,
    settings_from,
)
from app.cli.terminal import exit_on, print_note, printable_text, use_utf8
from model.config import SamplingConfig
from model.seeds import draw_seed
from model.text.deltas import TextAssembler

if TYPE_CHECKING:
    from model.text.deltas import TextDelta
    from model.text.language_model import LanguageModel

__all__ = ["write"]


@config_options(SamplingConfig, into="sampling_options")
def write(
    *,
    model: ModelOption = None,
    ngram: NGramOrder = None,
    corpus: Corpus = None,
    smoothing: SmoothingName = None,
    level: LevelName = None,
    prompt: Annotated[str, typer.Option(help="The text to continue.")] = "",
    sampling_options: dict[str, Any],
    seed: Annotated[
        int | None, typer.Option(min=0, max=2**63 - 1, help="The same seed writes the same text.")
    ] = None,
    stop: Annotated[
        list[str] | None, typer.Option(help="Stop before this text; repeatable.")
    ] = None,
    n: Annotated[int, typer.Option("--n", min=1, max=1000, help="How many texts to write.")] = 1,
    output_format: Annotated[
        TextFormat, typer.Option("--format", help="The output format.")
    ] = TextFormat.TEXT,
    weights: Weights = None,
    device: DeviceName = None,
) -> None:
    """Write text with a language model, or with n-grams, and show it as it is written.

    Without --seed a random one is used, and printed on standard error (in jsonl, in each line).
    """
    prompt = printable_text(prompt)
    options = NGramOptions(ngram, corpus, smoothing, level)
    only_models = {"--model": model, "--weights": weights, "--device": device}
    if (language_model := options.count(**only_models)) is not None:
        with invalid_options():
            check_known(language_model, prompt)
    elif model is None:
        raise typer.BadParameter("give --model, or --ngram and --corpus")
    else:
        settings = settings_from(weights=weights, device=device)
        with exit_on(ValueError):
            language_model = load_language_model(model, settings)
    with invalid_options():
        sampling = language_model.config.sampling.merge(**sampling_options)
    generation: dict[str, Any] = {**asdict(sampling), "stop": tuple(stop or ())}
    first_seed = draw_seed() if seed is None else seed
    if output_format is TextFormat.JSONL:
        _write_jsonl(language_model, prompt, n, first_seed, generation)
        return
    if seed is None:
        print_note(f"seed {first_seed}")
    for i in range(n):
        if n > 1:
            sys.stdout.write(f"--- {i + 1} of {n}, seed {first_seed + i} ---\n")
        sys.stdout.write(prompt)
        for delta in language_model.generate(prompt, seed=first_seed + i, **generation):
            sys.stdout.write(delta.text)
            sys.stdout.flush()
        sys.stdout.write("\n")


def _write_jsonl(
    language_model: LanguageModel, prompt: str, n: int, seed: int, generation: dict[str, Any]
) -> None:
    """Write several texts at once, and print each as a line of JSON when it ends."""
    use_utf8()
    deltas: dict[int, list[TextDelta]] = {i: [] for i in range(n)}
    for delta in language_model.generate(prompt, n=n, seed=seed, **generation):
        deltas[delta.index].append(delta)
        if delta.finish_reason is None:
            continue
        (part,) = TextAssembler().join(deltas.pop(delta.index))
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
