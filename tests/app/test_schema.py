"""Thousands of requests made from the OpenAPI document, valid and invalid: none is answered by 5xx.

Needs the extra `fuzzing`: pytest -s tests/app/test_schema.py, which also prints what was answered.
"""

import base64
from collections import Counter
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from tests.app.answers import JPEG
from tests.app.servers import in_thread

schemathesis = pytest.importorskip("schemathesis", reason="needs the extra `fuzzing`")

CASES = 2_000
BASE64 = base64.b64encode(JPEG).decode()


def send_generated(operation: Any, valid: bool, count: int) -> Counter[int]:
    """Send requests for an operation, and return how many were answered by each status."""
    from hypothesis import HealthCheck, Phase, given, settings
    from hypothesis.errors import Unsatisfiable
    from schemathesis.generation import GenerationMode

    mode = GenerationMode.POSITIVE if valid else GenerationMode.NEGATIVE
    statuses: Counter[int] = Counter()

    @settings(
        max_examples=count,
        derandomize=True,
        database=None,
        deadline=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(case=operation.as_strategy(generation_mode=mode))
    def send(case: Any) -> None:
        if valid and isinstance(case.body, dict):  # what no generator guesses
            known = {"model": "verse", "image": BASE64}
            case.body |= {name: known[name] for name in known.keys() & case.body}
        response = case.call()
        statuses[response.status_code] += 1
        assert response.status_code < 500, case.as_curl_command()

    with suppress(Unsatisfiable):  # nothing can be wrong where nothing is sent
        send()
    return statuses


@pytest.mark.slow
@pytest.mark.filterwarnings("default")  # of packages that only this test uses
def test_no_request_is_answered_by_5xx(weights: Path) -> None:
    from hypothesis import strategies

    schemathesis.openapi.media_type("image/*", strategies.sampled_from([JPEG, JPEG[:99], b""]))
    statuses: Counter[int] = Counter()
    with in_thread(weights, max_tokens=20) as service:
        document = f"http://127.0.0.1:{service.port}/openapi.json"
        operations = [o.ok() for o in schemathesis.openapi.from_url(document).get_all_operations()]
        count = CASES // sum(2 * (operation.method == "post") for operation in operations) + 10
        for operation in operations:
            for valid in (True, False):
                statuses += send_generated(operation, valid, count)
    print(f"{statuses.total()} requests by status: {dict(sorted(statuses.items()))}")  # noqa: T201
    assert statuses.total() >= CASES
