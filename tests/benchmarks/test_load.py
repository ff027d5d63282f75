"""Loads are sent as asked and summarised correctly; speed itself is never asserted."""

import asyncio
import http.server
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from benchmarks import clients, overload, soak
from benchmarks.bench import ROOT, Bench
from benchmarks.closed_loop import LoadResult, Request, send_closed_loop
from benchmarks.open_loop import Response, send_open_loop
from benchmarks.overload import Health, summarise
from tests.tiny import save_finalized_captioner, save_tiny_captioner


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory) -> Bench:
    weights = save_finalized_captioner(tmp_path_factory.mktemp("weights") / "captioner")
    return Bench(
        weights,
        ROOT / "examples",
        requests=4,
        slow_rounds=1,
        soak_requests=20,
        overload_seconds=0.2,
        threads=1,
        runtime="torch",
    )


@contextmanager
def answering(status: int, **headers: str) -> Iterator[tuple[int, list[str]]]:
    """Run a server that always returns the same status; yield its port and the requests."""
    received: list[str] = []

    class Handler(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            received.append(f"{self.path} {self.headers['Content-Type']} {body.decode()}")
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name.replace("_", "-"), value)
            self.send_header("Content-Length", "2")
            self.end_headers()
            self.wfile.write(b"{}")

        def log_message(self, *_: object) -> None:
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield server.server_address[1], received
        server.shutdown()
        thread.join()


def test_every_request_of_a_closed_loop_is_sent_once():
    requests = [Request(b"%d" % number, "?beam_size=1", "image/png") for number in range(10)]
    with answering(200) as (port, received):
        load = send_closed_loop(port, requests, clients=3)
    assert sorted(received) == [f"/caption?beam_size=1 image/png {number}" for number in range(10)]
    assert len(load.latencies) == 10
    assert load.requests_per_second == 10 / load.seconds


def test_a_refused_request_is_an_error():
    with answering(503) as (port, _), pytest.raises(RuntimeError, match="503"):
        send_closed_loop(port, [Request(b"0")], clients=1)


def test_every_request_of_an_open_loop_gets_its_response():
    with answering(503, Retry_After="1") as (port, received):
        responses = asyncio.run(send_open_loop(port, [Request(b"0")] * 5, rate=100))
    assert [(response.status, response.retry_after) for response in responses] == [(503, True)] * 5
    assert len(received) == 5
    assert all(response.seconds > 0 for response in responses)


def test_an_unanswered_connection_counts_as_lost():
    with answering(200) as (port, _):
        pass
    (response,) = asyncio.run(send_open_loop(port, [Request(b"0")], rate=100))
    assert (response.status, response.retry_after) == (0, False)


def test_an_overload_is_summarised():
    responses = [Response(200, 0.4, 0.0, retry_after=False)] * 3
    responses += [
        Response(503, 0.01, 0.0, retry_after=True),
        Response(429, 0.02, 0.0, retry_after=False),
    ]
    rows = summarise(
        LoadResult((0.1, 0.1), 0.1),
        80.0,
        [*responses, Response(0, 1.0, 0.0, False)],
        Health([0.002, 0.03], 1),
    )
    values = {row["measure"]: row["value"] for row in rows}
    assert values["capacity: requests per second, 16 clients"] == pytest.approx(20)
    assert values["answered 200"] == 3
    assert values["answered 200, p99 ms"] == pytest.approx(400)
    assert values["connection lost"] == 1
    assert values["refused with Retry-After"] == "1 of 2"
    assert values["/health/live: slowest ms"] == pytest.approx(30)
    assert values["/health/live: other than 200"] == 1


@pytest.mark.slow
def test_an_overloaded_server_answers_every_request(bench: Bench):
    (table,) = overload.measure(bench)
    values = {row["measure"]: row["value"] for row in table.rows}
    counts = [value for name, value in values.items() if name in ("answered 200", "answered 429")]
    assert sum(counts) == values["offered: requests"]
    assert values["/health/live: other than 200"] == 0


@pytest.mark.slow
def test_both_servers_are_compared_at_each_number_of_clients(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(clients, "_CLIENTS", (1, 2))
    (table,) = clients.measure(bench)
    assert [(row["server"], row["clients"]) for row in table.rows] == [
        ("unrolled serve", 1),
        ("baseline server", 1),
        ("unrolled serve", 2),
        ("baseline server", 2),
    ]
    for unrolled, baseline in zip(table.rows[::2], table.rows[1::2], strict=True):
        (ratio,) = unrolled["times baseline"].values
        (fast,), (slow,) = (row["requests per second"].values for row in (unrolled, baseline))
        assert ratio == pytest.approx(fast / slow)
        assert unrolled["p50 ms"] <= unrolled["p95 ms"] <= unrolled["p99 ms"]


@pytest.mark.slow
def test_a_soak_reports_memory_over_time(bench: Bench):
    (table,) = soak.measure(bench)
    assert [row["requests"] for row in table.rows] == [0, *range(2, 21, 2)]
    assert all(row["resident MB"] > 10 for row in table.rows)
    assert "grew by" in table.notes[-1]


def test_a_soak_covers_every_format_and_option(bench: Bench):
    drawn = soak.requests(bench)
    received = [next(drawn) for _ in range(300)]
    assert {request.media_type for request in received} == {"image/jpeg", "image/png", "image/webp"}
    assert len({request.query for request in received}) == 12
    assert received == [request for _, request in zip(received, soak.requests(bench), strict=False)]


def test_a_bundle_without_a_mean_picture_is_not_asked_for_image_gain(bench: Bench, tmp_path: Path):
    without_gain = replace(bench, weights=save_tiny_captioner(tmp_path / "captioner"))
    drawn = soak.requests(without_gain)
    assert not any("image_gain=true" in next(drawn).query for _ in range(100))
