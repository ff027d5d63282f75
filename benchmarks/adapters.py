"""What another system's API costs over `POST /caption`, with the same picture on one server.

Every endpoint gets the picture in base64 inside JSON where it takes JSON, so that what is compared
is the adapter and not the upload. The requests alternate, each round with another photograph.
"""

import base64
import http.client
import json
from collections.abc import Callable, Mapping
from functools import partial
from itertools import cycle
from typing import Any

from benchmarks.bench import Bench
from benchmarks.report import Row, Sample, Table
from benchmarks.server import running_server
from benchmarks.timing import interleave, seconds

__all__ = ["measure"]

_JSON = {"Content-Type": "application/json"}
_BINARY = {"Content-Type": "application/octet-stream"}

_OURS = "/caption"


def _chat(uri: str) -> dict[str, Any]:
    part = {"type": "image_url", "image_url": {"url": uri}}
    return {"messages": [{"role": "user", "content": [{"type": "text", "text": "?"}, part]}]}


def _responses(uri: str) -> dict[str, Any]:
    return {"input": [{"role": "user", "content": [{"type": "input_image", "image_url": uri}]}]}


def _generate(uri: str) -> dict[str, Any]:
    picture = uri.partition(",")[2]
    return {"model": "captioner", "images": [picture], "stream": False}


# By path: the JSON of a request for a picture's data URI; None for the picture itself as the body.
_REQUESTS: Mapping[str, Callable[[str], dict[str, Any]] | None] = {
    _OURS: lambda uri: {"image": uri},
    "/v1/chat/completions": _chat,
    "/v1/responses": _responses,
    "/api/generate": _generate,
    "/vision/v3.2/describe": None,
}


def measure(bench: Bench) -> list[Table]:
    """Time one client's requests for a caption by each API that the server has."""
    with running_server(bench) as server:
        served = json.loads(_send(server.client, "GET", "/openapi.json"))["paths"]
        calls: dict[str, Callable[[], float]] = {
            path: seconds(partial(_caption_next, server.client, path, cycle(_bodies(bench, path))))
            for path in _REQUESTS
            if path in served
        }
        timed = interleave(calls, rounds=bench.requests, warmups=2 * bench.warmups)
    ours = timed[_OURS]
    rows: list[Row] = []
    for path, values in timed.items():
        row: dict[str, str | Sample] = {
            "endpoint": f"POST {path}",
            "ms": Sample(tuple(1000 * value for value in values)),
        }
        if path != _OURS:
            pairs = zip(values, ours, strict=True)
            row["ms over /caption"] = Sample(tuple(1000 * (one - own) for one, own in pairs))
        rows.append(row)
    notes = [
        f"One client, one persistent connection; median [quartiles] of {bench.requests} requests "
        "of each kind in turn, each round with the same photograph for all. The difference is that "
        "of the two requests of a round.",
        "Pictures are in base64 in JSON, except for /vision/v3.2/describe, which takes the file.",
    ]
    return [Table("Other systems' APIs over POST /caption", rows, notes)]


def _bodies(bench: Bench, path: str) -> list[bytes]:
    make = _REQUESTS[path]
    if make is None:
        return bench.photographs
    uris = (f"data:image/jpeg;base64,{base64.b64encode(p).decode()}" for p in bench.photographs)
    return [json.dumps(make(uri)).encode() for uri in uris]


def _caption_next(client: http.client.HTTPConnection, path: str, bodies: "cycle[bytes]") -> None:
    headers = _BINARY if _REQUESTS[path] is None else _JSON
    _send(client, "POST", path, next(bodies), headers)


def _send(
    client: http.client.HTTPConnection,
    method: str,
    path: str,
    body: bytes | None = None,
    headers: Mapping[str, str] | None = None,
) -> bytes:
    client.request(method, path, body, dict(headers or {}))
    response = client.getresponse()
    answer = response.read()
    if response.status != 200:
        raise RuntimeError(f"{method} {path} returned {response.status}: {answer.decode()}")
    return answer
