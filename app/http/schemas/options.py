"""Request parameters made from the fields of a configuration, with its bounds and descriptions."""

from typing import Annotated, Any, get_args

from pydantic import Field
from pydantic.fields import FieldInfo

__all__ = ["optional_fields"]


def optional_fields(config: Any) -> dict[str, Any]:
    """Return a field for each field of a pydantic dataclass, for `pydantic.create_model`.

    Each has the same type, bounds and description; None, its default, leaves the model's own.
    """
    fields: dict[str, FieldInfo] = config.__pydantic_fields__
    return {name: _optional(field) for name, field in fields.items()}


def _optional(field: FieldInfo) -> tuple[Any, Any]:
    kind: Any = field.annotation
    if float in (kind, *get_args(kind)):
        kind = Annotated[kind, Field(allow_inf_nan=False)]
    for bound in field.metadata:
        kind = Annotated[kind, bound]
    return kind | None, Field(None, description=field.description)
