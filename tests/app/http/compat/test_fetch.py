import asyncio
import base64
import gzip
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from app.errors import (
    BodyTooLarge,
    EmptyBody,
    FetchFailed,
    FetchRefused,
    InvalidParameter,
    MalformedBody,
    Overloaded,
    ServiceError,
)
from app.http.compat import fetch, hosts
from app.http.compat.fetch import fetch_picture
from app.settings import Settings
from tests.app.photos import encoded, photo

PICTURE = encoded(photo())

PUBLIC, INTERNAL = "127.0.0.1", "127.0.0.2"

Answer = bytes | Callable[[asyncio.StreamWriter], Awaitable[None]]


@pytest.fixture(autouse=True)
def names(monkeypatch: pytest.MonkeyPatch) -> dict[str, list[str]]:
    """Names of local servers: 127.0.0.1 stands for a public address, 127.0.0.2 for another."""
    known = {"public.example": [PUBLIC], "internal.example": [INTERNAL]}

    async def resolve(host: str, port: int) -> list[str]:
        return known[host]

    monkeypatch.setattr(fetch, "_resolve", resolve)
    monkeypatch.setattr(hosts, "_is_public", lambda address: str(address) == PUBLIC)
    return known


@dataclass
class Server:
    """A server that gives its answers one after the other, and keeps the requests."""

    answers: list[Answer]
    port: int = 0
    requests: list[bytes] = field(default_factory=list)

    async def handle(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            self.requests.append(await reader.readuntil(b"\r\n\r\n"))
            answer = self.answers[(len(self.requests) - 1) % len(self.answers)]
            if isinstance(answer, bytes):
                writer.write(answer)
                await writer.drain()
            else:
                await answer(writer)
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()


@asynccontextmanager
async def serving(
    *answers: Answer, address: str = PUBLIC, tls: ssl.SSLContext | None = None
) -> AsyncIterator[Server]:
    server = Server(list(answers))
    running = await asyncio.start_server(server.handle, address, 0, ssl=tls)
    async with running:
        server.port = running.sockets[0].getsockname()[1]
        yield server
        running.close()


def response(body: bytes = PICTURE, status: str = "200 OK", **headers: str) -> bytes:
    lines = {"Content-Type": "image/png", "Content-Length": str(len(body))}
    lines |= {name.replace("_", "-").title(): value for name, value in headers.items()}
    head = "".join(f"{name}: {value}\r\n" for name, value in lines.items())
    return f"HTTP/1.1 {status}\r\n{head}\r\n".encode() + body


def redirect(location: str) -> bytes:
    return response(b"", "302 Found", location=location)


def allowing(*servers: Server, name: str = "public.example", **settings: object) -> Settings:
    listed = {"fetch_hosts": tuple(f"{name}:{server.port}" for server in servers)}
    return Settings(**({"fetch_timeout": 5} | listed | settings))


def fetched(
    *answers: Answer, path: str = "/a.png", scheme: str = "http", **settings: object
) -> tuple[bytes, Server]:
    """Fetch a picture from a server with these answers."""

    async def run() -> tuple[bytes, Server]:
        async with serving(*answers) as server:
            url = f"{scheme}://public.example:{server.port}{path}"
            return await fetch_picture(url, allowing(server, **settings)), server

    return asyncio.run(run())


def test_a_picture_is_fetched_from_a_listed_host() -> None:
    data, server = fetched(response(), path="/a%20b/ü.png?size=1&c=d e".replace(" ", "+") + "#x")
    assert data == PICTURE
    head = server.requests[0].decode()
    assert head.startswith("GET /a%20b/%C3%BC.png?size=1&c=d+e HTTP/1.1\r\n")
    lines = {line.partition(": ")[0].lower() for line in head.splitlines()[1:] if line}
    assert f"Host: public.example:{server.port}\r\n" in head
    assert "accept-encoding: identity" in head.lower()
    assert lines == {"host", "user-agent", "accept", "accept-encoding", "connection"}


def test_fetching_is_off_by_default_and_the_error_says_how_to_turn_it_on() -> None:
    with pytest.raises(FetchRefused, match="UNROLLED_FETCH_HOSTS") as raised:
        asyncio.run(fetch_picture("https://example.org/a.png", Settings()))
    assert raised.value.status == 403


def test_data_uris_need_no_permission() -> None:
    encoded_ = base64.b64encode(PICTURE).decode()
    uri = f"data:image/png;base64,{encoded_}"
    assert asyncio.run(fetch_picture(uri, Settings())) == PICTURE
    with pytest.raises(BodyTooLarge):
        asyncio.run(fetch_picture("data:," + "a" * 1_001, Settings(max_upload_bytes=1_000)))
    with pytest.raises(EmptyBody):
        asyncio.run(fetch_picture("data:image/png;base64,", Settings()))
    with pytest.raises(MalformedBody):
        asyncio.run(fetch_picture("data:image/png;base64,?", Settings()))


@pytest.mark.parametrize(
    ("url", "error"),
    [
        ("file:///etc/passwd", FetchRefused),
        ("ftp://public.example/a.png", FetchRefused),
        ("public.example/a.png", FetchRefused),
        ("https://user:secret@public.example/a.png", FetchRefused),
        ("https://@public.example/a.png", FetchRefused),
        ("https://other.example/a.png", FetchRefused),
        ("https://public.example\\@other.example/a.png", FetchRefused),
        ("https:///a.png", InvalidParameter),
        ("https://public.example:99999/a.png", InvalidParameter),
        ("https://public.example:x/a.png", InvalidParameter),
        ("https://[::1/a.png", InvalidParameter),
        ("https://public.example/a b", InvalidParameter),
        ("https://public.example/a\r\nX-Injected: 1", InvalidParameter),
        ("https://" + "ü" * 80 + ".example/", InvalidParameter),
        ("https://public.example/" + "a" * 8_000, InvalidParameter),
        ("", FetchRefused),
    ],
)
def test_what_is_not_fetched(url: str, error: type[ServiceError]) -> None:
    with pytest.raises(error):
        asyncio.run(fetch_picture(url, Settings(fetch_hosts=("public.example",))))


def test_a_private_address_is_refused_before_connecting() -> None:
    async def run() -> None:
        async with serving(response(), address=INTERNAL) as server:
            url = f"http://internal.example:{server.port}/"
            with pytest.raises(FetchRefused, match="public address"):
                await fetch_picture(url, allowing(server, name="internal.example"))
            assert not server.requests
            private = allowing(fetch_private_hosts=(f"internal.example:{server.port}",))
            assert await fetch_picture(url, private) == PICTURE

    asyncio.run(run())


def test_a_redirect_to_a_private_address_is_refused() -> None:
    async def run() -> None:
        async with serving(response(), address=INTERNAL) as internal:
            target = f"http://internal.example:{internal.port}/"
            async with serving(redirect(target)) as server:
                listed = (f"public.example:{server.port}", f"internal.example:{internal.port}")
                url = f"http://public.example:{server.port}/"
                with pytest.raises(FetchRefused, match="public address"):
                    await fetch_picture(url, allowing(fetch_hosts=listed))
                with pytest.raises(FetchRefused, match="UNROLLED_FETCH_HOSTS"):
                    await fetch_picture(url, allowing(server))
            assert not internal.requests

    asyncio.run(run())


def test_a_name_that_changes_its_address_is_connected_to_where_it_was_checked(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    answers = [[PUBLIC], [INTERNAL]]

    async def resolve(host: str, port: int) -> list[str]:
        return answers.pop(0)

    monkeypatch.setattr(fetch, "_resolve", resolve)
    data, server = fetched(response())
    assert data == PICTURE
    assert len(server.requests) == 1
    assert answers == [[INTERNAL]]  # asked once only


def test_every_redirect_is_resolved_and_checked_anew(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    answers = [[PUBLIC], [INTERNAL]]

    async def resolve(host: str, port: int) -> list[str]:
        return answers.pop(0)

    monkeypatch.setattr(fetch, "_resolve", resolve)
    with pytest.raises(FetchRefused, match="public address"):
        fetched(redirect("/b.png"), response())


def test_redirects_are_followed_a_few_times() -> None:
    data, server = fetched(redirect("b/c.png?d"), redirect("/e"), redirect("?f"), response())
    assert data == PICTURE
    targets = [request.split()[1] for request in server.requests]
    assert targets == [b"/a.png", b"/b/c.png?d", b"/e", b"/e?f"]
    with pytest.raises(FetchFailed, match="more than 3 times"):
        fetched(redirect("/again"))


@pytest.mark.parametrize("location", ["file:///etc/passwd", "http://u:p@public.example/"])
def test_a_redirect_leads_only_to_what_could_be_asked_for(location: str) -> None:
    with pytest.raises(FetchRefused):
        fetched(redirect(location))


async def endless(writer: asyncio.StreamWriter) -> None:
    writer.write(b"HTTP/1.1 200 OK\r\n\r\n")
    while True:
        writer.write(bytes(10_000))
        await writer.drain()


async def endless_headers(writer: asyncio.StreamWriter) -> None:
    writer.write(b"HTTP/1.1 200 OK\r\n")
    while True:
        writer.write(b"X: " + b"a" * 5_000 + b"\r\n")
        await writer.drain()


async def slow(writer: asyncio.StreamWriter) -> None:
    writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n")
    while True:
        writer.write(b"a")
        await writer.drain()
        await asyncio.sleep(0.05)


async def chunked(writer: asyncio.StreamWriter) -> None:
    writer.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
    for start in range(0, len(PICTURE), 100):
        piece = PICTURE[start : start + 100]
        writer.write(f"{len(piece):x}\r\n".encode() + piece + b"\r\n")
    writer.write(b"0\r\n\r\n")


def test_a_picture_may_come_in_chunks_or_end_with_the_connection() -> None:
    assert fetched(chunked)[0] == PICTURE
    assert fetched(b"HTTP/1.0 200 OK\r\n\r\n" + PICTURE)[0] == PICTURE


@pytest.mark.parametrize(
    "answer", [response(bytes(1_001)), endless, response(content_length="99999999")]
)
def test_too_many_bytes_are_refused(answer: Answer) -> None:
    with pytest.raises(BodyTooLarge):
        fetched(answer, max_upload_bytes=1_000)


def test_a_slow_picture_is_given_up_in_time() -> None:
    with pytest.raises(FetchFailed, match=r"0\.3 seconds"):
        fetched(slow, fetch_timeout=0.3)


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        (response(status="404 Not Found"), "404"),
        (response(status="304 Not Modified"), "304"),
        (response(b"<html>", content_type="text/html; charset=utf-8"), "web page"),
        (response(gzip.compress(PICTURE), content_encoding="gzip"), "compressed"),
        (response(b""), "empty"),
        (response(content_length="9999"), "broke off"),
        (response(content_length="many"), "HTTP"),
        (endless_headers, "HTTP"),
        (b"SSH-2.0-OpenSSH_9.6\r\n", "HTTP"),
        (b"", "broke off|closed"),
    ],
)
def test_an_answer_that_is_no_picture_is_an_error(answer: Answer, message: str) -> None:
    with pytest.raises(FetchFailed, match=message):
        fetched(answer)


def test_no_connection() -> None:
    async def run() -> None:
        async with serving(response()) as server:
            pass
        with pytest.raises(FetchFailed, match="no connection"):
            await fetch_picture(f"http://public.example:{server.port}/", allowing(server))

    asyncio.run(run())


def test_the_next_address_is_tried(names: dict[str, list[str]], monkeypatch) -> None:
    names["public.example"] = ["127.0.0.3", PUBLIC]
    monkeypatch.setattr(hosts, "_is_public", lambda _: True)
    assert fetched(response())[0] == PICTURE


def test_a_name_that_does_not_exist(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.undo()
    settings = Settings(fetch_hosts=("*.invalid",))
    with pytest.raises(FetchFailed, match="not found"):
        asyncio.run(fetch_picture("http://nowhere.invalid/", settings))


def test_real_names_and_addresses_are_checked_without_any_injection(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.undo()

    async def run() -> None:
        async with serving(response()) as server:
            for host in ("localhost", "127.0.0.1", "2130706433"):
                url = f"http://{host}:{server.port}/"
                with pytest.raises(FetchRefused, match="public address"):
                    await fetch_picture(url, allowing(server, name=host))
            private = (f"localhost:{server.port}",)
            url = f"http://localhost:{server.port}/"
            assert await fetch_picture(url, Settings(fetch_private_hosts=private)) == PICTURE

    asyncio.run(run())


def test_only_so_many_pictures_are_fetched_at_once() -> None:
    async def run() -> None:
        async with serving(slow) as server:
            settings = allowing(server, queue_size=2, fetch_timeout=0.5)
            url = f"http://public.example:{server.port}/"
            three = [fetch_picture(url, settings) for _ in range(3)]
            errors = await asyncio.gather(*three, return_exceptions=True)
            assert sorted(type(error).__name__ for error in errors) == [
                "FetchFailed", "FetchFailed", "Overloaded",
            ]  # fmt: skip
            with pytest.raises(FetchFailed):  # the places are free again
                await fetch_picture(url, settings)

    asyncio.run(run())
    assert Overloaded.status == 429


def test_no_proxy_is_used(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    assert fetched(response())[0] == PICTURE


@pytest.fixture
def certificate(tmp_path: Path) -> Path:
    """A certificate for public.example, with its key."""
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "public.example")])
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("public.example")]), False)
        .sign(key, hashes.SHA256())
    )
    path = tmp_path / "server.pem"
    path.write_bytes(
        made.public_bytes(serialization.Encoding.PEM)
        + key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )
    return path


def test_tls_checks_the_name_and_not_the_address(
    names: dict[str, list[str]], certificate: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    names["other.example"] = [PUBLIC]
    serving_tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    serving_tls.load_cert_chain(certificate)
    asked: list[str] = []
    serving_tls.sni_callback = lambda _socket, name, _context: asked.append(name)
    trusting = ssl.create_default_context(cafile=str(certificate))

    async def run() -> None:
        async with serving(response(), tls=serving_tls) as server:
            url = f"https://public.example:{server.port}/"
            with pytest.raises(FetchFailed, match="certificate"):  # not one of the system's
                await fetch_picture(url, allowing(server))
            monkeypatch.setattr(fetch, "_tls", lambda: trusting)
            assert await fetch_picture(url, allowing(server)) == PICTURE
            assert asked[-1] == "public.example"
            other = allowing(server, name="other.example")
            with pytest.raises(FetchFailed, match="certificate"):
                await fetch_picture(f"https://other.example:{server.port}/", other)

    asyncio.run(run())


@pytest.mark.parametrize("location", ["http://[::1", "//[", "http://[x]/", "http://a:b/", "/ b"])
def test_a_redirect_to_what_is_no_url_is_refused(location: str) -> None:
    with pytest.raises((InvalidParameter, FetchRefused)):
        fetched(redirect(location))
