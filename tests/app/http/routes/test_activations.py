"""`POST /activations`: given units, or those that follow a property."""

from pathlib import Path

import httpx
import numpy as np
import pytest

from model.text.language_model import LanguageModel
from tests.app.answers import assert_error
from tests.app.servers import in_thread
from tests.tiny import VERSE, save_tiny_language_model


def activations(client: httpx.Client, **body: object) -> dict:
    response = client.post("/activations", json={"model": "verse"} | body)
    assert response.status_code == 200, response.text
    return response.json()


def test_given_units_are_returned_in_order(writers: httpx.Client, weights: Path) -> None:
    found = activations(writers, text="Twinkle ☃", units=[3, "layer 1 unit 0", 3])
    assert set(found) == {"model", "model_version", "request_id", "tokens", "units", "timing_ms"}
    assert found["tokens"] == [*"Twinkle ", "<UNK>"]
    assert [set(unit) for unit in found["units"]] == [{"unit", "name", "activations"}] * 3
    assert [unit["unit"] for unit in found["units"]] == [3, 0, 3]
    assert [unit["name"] for unit in found["units"]][:2] == ["layer 1 unit 3", "layer 1 unit 0"]
    expected = (
        LanguageModel.load(weights / "text" / "verse", "cpu")
        .activations("Twinkle ☃")
        .values[:, [3, 0, 3]]
    )
    values = np.array([unit["activations"] for unit in found["units"]])
    assert values == pytest.approx(expected.T, abs=1e-4)
    assert (values == values.round(4)).all()


def test_units_that_follow_a_property_are_ranked(writers: httpx.Client) -> None:
    text = VERSE * 6
    found = activations(writers, text=text, property="word next", top=3)
    assert len(found["units"]) == 3
    for unit in found["units"]:
        assert set(unit) == {"unit", "name", "direction", "score", "activations"}
        assert unit["direction"] in (1, -1)
        assert len(unit["activations"]) == len(text)
    assert set(found["property"]) == {"name", "description", "measure", "chance"}
    assert found["property"]["measure"] == "auc"
    chance = found["property"]["chance"]
    assert 0.5 < chance["mean"] <= chance["high"] <= 1
    assert (
        activations(writers, text=text, property="word next", top=100)["units"][:3]
        == found["units"]
    )


def test_a_word_model_has_activations_but_no_properties(writers: httpx.Client) -> None:
    found = activations(writers, model="notes", text="A, b!", units=[0])
    assert found["tokens"] == ["a", "b"]
    assert len(found["units"][0]["activations"]) == 2
    body = {"model": "notes", "text": "a b", "property": "word next"}
    message = assert_error(writers.post("/activations", json=body), 422, "invalid_parameter")
    assert "reads words" in message


@pytest.mark.parametrize(
    ("body", "says"),
    [
        ({}, "either `units` or `property`"),
        ({"units": [0], "property": "word next"}, "either `units` or `property`"),
        ({"units": []}, "units"),
        ({"units": [12]}, "there are 0 to 11, or 'layer 1 unit 0' to 'layer 1 unit 11'"),
        (
            {"units": [-1]},
            "units.0: should be a number from 0, or a name like 'layer 1 unit 3', got -1",
        ),
        ({"units": ["unit 1"]}, "no unit 'unit 1'"),
        ({"units": [True]}, "units"),
        ({"units": [0, 0.5]}, "units.1"),
        ({"units": [10**25]}, "no unit"),
        ({"units": [0] * 1001}, "units"),
        ({"units": "layer 1 unit 3"}, "units"),
        ({"property": "mood"}, "there are 'position in line', "),
        ({"property": "inside quotes"}, "never varies in the first half"),
        ({"text": "", "units": [0]}, "text"),
        ({"text": "a", "property": "word next"}, "never varies"),
        ({"property": "word next", "top": 0}, "top"),
        ({"property": "word next", "top": 101}, "top"),
    ],
)
def test_invalid_requests_are_refused(writers: httpx.Client, body: dict, says: str) -> None:
    body = {"model": "verse", "text": VERSE} | body
    message = assert_error(writers.post("/activations", json=body), 422, "invalid_parameter")
    assert says in message


def test_the_size_of_a_response_is_limited(weights) -> None:
    with in_thread(weights, max_activations=1000) as service:
        activations(service.client, text="a" * 100, units=[0] * 10)
        body = {"model": "verse", "text": "a" * 101, "units": [0] * 10}
        response = service.client.post("/activations", json=body)
        message = assert_error(response, 422, "invalid_parameter")
        assert "1,010 activations: at most 1,000" in message


def test_gates_on_request(writers: httpx.Client) -> None:
    found = activations(writers, text="Twinkle", units=[0, 5], gates=True)
    for unit in found["units"]:
        gates = {name: np.array(values) for name, values in unit["gates"].items()}
        assert set(gates) == {"i", "f", "o", "g", "c", "h"}
        assert {values.shape for values in gates.values()} == {(7,)}
        assert np.tanh(gates["c"]) == pytest.approx(np.array(unit["activations"]), abs=2e-4)
        assert gates["o"] * np.tanh(gates["c"]) == pytest.approx(gates["h"], abs=2e-4)
    assert "gates" not in activations(writers, text="Twinkle", units=[0])["units"][0]


def test_gates_count_as_activations(writers: httpx.Client) -> None:
    body = {"model": "verse", "text": "x" * 3000, "units": [0] * 10, "gates": True}
    response = writers.post("/activations", json=body)
    message = assert_error(response, 422, "invalid_parameter")
    assert "times 7 values, with gates, are 210,000" in message


def test_gates_of_other_cells(tmp_path: Path) -> None:
    for cell in ("rnn", "gru", "mut2"):
        save_tiny_language_model(tmp_path / cell, cell=cell)
        with in_thread(tmp_path / cell) as running:
            body = {"text": "Twinkle", "units": [0, 5], "gates": True}
            response = running.client.post("/activations", json=body)
            if cell == "mut2":
                message = assert_error(response, 422, "invalid_parameter")
                assert message.startswith("gates: gates are those of RNNs")
                continue
            assert response.status_code == 200, response.text
            for unit in response.json()["units"]:
                gates = unit["gates"]
                assert set(gates) == ({"h"} if cell == "rnn" else {"r", "z", "n", "h"})
                assert gates["h"] == unit["activations"]
