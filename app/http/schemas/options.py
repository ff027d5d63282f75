"""Request parameters made from the fields of a configuration, with its bounds and descriptions."""

from typing import Annotated, Any

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
    metadata = (
        [*field.metadata, Field(allow_inf_nan=False)]
        if field.annotation is float
        else (field.metadata)
    )
    bounded: Any = field.annotation
    for item in metadata:
        bounded = Annotated[bounded, item]
    return bounded | None, Field(None, description=field.description)
