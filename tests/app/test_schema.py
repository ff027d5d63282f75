"""Thousands of requests made from the OpenAPI document, valid and invalid: none is answered by 5xx.

Needs the extra `fuzzing`.
"""

from collections import Counter
from contextlib import suppress
from pathlib import Path

import pytest

from tests.app.answers import JPEG
from tests.app.servers import in_thread

schemathesis = pytest.importorskip("schemathesis", reason="needs the extra `fuzzing`")

CASES = 2_000


@pytest.mark.slow
@pytest.mark.filterwarnings("default")  # of packages that only this test uses
def test_no_request_is_answered_by_5xx(weights: Path) -> None:
    from hypothesis import HealthCheck, Phase, given, settings, strategies
    from hypothesis.errors import Unsatisfiable
    from schemathesis.generation import GenerationMode

    schemathesis.openapi.media_type("image/*", strategies.sampled_from([JPEG, JPEG[:99], b""]))
    statuses: Counter[int] = Counter()
    with in_thread(weights, max_tokens=20) as service:
        document = f"http://127.0.0.1:{service.port}/openapi.json"
        operations = [o.ok() for o in schemathesis.openapi.from_url(document).get_all_operations()]
        posts = [operation for operation in operations if operation.method == "post"]
        for operation in operations:
            for mode in GenerationMode:

                @settings(
                    max_examples=CASES // len(posts) // len(GenerationMode) + 10,
                    derandomize=True,
                    database=None,
                    deadline=None,
                    phases=[Phase.generate],
                    suppress_health_check=list(HealthCheck),
                )
                @given(case=operation.as_strategy(generation_mode=mode))
                def check(case: "schemathesis.Case") -> None:
                    response = case.call()
                    statuses[response.status_code] += 1
                    assert response.status_code < 500, case.as_curl_command()

                with suppress(Unsatisfiable):  # nothing can be wrong where nothing is sent
                    check()
    print(dict(sorted(statuses.items())))  # noqa: T201
    assert statuses.total() >= CASES
