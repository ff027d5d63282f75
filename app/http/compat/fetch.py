"""Fetching pictures by URL, which is off unless the operator lists hosts.

A service that fetches what strangers name can be made to call the machines beside it. So a host
must be listed, its name is resolved once, every address that it has is checked, and the connection
goes to a checked address: a name that resolves to another one a moment later changes nothing. Every
redirect is checked in the same way. Neither cookies nor credentials are sent, and no proxy is used.

HTTP is spoken with h11, which the server stands on anyway. HTTP clients resolve names themselves,
read proxies from the environment and unpack compressed bodies, all of which would have to be
undone; and asyncio's streams connect to an address while TLS checks the host's name.
"""

import asyncio
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from socket import SOCK_STREAM, gaierror
from urllib.parse import quote, urljoin, urlsplit

import h11
from anyio import to_thread

from app.errors import BodyTooLarge, FetchFailed, FetchRefused, InvalidParameter, Overloaded
from app.http.compat.hosts import HostRules
from app.http.uploads import check_picture, from_base64
from app.settings import Settings
from app.version import VERSION

__all__ = ["fetch_picture"]

_MAX_REDIRECTS = 3
_REDIRECTS = {301, 302, 303, 307, 308}

_MAX_URL_LENGTH = 8_000
_CONNECT_SECONDS = 3.0  # for each address, so that a dead one leaves time for the next
_CHUNK = 64 * 1024

_fetching: set[object] = set()  # one for each picture that this process is fetching

_PORTS = {"http": 80, "https": 443}

_OFF = (
    "fetching pictures by URL is off: send the picture itself in base64 or as a data URI; the "
    "operator of this service turns it on by listing hosts in UNROLLED_FETCH_HOSTS"
)


async def fetch_picture(url: str, settings: Settings) -> bytes:
    """Return the bytes that a URL stands for: fetched over HTTP, or in the data URI itself.

    Whether the bytes are a picture is for `app.pictures.decode` to find out.

    Raises:
        FetchRefused: fetching is off, or not allowed from this host.
        FetchFailed: the host did not answer with a file in time.
        InvalidParameter: the URL is not one.
        MalformedBody: the data URI is not base64.
        EmptyBody: the data URI is empty.
        BodyTooLarge: there are more bytes than `max_upload_bytes`.
        Overloaded: too many pictures are being fetched.
    """
    if url[:5].lower() == "data:":
        return check_picture(await to_thread.run_sync(from_base64, url), settings.max_upload_bytes)
    rules = HostRules(settings)
    if not rules:
        raise FetchRefused(_OFF)
    with _in_progress(settings):
        try:
            async with asyncio.timeout(settings.fetch_timeout):
                return await _follow(_Url.parse(url), rules, settings.max_upload_bytes)
        except TimeoutError as error:
            raise FetchFailed(
                f"the picture did not arrive in {settings.fetch_timeout:g} seconds: send the "
                "picture itself in base64"
            ) from error


@dataclass(frozen=True)
class _Url:
    """The parts of a URL that are used; nothing parses it a second time."""

    scheme: str
    host: str
    port: int
    target: str

    @classmethod
    def parse(cls, url: str) -> "_Url":
        """Take a URL apart.

        Raises:
            InvalidParameter: it is malformed.
            FetchRefused: it is not HTTP, or has credentials.
        """
        # `urlsplit` would drop line breaks and tabs without a word.
        if len(url) > _MAX_URL_LENGTH or any(character <= " " for character in url):
            raise InvalidParameter(
                f"a picture's URL has at most {_MAX_URL_LENGTH:,} characters and no spaces"
            )
        try:
            parts = urlsplit(url)
            port, host = parts.port, parts.hostname or ""
            host = host if host.isascii() else host.encode("idna").decode()
        except ValueError as error:  # UnicodeError is one
            raise InvalidParameter(f"{url[:80]!r} is not a URL: {error}") from error
        if parts.scheme not in _PORTS:
            raise FetchRefused(
                f"{url[:80]!r} is not fetched: a picture's URL starts with https://, http:// or "
                "data:"
            )
        if not host:
            raise InvalidParameter(f"{url[:80]!r} has no host")
        if "@" in parts.netloc:
            raise FetchRefused("a picture's URL must not have a user name or a password")
        target = quote(parts.path or "/", safe="/%!$&'()*+,;=:@~[]")
        if parts.query:
            target += "?" + quote(parts.query, safe="/%!$&'()*+,;=:@~?[]")
        port = _PORTS[parts.scheme] if port is None else port
        return cls(parts.scheme, host.removesuffix("."), port, target)

    @property
    def authority(self) -> str:
        """The host as its header names it, with the port if it is not the usual one."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == _PORTS[self.scheme] else f"{host}:{self.port}"

    def join(self, location: str) -> "_Url":
        """Return where a redirect leads; raises as `parse`, and if it gives up encryption."""
        try:
            joined = urljoin(f"{self.scheme}://{self.authority}{self.target}", location)
        except ValueError as error:
            raise InvalidParameter(f"{location[:80]!r} is not a URL: {error}") from error
        url = _Url.parse(joined)
        if self.scheme == "https" and url.scheme == "http":
            raise FetchRefused("the URL redirects from https to http, which is not followed")
        return url


async def _follow(url: _Url, rules: HostRules, max_bytes: int) -> bytes:
    for _ in range(_MAX_REDIRECTS + 1):
        rules.check_host(url.scheme, url.host, url.port)
        addresses = await _resolve(url.host, url.port)
        rules.check_addresses(url.scheme, url.host, url.port, addresses)
        location, body = await _get(url, addresses, max_bytes)
        if location is None:
            return body
        url = url.join(location)
    raise FetchFailed(f"the URL redirects more than {_MAX_REDIRECTS} times")


async def _resolve(host: str, port: int) -> list[str]:
    """Return all addresses of a host, in the system's order."""
    try:
        found = await asyncio.get_running_loop().getaddrinfo(host, port, type=SOCK_STREAM)
    except (gaierror, UnicodeError) as error:
        raise FetchFailed(f"the host {host[:80]!r} was not found") from error
    return list(dict.fromkeys(str(address[0]) for *_, address in found))


async def _get(url: _Url, addresses: list[str], max_bytes: int) -> tuple[str | None, bytes]:
    """Send one request; return where it redirects to, or else the body."""
    reader, writer = await _connect(url, addresses)
    try:
        return await _exchange(url, reader, writer, max_bytes)
    except h11.RemoteProtocolError as error:
        raise FetchFailed(f"{url.host[:80]!r} broke off, or does not speak HTTP") from error
    except OSError as error:
        raise FetchFailed(f"the connection to {url.host[:80]!r} broke") from error
    finally:
        writer.transport.abort()  # at once: there is nothing to send or to wait for


async def _connect(
    url: _Url, addresses: list[str]
) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """Connect to the first address that answers, with TLS in the name of the host."""
    tls, name = (_tls(), url.host) if url.scheme == "https" else (None, None)
    reason: Exception | None = None
    for address in addresses:
        try:
            async with asyncio.timeout(_CONNECT_SECONDS):
                return await asyncio.open_connection(
                    address, url.port, limit=_CHUNK, ssl=tls, server_hostname=name
                )
        except ssl.SSLError as error:
            raise FetchFailed(
                f"{url.host[:80]!r} has no valid certificate: {error.reason or error}"
            ) from error
        except OSError as error:  # TimeoutError is one
            reason = error
    raise FetchFailed(f"no connection to {url.host[:80]!r} at port {url.port}") from reason


async def _exchange(
    url: _Url, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, max_bytes: int
) -> tuple[str | None, bytes]:
    connection = h11.Connection(h11.CLIENT)
    headers = [
        ("Host", url.authority),
        ("User-Agent", f"unrolled/{VERSION}"),
        ("Accept", "image/*"),
        ("Accept-Encoding", "identity"),
        ("Connection", "close"),
    ]
    request = h11.Request(method="GET", target=url.target, headers=headers)
    for sent in (request, h11.EndOfMessage()):
        writer.write(connection.send(sent) or b"")
    body = bytearray()
    while True:
        match connection.next_event():
            case h11.NEED_DATA:
                connection.receive_data(await reader.read(_CHUNK))
            case h11.Response() as response:
                if (location := _check_response(url, response, max_bytes)) is not None:
                    return location, b""
            case h11.Data(data=data):
                body += data
                if len(body) > max_bytes:
                    raise _too_large(max_bytes)
            case h11.EndOfMessage() if not body:
                raise FetchFailed("the URL's file is empty")
            case h11.EndOfMessage():
                return None, bytes(body)
            case h11.ConnectionClosed():
                raise FetchFailed(f"{url.host[:80]!r} closed the connection without an answer")


def _check_response(url: _Url, response: h11.Response, max_bytes: int) -> str | None:
    """Check the head of a response; return where it redirects to."""
    headers = {name: value.decode("latin-1") for name, value in response.headers}
    location = headers.get(b"location")
    if response.status_code in _REDIRECTS and location is not None:
        return location
    if response.status_code != 200:
        raise FetchFailed(
            f"{url.host[:80]!r} answered {response.status_code}: the URL has to lead to a picture "
            "that needs no login"
        )
    if headers.get(b"content-encoding", "identity").lower() != "identity":
        raise FetchFailed(f"{url.host[:80]!r} sends the file compressed, as it was not asked to")
    kind = headers.get(b"content-type", "").partition(";")[0].strip().lower()
    if kind == "text/html":
        raise FetchFailed("the URL leads to a web page: give the URL of the picture file itself")
    if int(headers.get(b"content-length", 0)) > max_bytes:  # h11 has checked that it is a number
        raise _too_large(max_bytes)
    return None


def _too_large(max_bytes: int) -> BodyTooLarge:
    return BodyTooLarge(f"the URL's file is too large: at most {max_bytes / 1e6:g} MB are read")


@cache
def _tls() -> ssl.SSLContext:
    return ssl.create_default_context()


@contextmanager
def _in_progress(settings: Settings) -> Iterator[None]:
    """Count a picture while it is fetched: no more than may be in flight, or fit beside uploads."""
    room = settings.uploads_megabytes * 10**6 // settings.max_upload_bytes
    if len(_fetching) >= max(1, min(settings.queue_size, room)):
        raise Overloaded("too many pictures are being fetched by URL: try again later")
    this = object()
    _fetching.add(this)
    try:
        yield
    finally:
        _fetching.remove(this)
