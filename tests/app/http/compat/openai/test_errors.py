"""Whatever is wrong, OpenAI's client raises the class that its users catch."""

import json

import httpx
import openai
import pytest

from app.http.compat.openai.captions import _MAX_PICTURES as MAX_PICTURES
from tests.app.http.compat.openai.chats import ASKED, PHOTO, data_uri, image, text, user
from tests.app.photos import png_header
from tests.app.servers import Service, in_thread


def picture(url: object) -> list[dict]:
    return [user({"type": "image_url", "image_url": {"url": url}})]


@pytest.mark.parametrize(
    ("body", "code", "says"),
    [
        ({"messages": []}, "invalid_parameter", "messages"),
        ({"messages": 5}, "invalid_parameter", "messages"),
        ({"messages": [{"role": "user", "content": "Hi"}]}, "empty_body", "has no picture"),
        ({"messages": "Hi"}, "empty_body", "data:image/jpeg;base64,..."),
        ({"messages": [user(text("Hi"))], "model": "tiny"}, "empty_body", "has no picture"),
        ({"messages": [user({"type": "image_url"})]}, "invalid_parameter", "needs `image_url`"),
        (
            {"messages": [user({"type": "input_image", "file_id": "file-1"})]},
            "invalid_parameter",
            "uploaded files are not kept here",
        ),
        ({"messages": picture(5)}, "invalid_parameter", "messages.0.content.0.image_url"),
        ({"messages": picture({})}, "invalid_parameter", "image_url"),
        ({"messages": picture("")}, "empty_body", "`image_url` holds no picture"),
        ({"messages": picture("data:image/png;base64,")}, "empty_body", "no picture"),
        ({"messages": picture("a cat.jpg")}, "malformed_body", "not base64"),
        ({"messages": picture("data:image/png")}, "malformed_body", "comma"),
        ({"messages": picture("data:image/png;base64,QUJD")}, "unsupported_image", "JPEG"),
        ({"messages": picture(data_uri(PHOTO[:200]))}, "malformed_image", "cut short"),
        ({"messages": [user(3)]}, "invalid_parameter", "messages.0.content.0"),
        ({"messages": [user(*[image()] * (MAX_PICTURES + 1))]}, "invalid_parameter", "too many"),
        ({"messages": [user(image()), *picture("x.y")]}, "malformed_body", "not base64"),
        ({"messages": ASKED, "n": 11}, "invalid_parameter", "n: "),
        ({"messages": ASKED, "n": 0}, "invalid_parameter", "n: "),
        ({"messages": ASKED, "temperature": -1}, "invalid_parameter", "temperature"),
        ({"messages": ASKED, "temperature": "warm"}, "invalid_parameter", "temperature"),
        ({"messages": ASKED, "top_p": 1.1}, "invalid_parameter", "top_p"),
        ({"messages": ASKED, "top_logprobs": 21}, "invalid_parameter", "top_logprobs"),
        ({"messages": ASKED, "seed": 2**64}, "invalid_parameter", "seed"),
        ({"messages": ASKED, "response_format": "json"}, "invalid_parameter", "response_format"),
        ({"model": "verse", "messages": "Twin", "max_tokens": 10**6}, "invalid_parameter", "many"),
    ],
)
def test_a_bad_request(openai_service: Service, body: dict, code: str, says: str) -> None:
    response = openai_service.client.post("/v1/chat/completions", json=body)
    assert response.status_code == 400, response.text
    assert set(response.json()) == {"error"}
    error = response.json()["error"]
    assert error["type"] == "invalid_request_error"
    assert error["param"] is None
    assert error["code"] == code
    assert says in error["message"]
    # It still works afterwards.
    after = openai_service.client.post("/v1/chat/completions", json={"messages": ASKED})
    assert after.status_code == 200


@pytest.mark.parametrize(
    ("content", "code"),
    [
        (b"", "empty_body"),
        (b"{", "malformed_body"),
        (b"[]", "invalid_parameter"),
        (b'{"messages": ' + b"[" * 100_000, "malformed_body"),
        (b'{"messages": [' + b"{}," * 100_001 + b"{}]}", "body_too_large"),
    ],
)
@pytest.mark.parametrize("path", ["/v1/chat/completions", "/v1/responses"])
def test_a_bad_body(openai_service: Service, path: str, content: bytes, code: str) -> None:
    headers = {"Content-Type": "application/json"}
    response = openai_service.client.post(path, content=content, headers=headers)
    assert response.status_code == (413 if code == "body_too_large" else 400)
    assert response.json()["error"]["code"] == code


def test_a_schema_that_cannot_be_filled(api: openai.OpenAI) -> None:
    form = {"type": "json_schema", "json_schema": {"name": "x", "schema": {"$ref": "#/nowhere"}}}
    with pytest.raises(openai.BadRequestError, match="response_format: the schema has no"):
        api.chat.completions.create(model="x", messages=ASKED, response_format=form)


def test_the_classes_of_the_client(api: openai.OpenAI, base_url: str) -> None:
    with pytest.raises(openai.BadRequestError) as raised:
        api.chat.completions.create(model="x", messages=[{"role": "user", "content": "Hi"}])
    assert raised.value.status_code == 400
    assert raised.value.code == "empty_body"
    assert raised.value.type == "invalid_request_error"
    assert raised.value.body["message"] in str(raised.value)
    with pytest.raises(openai.NotFoundError) as raised:
        api.models.retrieve("gpt-4o")
    assert raised.value.code == "model_not_found"
    with pytest.raises(openai.NotFoundError):
        api.completions.create(model="gpt-4o", prompt="Hi")
    with pytest.raises(openai.NotFoundError):
        api.embeddings.create(model="x", input="Hi")
    with pytest.raises(openai.BadRequestError, match="needs a language model"):
        api.completions.create(model="tiny", prompt="Hi")
    with pytest.raises(openai.APIStatusError) as raised:
        api.post("/models", cast_to=object, body={})
    assert raised.value.status_code == 405
    huge = picture(data_uri(png_header(60_000, 60_000), "image/png"))
    with pytest.raises(openai.APIStatusError, match="pixels") as raised:
        api.chat.completions.create(model="x", messages=huge)
    assert raised.value.status_code == 413


def test_a_content_type_that_is_not_json(openai_service: Service) -> None:
    content = json.dumps({"messages": ASKED})
    response = openai_service.client.post(
        "/v1/chat/completions", content=content, headers={"Content-Type": "text/plain"}
    )
    assert response.status_code == 400
    assert response.json()["error"]["code"] == "unsupported_content_type"


def test_pictures_are_not_fetched_unless_the_operator_wants_it(openai_service: Service) -> None:
    body = {"messages": picture("https://example.org/cat.jpg")}
    response = openai_service.client.post("/v1/chat/completions", json=body)
    assert response.status_code == 403
    assert "UNROLLED_FETCH_HOSTS" in response.json()["error"]["message"]


def test_a_picture_over_the_limit_and_a_full_queue(openai_service: Service) -> None:
    weights = openai_service.engine.settings.weights
    with in_thread(weights, max_upload_bytes=1_000, queue_size=1) as service:
        client = openai.OpenAI(
            base_url=f"http://127.0.0.1:{service.port}/v1", api_key="unused", max_retries=0
        )
        with client, pytest.raises(openai.APIStatusError, match="too large") as raised:
            client.chat.completions.create(model="x", messages=ASKED)
        assert raised.value.status_code == 413
        with service.engine.worker.admit():
            for path, body in (
                ("chat/completions", {"messages": ASKED}),
                ("responses", {"input": ASKED}),
                ("completions", {"model": "verse"}),
            ):
                response = service.client.post(f"/v1/{path}", json=body)
                assert response.status_code == 429, path
                assert response.json()["error"]["type"] == "rate_limit_error"
                assert int(response.headers["retry-after"]) >= 1


def test_the_models_are_still_loading(openai_service: Service) -> None:
    with in_thread(openai_service.engine.settings.weights) as service:
        service.engine._models = None
        responses: list[httpx.Response] = [
            service.client.get("/readyz"),
            service.client.get("/v1/models"),
            service.client.post("/v1/chat/completions", json={"messages": ASKED}),
            service.client.post("/v1/responses", json={"input": ASKED}),
            service.client.post("/v1/completions", json={}),
        ]
    for response in responses:
        assert response.status_code == 503
        assert response.headers["retry-after"]
    assert responses[1].json()["error"]["type"] == "server_error"


def test_without_a_captioner(tmp_path) -> None:
    from tests.app.writers import save_writer

    save_writer(tmp_path / "text" / "verse")
    with in_thread(tmp_path) as service:
        response = service.client.post("/v1/chat/completions", json={"messages": ASKED})
        assert response.status_code == 404
        assert "no captioner" in response.json()["error"]["message"]
        body = {"model": "verse", "messages": "Twin"}
        assert service.client.post("/v1/chat/completions", json=body).status_code == 200


def test_the_api_may_be_turned_off(openai_service: Service) -> None:
    weights = openai_service.engine.settings.weights
    with in_thread(weights, apis=()) as service:
        assert service.client.get("/v1/models").status_code == 404
        assert service.client.get("/readyz").status_code == 404
