"""Options that several commands share, those made from a configuration's fields, and settings."""

import inspect
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from enum import StrEnum
from functools import wraps
from pathlib import Path
from types import NoneType
from typing import Annotated, Any, Literal, get_args, get_origin

import typer
from pydantic.fields import FieldInfo

from app.settings import Settings, SettingsError, read_settings
from model.runtime.options import Device, Runtime

__all__ = [
    "BeamSizes",
    "CaptionerWeights",
    "DeviceName",
    "ModelName",
    "ModelOption",
    "Pictures",
    "RuntimeName",
    "TextFormat",
    "Weights",
    "config_options",
    "invalid_options",
    "read_beam_sizes",
    "settings_from",
]

Weights = Annotated[
    Path | None,
    typer.Option(help="A bundle, or a folder with captioner/ and text/."),
]
CaptionerWeights = Annotated[
    Path | None,
    typer.Option(
        "--weights",
        "--model",
        help="A bundle, a training run, or a folder with captioner/.",
    ),
]
DeviceName = Annotated[Device | None, typer.Option(help="Where to run; auto prefers a GPU.")]
RuntimeName = Annotated[
    Runtime | None,
    typer.Option(help="What runs the captioner; auto: OpenVINO on a CPU, else PyTorch."),
]

_MODEL_HELP = "A bundle's name in the weights folder, or its path."
ModelName = Annotated[str, typer.Argument(metavar="MODEL", help=_MODEL_HELP)]
ModelOption = Annotated[str | None, typer.Option("--model", help=_MODEL_HELP)]

# Options of the commands that read a data set.
Pictures = Annotated[
    list[str], typer.Option(help="A folder, tar file or glob with the pictures; repeatable.")
]
BeamSizes = Annotated[str, typer.Option(help="One or more beam sizes, separated by commas.")]


class TextFormat(StrEnum):
    """The formats that `--format` accepts, for commands that write text."""

    TEXT = "text"
    JSONL = "jsonl"


def read_beam_sizes(given: str) -> tuple[int, ...]:
    """Parse beam sizes separated by commas.

    Raises:
        BadParameter: one of them is not a whole number.
    """
    try:
        return tuple(int(size) for size in given.split(","))
    except ValueError as error:
        raise typer.BadParameter(f"--beam-size must be numbers like 1,3,5, not {given}") from error


def settings_from(**overrides: Any) -> Settings:
    """Read the settings, with these options taking precedence.

    Raises:
        BadParameter: a setting is invalid.
    """
    try:
        return read_settings(**overrides)
    except SettingsError as error:
        raise typer.BadParameter(str(error)) from error


@contextmanager
def invalid_options() -> Iterator[None]:
    """Report an option that does not fit as a usage error (exit status 2).

    Raises:
        BadParameter: the block raised a ValueError; the message is the same.
    """
    try:
        yield
    except ValueError as error:
        raise typer.BadParameter(str(error)) from error


def config_options(
    config: Any, *, into: str, leave_out: Collection[str] = ()
) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Add to a command one option for each field of a configuration, bounds and help included.

    Args:
        config: a pydantic dataclass, such as `DecodingConfig`.
        into: the command's keyword argument for those that were given, a dict by field name; they
            are changes for `config.merge`.
        leave_out: fields without an option.
    """
    fields: dict[str, FieldInfo] = {
        name: field for name, field in config.__pydantic_fields__.items() if name not in leave_out
    }

    def decorate(command: Callable[..., None]) -> Callable[..., None]:
        @wraps(command)
        def with_options(**arguments: Any) -> None:
            values = {name: arguments.pop(name) for name in fields}
            command(**arguments, **{into: {n: v for n, v in values.items() if v not in (None, [])}})

        parameters: list[inspect.Parameter] = []
        for parameter in inspect.signature(command, eval_str=True).parameters.values():
            if parameter.name != into:
                parameters.append(parameter)
                continue
            parameters += [_parameter(name, field) for name, field in fields.items()]
        with_options.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
        with_options.__annotations__ = {p.name: p.annotation for p in parameters}
        return with_options

    return decorate


def _parameter(name: str, field: FieldInfo) -> inspect.Parameter:
    """Make the parameter that typer turns into an option."""
    one_of = get_origin(field.annotation) is Literal  # some names, which typer shows
    kinds = [kind for kind in get_args(field.annotation) or (field.annotation,) if kind != NoneType]
    is_list = str in kinds
    low, high = None, None
    for bound in field.metadata:
        low = getattr(bound, "ge", getattr(bound, "gt", low))
        high = getattr(bound, "le", getattr(bound, "lt", high))
    option = typer.Option(min=low, max=high, help=(field.description or "").replace("`", ""))
    kind: Any = list[str] if is_list else field.annotation if one_of else kinds[0]
    return inspect.Parameter(
        name,
        inspect.Parameter.KEYWORD_ONLY,
        default=None,
        annotation=Annotated[kind | None, option],
    )
