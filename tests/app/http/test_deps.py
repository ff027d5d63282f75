import httpx
import pytest

from tests.app.answers import assert_error


@pytest.mark.parametrize("path", ["/health/live", "/health/ready", "/models", "/models/verse"])
def test_unknown_parameters_are_refused(writers: httpx.Client, path: str) -> None:
    message = assert_error(writers.get(f"{path}?verbose=1"), 422, "invalid_parameter")
    assert message == f"verbose: unknown parameter, {path} has none"


@pytest.mark.parametrize("path", ["/generate-text", "/score", "/activations"])
def test_options_in_the_query_of_a_text_route_are_refused(writers: httpx.Client, path: str) -> None:
    body = {"model": "verse", "text": "a"}
    response = writers.post(f"{path}?temperature=0.5", json=body)
    message = assert_error(response, 422, "invalid_parameter")
    assert message == f"temperature: unknown parameter, {path} has none: put it into the JSON body"
