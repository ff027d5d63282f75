"""`POST /activations`: its body and its response."""

from typing import Annotated, Any, Literal, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import ConfigDict, Field, PlainValidator
from pydantic_core import PydanticCustomError

from app.http.schemas.requests import ModelName, StrictRequest
from app.http.schemas.results import ModelResponse, ModelTimingResult, Result
from model.interpretation.gates import UnitGates
from model.interpretation.properties import PROPERTIES

__all__ = [
    "ActivationsRequest",
    "ActivationsResponse",
    "ChanceResult",
    "GatesResult",
    "PropertyResult",
    "UnitResult",
    "rounded",
]


def _number_or_name(value: Any) -> int | str:
    if isinstance(value, str) and len(value) <= 64:
        return value
    if isinstance(value, int) and not isinstance(value, bool) and value >= 0:
        return value
    raise PydanticCustomError("unit", "should be a number from 0, or a name like 'layer 1 unit 3'")


UnitName = Annotated[int | str, PlainValidator(_number_or_name, json_schema_input_type=int | str)]


class ActivationsRequest(StrictRequest):
    """A text, and the units to inspect: given ones, or those that follow a property best."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "model": "shakespeare",
                    "text": "ROMEO:\nAy me!",
                    "units": [0, "layer 1 unit 3"],
                },
                {
                    "model": "shakespeare",
                    "text": "First.\nSecond, longer.\nThird.\n" * 4,
                    "property": "position in line",
                },
            ]
        }
    )

    model: ModelName = None
    text: Annotated[str, Field(min_length=1, description="The text for the model to read.")]
    units: Annotated[
        list[UnitName] | None,
        Field(
            min_length=1,
            max_length=1_000,
            description="By number, or by name like `layer 1 unit 3`.",
        ),
    ] = None
    property: Annotated[
        str | None,
        Field(
            max_length=64,
            description="Return the units that follow this property of the text.",
            json_schema_extra={"enum": [*PROPERTIES, None]},
        ),
    ] = None
    top: Annotated[int, Field(ge=1, le=100, description="Number of units, with `property`.")] = 5
    gates: Annotated[
        bool, Field(description="Return the gates of each unit too; for RNNs, GRUs and LSTMs.")
    ] = False


def rounded(values: NDArray[np.float32]) -> list[float]:
    """Round activations to four decimals, without -0.0."""
    numbers: list[float] = (np.round(values.astype(np.float64), 4) + 0.0).tolist()
    return numbers


class ChanceResult(Result):
    """The best unit's score when the property is shifted to other places in the text."""

    mean: float
    high: float = Field(
        description="95th percentile; a unit that scores below it is no better than chance."
    )


class PropertyResult(Result):
    """The property that the units were compared with."""

    name: str
    description: str
    measure: Literal["auc", "spearman"] = Field(
        description="auc: area under the ROC curve, 0.5 for noise. spearman: rank correlation, 0."
    )
    chance: ChanceResult


class GatesResult(Result):
    """A unit at each token.

    LSTM: c' = f * c + i * g, and h' = o * tanh(c'). GRU: h' = (1 - z) * n + z * h. RNN: h alone.
    """

    i: list[float] | None = Field(None, description="LSTM: input gate, 0 to 1.")
    f: list[float] | None = Field(None, description="LSTM: forget gate, 0 to 1.")
    o: list[float] | None = Field(None, description="LSTM: output gate, 0 to 1.")
    g: list[float] | None = Field(None, description="LSTM: candidate, -1 to 1.")
    c: list[float] | None = Field(None, description="LSTM: cell.")
    r: list[float] | None = Field(None, description="GRU: reset gate, 0 to 1.")
    z: list[float] | None = Field(None, description="GRU: update gate, 0 to 1.")
    n: list[float] | None = Field(None, description="GRU: candidate, -1 to 1.")
    h: list[float] = Field(description="Output, -1 to 1.")

    @classmethod
    def of(cls, gates: UnitGates) -> Self:
        """Round gates to four decimals."""
        return cls(**{name: rounded(values) for name, values in vars(gates).items()})


class UnitResult(Result):
    """A unit and its activations: tanh(c) of an LSTM, h of other cells, -1 to 1."""

    unit: int = Field(ge=0)
    name: str
    direction: Literal[1, -1] | None = Field(
        None, description="With a property: 1 if the unit rises with it, -1 if it falls."
    )
    score: float | None = Field(
        None, description="With a property: how well the unit follows it on the text's second half."
    )
    activations: list[float] = Field(description="After each token, to four decimals.")
    gates: GatesResult | None = Field(None, description="If requested, to four decimals.")


class ActivationsResponse(ModelResponse):
    """The activations of units while the model reads a text."""

    tokens: list[str] = Field(description="The text as the model reads it.")
    units: list[UnitResult] = Field(
        description="In the order requested; with a property, best first."
    )
    property: PropertyResult | None = None
    timing_ms: ModelTimingResult
