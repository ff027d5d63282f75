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
        ("WEIGHTS", ""),
        ("THREADS", "0"),
        ("MAX_UPLOAD_BYTES", "20MB"),
        ("MAX_PIXELS", "100000000"),
        ("QUEUE_SIZE", "0"),
        ("LOG_FORMAT", "xml"),
        ("LOG_LEVEL", "loud"),
        ("FETCH_HOSTS", "https://example.org"),
        ("FETCH_HOSTS", "*"),
        ("FETCH_PRIVATE_HOSTS", "fd00::5"),
        ("FETCH_TIMEOUT", "0"),
        ("CORS_ORIGINS", "example.org"),
        ("API_KEYS", ""),
        ("API_KEYS", "short"),
        ("API_KEYS_FILE", "/nowhere/keys"),
        ("TRUSTED_PROXIES", "proxy.example.org"),
        ("TRUSTED_PROXIES", "10.0.0.1/8"),
        ("ROOT_PATH", "captions"),
        ("ROOT_PATH", "/a b"),
        ("ROOT_PATH", "//captions"),
        ("KEEP_ALIVE", "0"),
        ("SHUTDOWN_DELAY", "-1"),
        ("CORS_ORIGINS", "https://example.org/path"),
    ],
)
def test_an_invalid_value_is_refused_by_name(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str
) -> None:
    monkeypatch.setenv(f"UNROLLED_{name}", value)
    with pytest.raises(SettingsError, match=f"UNROLLED_{name}="):
        read_settings()


def test_no_message_shows_a_key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("UNROLLED_API_KEYS", "a-key-that-is-valid, a key that is not")
    with pytest.raises(SettingsError, match=r"UNROLLED_API_KEYS=\.\.\.: ") as refused:
        read_settings()
    assert "valid," not in str(refused.value)
    assert "that is" not in str(refused.value)
    monkeypatch.setenv("UNROLLED_API_KEYS", "a-key-that-is-valid")
    assert "a-key" not in repr(read_settings())


def test_a_root_path_may_end_with_a_slash() -> None:
    assert Settings(root_path="/captions/").root_path == "/captions"
    assert not Settings(root_path="/").root_path


def test_settings_are_frozen() -> None:
    with pytest.raises(ValidationError):
        Settings().port = 1


def test_a_misspelt_variable_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("UNROLLED_DATA", "data")
    read_settings()
    monkeypatch.setenv("UNROLLED_PROT", "9000")
    with pytest.raises(SettingsError, match="unknown setting UNROLLED_PROT"):
        read_settings()


@pytest.mark.parametrize(
    ("name", "meant"),
    [("UNROLLED_PROT", "UNROLLED_PORT"), ("UNROLLED_QUEUESIZE", "UNROLLED_QUEUE_SIZE")],
)
def test_a_misspelt_variable_gets_a_suggestion(
    monkeypatch: pytest.MonkeyPatch, name: str, meant: str
) -> None:
    monkeypatch.setenv(name, "1")
    with pytest.raises(SettingsError, match=rf"{name}: did you mean {meant}\? The settings are "):
        read_settings()


def test_nothing_is_suggested_for_a_name_like_no_setting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("UNROLLED_XYZZY_QUX", "1")
    with pytest.raises(SettingsError, match="UNROLLED_XYZZY_QUX: the settings are "):
        read_settings()


def test_the_variables_of_a_kubernetes_service_change_nothing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for service in ("UNROLLED", "UNROLLED_HTTP"):
        for name, value in {
            "SERVICE_HOST": "10.96.7.1",
            "SERVICE_PORT": "80",
            "SERVICE_PORT_HTTP": "80",
            "PORT": "tcp://10.96.7.1:80",
            "PORT_80_TCP": "tcp://10.96.7.1:80",
            "PORT_80_TCP_PROTO": "tcp",
            "PORT_80_TCP_PORT": "80",
            "PORT_80_TCP_ADDR": "10.96.7.1",
        }.items():
            monkeypatch.setenv(f"{service}_{name}", value)
    assert read_settings() == Settings()
    assert read_settings().port == 8000


def test_the_docs_describe_every_setting_as_its_field_does() -> None:
    page = (Path(__file__).parents[2] / "docs" / "api.md").read_text()
    for name, field in Settings.model_fields.items():
        (row,) = [
            row for row in page.splitlines() if row.startswith(f"| `UNROLLED_{name.upper()}`")
        ]
        assert row.endswith(f" | {field.description} |")
