"""That loads are sent as they are told, and summed up rightly; how fast anything is, never."""

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
from benchmarks.load import Load, Request, send
from benchmarks.open_loop import Answer, offer
from benchmarks.overload import Health, summarise
from tests.tiny import save_finalized_captioner


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
    """A server that always gives the same answer, and tells what it was asked."""
    asked: list[str] = []

    class Handler(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            asked.append(f"{self.path} {self.headers['Content-Type']} {body.decode()}")
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
        yield server.server_address[1], asked
        server.shutdown()
        thread.join()


def test_every_request_is_sent_once():
    requests = [Request(b"%d" % number, "?beam_size=1", "image/png") for number in range(10)]
    with answering(200) as (port, asked):
        load = send(port, requests, clients=3)
    assert sorted(asked) == [f"/caption?beam_size=1 image/png {number}" for number in range(10)]
    assert len(load.latencies) == 10
    assert load.requests_a_second == 10 / load.seconds


def test_a_refused_request_is_an_error():
    with answering(503) as (port, _), pytest.raises(RuntimeError, match="503"):
        send(port, [Request(b"0")], clients=1)


def test_arrivals_tell_what_came_of_them():
    with answering(503, Retry_After="1") as (port, asked):
        answers = asyncio.run(offer(port, [Request(b"0")] * 5, rate=100))
    assert [(answer.status, answer.retry_after) for answer in answers] == [(503, True)] * 5
    assert len(asked) == 5
    assert all(answer.seconds > 0 for answer in answers)


def test_a_connection_that_nobody_answers_is_lost():
    with answering(200) as (port, _):
        pass
    (answer,) = asyncio.run(offer(port, [Request(b"0")], rate=100))
    assert (answer.status, answer.retry_after) == (0, False)


def test_an_overload_is_summed_up():
    answers = [Answer(200, 0.4, 0.0, retry_after=False)] * 3
    answers += [Answer(503, 0.01, 0.0, retry_after=True), Answer(429, 0.02, 0.0, retry_after=False)]
    rows = summarise(
        Load((0.1, 0.1), 0.1),
        80.0,
        [*answers, Answer(0, 1.0, 0.0, False)],
        Health([0.002, 0.03], 1),
    )
    found = {row["what"]: row["value"] for row in rows}
    assert found["capacity: requests a second, 16 clients"] == pytest.approx(20)
    assert found["answered 200"] == 3
    assert found["answered 200, p99 ms"] == pytest.approx(400)
    assert found["connection lost"] == 1
    assert found["refused with Retry-After"] == "1 of 2"
    assert found["/health/live: slowest ms"] == pytest.approx(30)
    assert found["/health/live: other than 200"] == 1


def test_an_overloaded_server_answers_every_request(bench: Bench):
    (table,) = overload.measure(bench)
    found = {row["what"]: row["value"] for row in table.rows}
    counts = [value for what, value in found.items() if what in ("answered 200", "answered 429")]
    assert sum(counts) == found["offered: requests"]
    assert found["/health/live: other than 200"] == 0


def test_both_servers_are_loaded_in_turn(bench: Bench, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(clients, "_CLIENTS", (1, 2))
    (table,) = clients.measure(bench)
    assert [(row["server"], row["clients"]) for row in table.rows] == [
        ("unrolled serve", 1),
        ("plain FastAPI", 1),
        ("unrolled serve", 2),
        ("plain FastAPI", 2),
    ]
    for ours, baseline_server in zip(table.rows[::2], table.rows[1::2], strict=True):
        (ratio,) = ours["times plain"].values
        (fast,), (beside,) = (row["requests a second"].values for row in (ours, baseline_server))
        assert ratio == pytest.approx(fast / beside)
        assert ours["p50 ms"] <= ours["p95 ms"] <= ours["p99 ms"]


def test_a_soaked_server_tells_its_memory(bench: Bench):
    (table,) = soak.measure(bench)
    assert [row["requests"] for row in table.rows] == [0, *range(2, 21, 2)]
    assert all(row["resident MB"] > 10 for row in table.rows)
    assert "grew by" in table.notes[-1]


def test_a_soak_asks_for_everything(bench: Bench):
    drawn = soak.requests(bench)
    asked = [next(drawn) for _ in range(300)]
    assert {request.media_type for request in asked} == {"image/jpeg", "image/png", "image/webp"}
    assert len({request.query for request in asked}) == 12
    assert asked == [request for _, request in zip(asked, soak.requests(bench), strict=False)]


def test_no_grounding_is_asked_of_a_bundle_without(bench: Bench, tmp_path: Path):
    baseline_server = replace(bench)
    baseline_server.captioner.mean_context = None
    drawn = soak.requests(baseline_server)
    assert not any("image_gain=true" in next(drawn).query for _ in range(100))
