"""What the configurations of all bundles have in common: strict fields, changes and messages."""

from collections.abc import Mapping
from dataclasses import fields, replace
from typing import TYPE_CHECKING, Annotated, Any, Literal, TypeVar

from pydantic import ConfigDict, Field, ValidationError

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

__all__ = [
    "FORMAT",
    "STRICT",
    "CellName",
    "Fraction",
    "Name",
    "Positive",
    "Version",
    "describe_fault",
    "merge_config",
]

FORMAT: Literal[2] = 2

STRICT = ConfigDict(extra="forbid", allow_inf_nan=False)

CellName = Literal["rnn", "lstm", "gru", "gru-cho", "mut1", "mut2", "mut3"]
Fraction = Annotated[float, Field(ge=0, lt=1)]
Positive = Annotated[int, Field(ge=1)]
Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]*$", max_length=64)]
Version = Annotated[str, Field(min_length=1, max_length=64)]

ConfigT = TypeVar("ConfigT", bound="DataclassInstance")


def merge_config(config: ConfigT, changes: Mapping[str, Any]) -> ConfigT:
    """Return a configuration with changes.

    Raises:
        ValueError: an option is unknown, out of range, or contradicts another; the message
            describes the first error.
    """
    known = [field.name for field in fields(config)]
    if unknown := sorted(set(changes) - set(known)):
        raise ValueError(f"unknown option {unknown[0]!r}: choose from {', '.join(known)}")
    try:
        return replace(config, **changes)
    except ValidationError as error:
        raise ValueError(describe_fault(error)) from error


def describe_fault(error: ValidationError) -> str:
    """Describe pydantic's first error in one line: the field, and what would be right."""
    fault = error.errors()[0]
    message = str(fault["msg"]).removeprefix("Value error, ")
    where = ".".join(map(str, fault["loc"]))
    return f"{where}: {message}" if where else message
