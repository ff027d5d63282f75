import json
import logging

import pytest
import structlog

from app.logs import configure_logs


def test_our_events_and_those_of_libraries_are_json_lines(
    capsys: pytest.CaptureFixture[str],
) -> None:
    configure_logs("json", "info")
    with structlog.contextvars.bound_contextvars(request_id="mine"):
        structlog.get_logger("app").info("request", path="/a\nb")
        logging.getLogger("some.library").warning("%d parts", 3)
        logging.getLogger("some.library").debug("too quiet")
    ours, theirs = map(json.loads, capsys.readouterr().err.splitlines())
    assert ours.items() >= {"event": "request", "path": "/a\nb", "request_id": "mine"}.items()
    assert theirs.items() >= {"event": "3 parts", "level": "warning"}.items()
    assert ours["timestamp"].endswith("Z")


@pytest.mark.parametrize("log_format", ["json", "console"])
def test_a_traceback_does_not_show_local_variables(
    capsys: pytest.CaptureFixture[str], log_format: str
) -> None:
    configure_logs(log_format, "info")
    picture = "bytes of a photograph"
    try:
        raise RuntimeError(f"a picture of {len(picture)}")
    except RuntimeError:
        structlog.get_logger("app").exception("broken")
    shown = capsys.readouterr().err
    assert "RuntimeError: a picture of 21" in shown
    assert "test_logs.py" in shown
    assert "'bytes of a photograph'" not in shown


def test_uvicorns_access_log_is_off() -> None:
    configure_logs("json", "info")
    # uvicorn checks this before it logs a request.
    assert not logging.getLogger("uvicorn.access").hasHandlers()
    assert logging.getLogger("uvicorn.error").hasHandlers()
