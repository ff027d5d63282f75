import pytest

from app.http.error_shapes import error_content


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
