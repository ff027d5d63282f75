"""A request whose replica was lost is answered, and any other answer is left alone."""

import asyncio

import httpx
import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send

from app.http.lost_replica import middleware


async def lose(_scope: Scope, _receive: Receive, _send: Send) -> None:
    """End without an answer, as Ray's proxy does when an actor has died."""


def ask(app: ASGIApp, path: str = "/caption") -> httpx.Response:
    for cls, arguments, options in middleware():
        app = cls(app, *arguments, **options)

    async def get() -> httpx.Response:
        transport = httpx.ASGITransport(app)
        async with httpx.AsyncClient(transport=transport, base_url="http://proxy") as client:
            return await client.get(path)

    return asyncio.run(get())


def test_a_lost_request_may_be_sent_again() -> None:
    response = ask(lose)
    assert response.status_code == 503
    assert response.headers["Retry-After"] == "1"
    error = response.json()["error"]
    assert error["code"] == "replica_lost"
    assert "send the request again" in error["message"]


def test_other_apis_are_told_in_their_own_words() -> None:
    assert ask(lose, "/v1/chat/completions").json()["error"]["type"] == "server_error"


@pytest.mark.parametrize("status", [200, 500])
def test_answers_are_left_alone(status: int) -> None:
    async def answer(_: Request) -> PlainTextResponse:
        return PlainTextResponse("mine", status)

    response = ask(Starlette(routes=[Route("/caption", answer)]))
    assert (response.status_code, response.text) == (status, "mine")
