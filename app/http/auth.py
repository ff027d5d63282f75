"""API keys: who has none is refused before anything of the request's body is read."""

import hmac
import time
from collections.abc import Iterable
from functools import partial
from hashlib import sha256
from pathlib import Path

import structlog
from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

from app.errors import Unauthorized
from app.http.error_handlers import error_response
from app.http.root_path import route_path
from app.keys import read_keys

__all__ = ["KEY_HEADERS", "ApiKeyAuth", "ApiKeys"]

_log = structlog.get_logger("app")

# Of this service's clients and of those of other systems, beside `Authorization: Bearer`.
KEY_HEADERS = ("api-key", "ocp-apim-subscription-key", "x-api-key")

# What balancers and Kubernetes ask, who have no key; exactly these paths.
_OPEN = frozenset({"/health/live", "/health/ready"})

_CHECK_INTERVAL = 1.0  # seconds between two looks at the file


class ApiKeys:
    """The keys that are accepted. Only their hashes are kept, and compared in constant time.

    Args:
        keys: always accepted.
        file: more of them, one a line; read again when it changes. If it cannot be used then, the
            keys that were read before stay, and the log says why.

    Raises:
        ValueError: the file cannot be used.
    """

    def __init__(self, keys: Iterable[str] = (), file: Path | None = None) -> None:
        self._own = _hashes(keys)
        self._file = file
        self._version = _version(file)
        self._from_file = _hashes(read_keys(file)) if file else []
        self._next_check = time.monotonic() + _CHECK_INTERVAL

    def accept(self, key: str) -> bool:
        """Return whether this is one of the keys."""
        self._read_again_if_changed()
        matches = partial(hmac.compare_digest, sha256(key.encode()).digest())
        return sum(map(matches, self._own + self._from_file)) > 0  # compares all, unlike any()

    def _read_again_if_changed(self) -> None:
        if self._file is None or time.monotonic() < self._next_check:
            return
        self._next_check = time.monotonic() + _CHECK_INTERVAL
        if (version := _version(self._file)) == self._version:
            return
        self._version = version
        try:
            self._from_file = _hashes(read_keys(self._file))
            _log.info("the API keys were read again", keys=len(self._from_file))
        except ValueError as error:
            _log.error("the API keys stay as they were", file=str(self._file), reason=str(error))


class ApiKeyAuth:
    """Refuses requests without a valid key with 401; only health needs none.

    Args:
        app: the wrapped application.
        keys: the keys that are accepted.
    """

    def __init__(self, app: ASGIApp, *, keys: ApiKeys) -> None:
        self.app = app
        self._keys = keys

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request."""
        if scope["type"] == "http" and route_path(scope) not in _OPEN:
            try:
                self._check(Headers(scope=scope))
            except Unauthorized as error:
                response = error_response(
                    route_path(scope), error.status, error.code, error.message, error.headers
                )
                await response(scope, receive, send)
                return
        await self.app(scope, receive, send)

    def _check(self, headers: Headers) -> None:
        """Check that a header has a valid key.

        Raises:
            Unauthorized: none has.
        """
        found = _keys_in(headers)
        if any(map(self._keys.accept, found)):
            return
        challenge = 'Bearer realm="unrolled"' + (', error="invalid_token"' if found else "")
        raise Unauthorized(
            "the API key is not valid"
            if found
            else "an API key is needed: send it as `Authorization: Bearer KEY`, or in the header "
            f"{', '.join(KEY_HEADERS[:-1])} or {KEY_HEADERS[-1]}",
            {"WWW-Authenticate": challenge},
        )


def _keys_in(headers: Headers) -> list[str]:
    """List what may be a key; a header that is sent twice counts once."""
    scheme, _, token = headers.get("authorization", "").partition(" ")
    found = [token.strip()] if scheme.lower() == "bearer" else []
    return [key for key in (*found, *(headers.get(name, "") for name in KEY_HEADERS)) if key]


def _hashes(keys: Iterable[str]) -> list[bytes]:
    return [sha256(key.encode()).digest() for key in keys]


def _version(file: Path | None) -> tuple[int, int, int] | None:
    """Return what changes whenever the file does; None if there is none."""
    if file is None:
        return None
    try:
        status = file.stat()
    except OSError:
        return None
    return status.st_ino, status.st_mtime_ns, status.st_size
