"""`POST /activations`: what a language model's units do while it reads a text."""

from dataclasses import fields
from typing import Any

from fastapi import APIRouter, Request
from structlog.contextvars import bind_contextvars

from app.errors import InvalidParameter, Unavailable
from app.http.bodies import check_length, json_body, read_json
from app.http.deps import EngineDep, NoQuery, RequestId, SettingsDep, error_responses
from app.http.disconnect import cancel_on_disconnect
from app.http.schemas.activations import (
    ActivationsRequest,
    ActivationsResponse,
    ChanceResult,
    GatesResult,
    PropertyResult,
    UnitResult,
    rounded,
)
from app.http.schemas.results import ModelTimingResult
from model.bundle.format import BundleError
from model.config import TextConfig
from model.interpretation.gates import GATED_CELLS, check_cell, unit_gates
from model.interpretation.properties import PROPERTIES
from model.interpretation.selection import TextActivations
from model.text.scores import Activations

__all__ = ["router"]

router = APIRouter(tags=["texts"], dependencies=[NoQuery])


@router.post(
    "/activations",
    summary="Inspect a language model's units",
    response_model_exclude_none=True,
    responses=error_responses(400, 404, 408, 413, 415, 422, 429, 503),
    openapi_extra=json_body(ActivationsRequest, "A text, and the units to inspect."),
)
async def activations(
    request: Request, engine: EngineDep, settings: SettingsDep, request_id: RequestId
) -> ActivationsResponse:
    """Return the activations of units after each token of a text.

    With `units`, those of the given units; with `property`, those of the units that follow it
    best, which are chosen on the first half of the text and scored on the second, together with
    the score that the best unit reaches by chance.
    """
    models = engine.models
    body = await read_json(request, ActivationsRequest, settings.max_text_length)
    config = models.find_language_model(body.model).config
    check_length("text", body.text, settings.max_text_length)
    if (body.units is None) == (body.property is None):
        raise InvalidParameter("send either `units` or `property`")
    units = body.top if body.units is None else len(body.units)
    values = 1
    if body.gates:
        _check_gates(config)
        values += len(fields(GATED_CELLS[config.network.cell]))
    total = units * values * len(body.text)
    if total > settings.max_activations:
        each = f" times {values} values, with gates," if body.gates else ""
        raise InvalidParameter(
            f"{units} units times {len(body.text)} characters{each} are {total:,} activations: at "
            f"most {settings.max_activations:,} are returned, so use fewer units or a shorter text"
        )
    bind_contextvars(model=config.name)
    folder = models.cache.bundles[config.name].folder

    def select(
        activations: Activations,
    ) -> tuple[tuple[str, ...], list[UnitResult], PropertyResult | None]:
        by_character = TextActivations.by_character(activations, config.level)
        ranked_property = None
        try:
            if body.property is not None:
                results, ranked_property = _best_units(
                    activations, by_character, body.property, body.top
                )
            else:
                selected = by_character.find(body.units or ())
                results = [_unit(activations, unit) for unit in selected]
            if activations.states is not None:
                numbers = [result.unit for result in results]
                gates = unit_gates(folder, config.network, activations.states, numbers)
                results = [
                    result.model_copy(update={"gates": GatesResult.of(of_unit)})
                    for result, of_unit in zip(results, gates, strict=True)
                ]
        except BundleError as error:  # its file was damaged after the start
            raise Unavailable(f"the weights of {config.name!r} cannot be read", 60) from error
        except ValueError as error:
            raise InvalidParameter(str(error)) from error
        return activations.tokens, results, ranked_property

    language_model = await engine.language_model(config.name)
    (tokens, results, ranked_property), timing = await cancel_on_disconnect(
        request, engine.activations(language_model, body.text, select, states=body.gates)
    )
    return ActivationsResponse(
        model=config.name,
        model_version=config.version,
        request_id=request_id,
        tokens=list(tokens),
        units=results,
        property=ranked_property,
        timing_ms=ModelTimingResult.model_validate(timing),
    )


def _check_gates(config: TextConfig) -> None:
    try:
        check_cell(config.network.cell)
    except ValueError as error:
        raise InvalidParameter(f"gates: {error}") from error


def _best_units(
    activations: Activations, by_character: TextActivations, name: str, top: int
) -> tuple[list[UnitResult], PropertyResult]:
    ranking = by_character.rank(name)
    results = [
        _unit(activations, unit.unit, direction=unit.direction, score=round(unit.score, 4))
        for unit in ranking.units[:top]
    ]
    return results, PropertyResult(
        name=name,
        description=PROPERTIES[name].description,
        measure=ranking.measure,
        chance=ChanceResult(mean=round(ranking.chance.mean, 4), high=round(ranking.chance.high, 4)),
    )


def _unit(activations: Activations, unit: int, **values: Any) -> UnitResult:
    return UnitResult(
        unit=unit,
        name=activations.units[unit],
        activations=rounded(activations.values[:, unit]),
        **values,
    )
