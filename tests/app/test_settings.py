from pathlib import Path

import pytest
from pydantic import ValidationError

from app.settings import Settings, SettingsError, read_settings


def test_defaults() -> None:
    settings = Settings()
    assert settings.weights == Path(__file__).parents[2] / "weights"
    assert (settings.host, settings.port) == ("127.0.0.1", 8000)
    assert settings.cors_origins == ()


def test_arguments_take_precedence_over_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("UNROLLED_PORT", "9000")
    monkeypatch.setenv("UNROLLED_CORS_ORIGINS", "https://a.org, http://localhost:3000")
    assert read_settings(port=None).port == 9000
    assert read_settings(port=9001).port == 9001
    assert read_settings().cors_origins == ("https://a.org", "http://localhost:3000")


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("DEVICE", "gpu"),
        ("PORT", "65536"),
        ("PORT", ""),
        ("HOST", ""),
        ("THREADS", "0"),
        ("MAX_UPLOAD_BYTES", "20MB"),
        ("MAX_PIXELS", "100000000"),
        ("QUEUE_SIZE", "0"),
        ("LOG_FORMAT", "xml"),
        ("LOG_LEVEL", "loud"),
        ("CORS_ORIGINS", "example.org"),
        ("CORS_ORIGINS", "https://example.org/path"),
    ],
)
def test_an_invalid_value_is_refused_by_name(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str
) -> None:
    monkeypatch.setenv(f"UNROLLED_{name}", value)
    with pytest.raises(SettingsError, match=f"UNROLLED_{name}="):
        read_settings()


def test_settings_are_frozen() -> None:
    with pytest.raises(ValidationError):
        Settings().port = 1


def test_a_misspelt_variable_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("UNROLLED_DATA", "data")
    read_settings()
    monkeypatch.setenv("UNROLLED_PROT", "9000")
    with pytest.raises(SettingsError, match="unknown setting UNROLLED_PROT"):
        read_settings()


def test_the_docs_describe_every_setting_as_its_field_does() -> None:
    page = (Path(__file__).parents[2] / "docs" / "api.md").read_text()
    for name, field in Settings.model_fields.items():
        (row,) = [
            row for row in page.splitlines() if row.startswith(f"| `UNROLLED_{name.upper()}`")
        ]
        assert row.endswith(f" | {field.description} |")
