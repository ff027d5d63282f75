import pytest

from app.http.error_shapes import error_content, error_status


@pytest.mark.parametrize(
    ("path", "content"),
    [
        ("/caption", {"error": {"code": "empty_body", "message": "no", "request_id": None}}),
        (
            "/v1/chat/completions",
            {
                "error": {
                    "message": "no",
                    "type": "invalid_request_error",
                    "param": None,
                    "code": "empty_body",
                }
            },
        ),
        ("/api/chat", {"error": "no"}),
        ("/model/predict", {"status": "error", "message": "no"}),
        (
            "/vision/v3.2/describe",
            {
                "error": {
                    "code": "InvalidRequest",
                    "message": "no",
                    "innererror": {"code": "InvalidImageFormat", "message": "no"},
                }
            },
        ),
    ],
)
def test_every_api_has_errors_of_its_own_shape(path: str, content: dict[str, object]) -> None:
    assert error_content(path, 400, "empty_body", "no") == content


@pytest.mark.parametrize(
    ("path", "status", "known"),
    [
        ("/caption", 422, 422),
        ("/v1/chat/completions", 422, 400),
        ("/v1/chat/completions", 415, 400),
        ("/v1/chat/completions", 413, 413),
        ("/v1/models/none", 404, 404),
    ],
)
def test_a_status_is_one_that_the_apis_clients_know(path: str, status: int, known: int) -> None:
    assert error_status(path, status) == known


def test_openais_clients_know_an_unknown_model_by_their_own_code() -> None:
    assert error_content("/v1/models/none", 404, "unknown_model", "no")["error"] == {
        "message": "no",
        "type": "not_found_error",
        "param": None,
        "code": "model_not_found",
    }
