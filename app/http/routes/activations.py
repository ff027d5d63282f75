"""`POST /activations`: what units of a writer's network do while it reads a text."""

from typing import Any

import numpy as np
from fastapi import APIRouter, Request
from structlog.contextvars import bind_contextvars

from app.errors import InvalidParameter
from app.http.bodies import check_length, json_body, read_json
from app.http.deps import EngineDep, RequestId, SettingsDep, error_responses
from app.http.disconnect import cancel_on_disconnect
from app.http.schemas.texts import (
    ActivationsRequest,
    ActivationsResponse,
    ChanceResult,
    ModelTimingResult,
    PropertyResult,
    UnitResult,
)
from model.interpretation.properties import PROPERTIES
from model.interpretation.selection import TextActivations
from model.text.scores import Activations

__all__ = ["router"]

router = APIRouter(tags=["texts"])


@router.post(
    "/activations",
    summary="Look into a model that reads",
    response_model_exclude_none=True,
    responses=error_responses(400, 404, 413, 415, 422, 429, 503),
    openapi_extra=json_body(ActivationsRequest, "A text, and the units to look at."),
)
async def activations(
    request: Request, engine: EngineDep, settings: SettingsDep, request_id: RequestId
) -> ActivationsResponse:
    """Give the activations of chosen units after each token of a text.

    With `property` those of the units that follow it best: chosen on the first half of the text,
    scored on the second, beside what the best unit reaches by chance.
    """
    models = engine.models
    asked = await read_json(request, ActivationsRequest, settings.max_text_length)
    config = models.find_language_model(asked.model).config
    check_length("text", asked.text, settings.max_text_length)
    if (asked.units is None) == (asked.property is None):
        raise InvalidParameter("give either `units` or `property`")
    units = asked.top if asked.units is None else len(asked.units)
    numbers = units * len(asked.text)
    if numbers > settings.max_activations:
        raise InvalidParameter(
            f"{units} units after {len(asked.text)} characters are {numbers:,} activations: at "
            f"most {settings.max_activations:,} are given, so ask for fewer units or less text"
        )
    bind_contextvars(model=config.name)

    def choose(
        seen: Activations,
    ) -> tuple[tuple[str, ...], list[UnitResult], PropertyResult | None]:
        by_character = TextActivations.by_character(seen, config.level)
        try:
            if asked.property is not None:
                return seen.tokens, *_following(seen, by_character, asked.property, asked.top)
            chosen = by_character.find(asked.units or ())
        except ValueError as error:
            raise InvalidParameter(str(error)) from error
        return seen.tokens, [_unit(seen, unit) for unit in chosen], None

    (tokens, found, followed), timing = await cancel_on_disconnect(
        request, engine.activations(await engine.language_model(config.name), asked.text, choose)
    )
    return ActivationsResponse(
        model=config.name,
        model_version=config.version,
        request_id=request_id,
        tokens=list(tokens),
        units=found,
        property=followed,
        timing_ms=ModelTimingResult.model_validate(timing),
    )


def _following(
    seen: Activations, by_character: TextActivations, name: str, top: int
) -> tuple[list[UnitResult], PropertyResult]:
    ranking = by_character.rank(name)
    found = [
        _unit(seen, unit.unit, direction=unit.direction, score=round(unit.score, 4))
        for unit in ranking.units[:top]
    ]
    return found, PropertyResult(
        name=name,
        description=PROPERTIES[name].description,
        measure=ranking.measure,
        chance=ChanceResult(mean=round(ranking.chance.mean, 4), high=round(ranking.chance.high, 4)),
    )


def _unit(seen: Activations, unit: int, **fields: Any) -> UnitResult:
    rounded = np.round(seen.values[:, unit].astype(np.float64), 4) + 0.0  # no -0.0
    return UnitResult(unit=unit, name=seen.units[unit], activations=rounded.tolist(), **fields)
