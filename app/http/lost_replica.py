"""What Ray Serve's proxies answer where a replica was lost while it worked on a request.

Ray's own answer is an empty 500. The request may well be repeated, so it is a 503 that says so. Ray
takes `middleware` by RAY_SERVE_HTTP_PROXY_CALLBACK_IMPORT_PATH, see docs/cluster.md.
"""

from starlette.middleware import Middleware
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.errors import ReplicaLost
from app.http.error_handlers import error_response

__all__ = ["middleware"]


class _AnswerForLost:
    """Answers a request that ended without an answer."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        answered = False

        async def watch(message: Message) -> None:
            nonlocal answered
            answered = True
            await send(message)

        await self.app(scope, receive, watch)
        if scope["type"] == "http" and not answered:
            lost = ReplicaLost("the replica that worked on this was lost: send the request again")
            response = error_response(
                scope["path"], lost.status, lost.code, str(lost), lost.headers
            )
            await response(scope, receive, send)


def middleware() -> list[Middleware]:
    """Return what Ray's proxies wrap their applications in."""
    return [Middleware(_AnswerForLost)]
