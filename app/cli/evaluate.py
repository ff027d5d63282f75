"""`unrolled evaluate`: measure a captioner or a language model, and write a report."""

from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any, TypeVar

import typer

from app.cli.options import BeamSizes, Pictures, config_options, invalid_options, read_beam_sizes
from app.cli.terminal import exit_on, require_extra
from app.settings import read_settings
from model.bundle.discovery import captioner_folder
from model.config import DecodingConfig
from model.runtime.options import Device, Runtime

__all__ = ["evaluate"]

_Number = TypeVar("_Number", int, float)

evaluate = typer.Typer(help="Measure a model.", no_args_is_help=True)


@evaluate.command("captioner")
@config_options(DecodingConfig, into="decoding_options", leave_out=("beam_size", "num_captions"))
def evaluate_captioner(
    weights: Annotated[
        Path | None, typer.Argument(help="A bundle; by default the shipped one.")
    ] = None,
    *,
    dataset: Annotated[
        Path,
        typer.Option(
            exists=True, dir_okay=False, help="The captions, as JSON in Karpathy's format."
        ),
    ],
    pictures: Pictures,
    output: Annotated[Path, typer.Option(help="The folder to write the report to.")],
    split: Annotated[str, typer.Option(help="The split to measure: train, val or test.")] = "test",
    beam_size: BeamSizes = "1,3,5",
    batch_size: Annotated[int, typer.Option(min=1)] = 32,
    decoding_options: dict[str, Any],
    device: Annotated[Device, typer.Option(help="Where to run; auto prefers a GPU.")] = "auto",
    runtime: Annotated[Runtime, typer.Option(help="What runs the network.")] = "torch",
) -> None:
    """Caption a split of a data set, score the captions, and print and write a report."""
    beam_sizes = read_beam_sizes(beam_size)
    with require_extra("evaluation"):
        from model.captioning.captioner import Captioner  # noqa: PLC0415
        from model.data.karpathy import CaptionDataset  # noqa: PLC0415
        from model.evaluation.captioner import evaluate as measure  # noqa: PLC0415
    with exit_on(ValueError, OSError):
        folder = captioner_folder(weights or read_settings().weights)
        captioner = Captioner.load(folder, device, runtime=runtime)
        with invalid_options():
            decoding = captioner.config.decoding.merge(**decoding_options)
            captioner.check_support(decoding)
        data = CaptionDataset(dataset, pictures)
        report = measure(
            captioner,
            data,
            split=split,
            beam_sizes=beam_sizes,
            decoding=decoding,
            batch_size=batch_size,
            training_captions=data.captions("train"),
        )
        report.write(output / f"{report.dataset}-{report.split}")
    typer.echo(report.as_markdown())


@evaluate.command("text")
def evaluate_text(
    weights: Annotated[Path, typer.Argument(exists=True, file_okay=False, help="A bundle.")],
    *,
    corpus: Annotated[
        Path, typer.Option(exists=True, dir_okay=False, help="The whole text of the corpus.")
    ],
    output: Annotated[Path, typer.Option(help="The folder to write the report to.")],
    order: Annotated[
        int,
        typer.Option(
            min=0, max=20, help="The highest order of the n-gram models to compare with; 0: none."
        ),
    ] = 20,
    device: Annotated[Device, typer.Option(help="Where to run; auto prefers a GPU.")] = "auto",
) -> None:
    """Measure a language model on the validation part of its corpus, compared with n-grams."""
    with require_extra("evaluation"):
        from model.evaluation.language_model import evaluate_text as measure  # noqa: PLC0415
        from model.evaluation.language_model import read_corpus  # noqa: PLC0415
        from model.text.language_model import LanguageModel  # noqa: PLC0415
    with exit_on(ValueError, OSError):
        language_model = LanguageModel.load(weights, device)
        text = read_corpus(corpus, language_model)
        report = measure(language_model, text, name=corpus.stem, order=order)
        report.write(output / f"{report.corpus}-validation")
    typer.echo(report.as_markdown())


@evaluate.command("writing")
def evaluate_writing(
    weights: Annotated[Path, typer.Argument(exists=True, file_okay=False, help="A bundle.")],
    *,
    corpus: Annotated[
        Path, typer.Option(exists=True, dir_okay=False, help="The whole text of the corpus.")
    ],
    output: Annotated[Path, typer.Option(help="The folder to write the report to.")],
    texts: Annotated[int, typer.Option(min=1, max=1000, help="How many of each source.")] = 20,
    characters: Annotated[
        int, typer.Option(min=1, max=10_000, help="The length of each text.")
    ] = 3000,
    temperatures: Annotated[
        str, typer.Option(help="At which the model and the n-grams write.")
    ] = "0.5,0.8",
    orders: Annotated[
        str, typer.Option(help='The orders of the n-grams, without smoothing; "": none.')
    ] = "10,20",
    seed: Annotated[int, typer.Option(min=0, help="Of the first text; the next has the next.")] = 1,
    device: Annotated[Device, typer.Option(help="Where to run; auto prefers a GPU.")] = "auto",
) -> None:
    """Judge what a model writes: words, what it closes, and what it copies from its corpus.

    Beside it stand stretches of its corpus that it was not trained on, and what n-grams of its
    training text write.
    """
    numbers = (_numbers("--temperatures", temperatures, float), _numbers("--orders", orders, int))
    with require_extra("evaluation"):
        from model.evaluation.language_model import read_corpus  # noqa: PLC0415
        from model.evaluation.writing import evaluate_writing as judge  # noqa: PLC0415
        from model.text.language_model import LanguageModel  # noqa: PLC0415
    with exit_on(ValueError, OSError):
        language_model = LanguageModel.load(weights, device)
        report = judge(
            language_model,
            read_corpus(corpus, language_model),
            name=corpus.stem,
            texts=texts,
            characters=characters,
            temperatures=numbers[0],
            orders=numbers[1],
            seed=seed,
        )
        report.write(output / f"{report.corpus}-writing")
    typer.echo(report.as_markdown())


@evaluate.command("audit")
def evaluate_audit(
    weights: Annotated[
        Path | None, typer.Argument(help="A bundle; by default the shipped one.")
    ] = None,
    *,
    dataset: Annotated[
        Path,
        typer.Option(
            exists=True, dir_okay=False, help="The captions, as JSON in Karpathy's format."
        ),
    ],
    pictures: Pictures,
    split: Annotated[str, typer.Option(help="The split to measure.")] = "test",
    fit_split: Annotated[
        str | None,
        typer.Option(help="Fit the numbers of `unrolled audit` to this split, and print them."),
    ] = None,
    most: Annotated[
        int | None, typer.Option(min=6, help="How many pictures of a split; by default all.")
    ] = None,
    device: Annotated[Device, typer.Option(help="Where to run; auto prefers a GPU.")] = "auto",
    runtime: Annotated[Runtime, typer.Option(help="What runs the network.")] = "auto",
) -> None:
    """Measure how well `unrolled audit` tells a sentence about a picture from one about another."""
    from model.captioning.captioner import Captioner  # noqa: PLC0415
    from model.captioning.matching import COEFFICIENTS, Matcher  # noqa: PLC0415
    from model.data.karpathy import CaptionDataset  # noqa: PLC0415
    from model.evaluation import matching  # noqa: PLC0415

    with exit_on(ValueError, OSError):
        folder = captioner_folder(weights or read_settings().weights)
        matcher = Matcher(Captioner.load(folder, device, runtime=runtime))
        data = CaptionDataset(dataset, pictures)
        if fit_split is not None:
            fitted = matching.fit(
                matching.join(matching.compare(matcher, data, fit_split, most=most))
            )
            named = zip(COEFFICIENTS, fitted.coefficients, strict=True)
            numbers = ", ".join(f"{name} {number:.3f}" for name, number in named)
            typer.echo(f"fitted to {fit_split}: intercept {fitted.intercept:.3f}, {numbers}")
        found = matching.join(matching.compare(matcher, data, split, most=most))
    typer.echo(matching.report(found))


def _numbers(option: str, given: str, kind: Callable[[str], _Number]) -> tuple[_Number, ...]:
    """Parse numbers separated by commas; an empty text has none.

    Raises:
        BadParameter: one of them is no number of this kind.
    """
    try:
        return tuple(kind(each) for each in given.split(",") if given)
    except ValueError as error:
        example = "0.5,0.8" if kind is float else "10,20"
        raise typer.BadParameter(f"{option} must be numbers like {example}, not {given}") from error
