"""The settings of the service, read from `UNROLLED_*` environment variables.

Invalid values and unknown variables are refused before anything starts.
"""

import difflib
import os
import re
from ipaddress import ip_network
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import Field, SecretStr, ValidationError, field_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from app.keys import check_keys, read_keys
from model.bundle.discovery import SHIPPED_WEIGHTS
from model.config import MOST_FRAMES
from model.runtime.options import Device, PrecisionChoice, Runtime

if TYPE_CHECKING:
    from pydantic_core import ErrorDetails

__all__ = ["Settings", "SettingsError", "read_settings"]

_PREFIX = "UNROLLED_"

_ROOT_PATH = re.compile(r"(/[\w.~-]+)*", re.ASCII)

Api = Literal["openai", "ollama", "max", "azure"]

# Not settings of the service: the models' cache, and the data of training and tests.
_OTHER_VARIABLES = {"UNROLLED_CACHE", "UNROLLED_DATA", "UNROLLED_TEST_DATA"}

# What Kubernetes and Docker set for a Service or a link named `unrolled` or `unrolled-...`. They
# collide with one setting: UNROLLED_PORT=tcp://10.96.7.1:80 is not the port to listen on.
_SERVICE_LINK = re.compile(
    r"UNROLLED_(\w+_)?(SERVICE_HOST|SERVICE_PORT(_\w+)?|PORT_\d+_(TCP|UDP|SCTP)(_\w+)?|PORT|NAME)"
)
_SERVICE_ADDRESS = re.compile(r"(tcp|udp|sctp)://")


# A name, all names below a domain, or an address; with a port. IPv6 addresses are in brackets.
_HOST = re.compile(r"((\*\.)?\w[\w.-]*|\[[0-9A-Fa-f:.]+\])(:\d{1,5})?", re.ASCII)


class SettingsError(ValueError):
    """An invalid setting; the message names the variable and says what would be right."""


class Settings(BaseSettings):
    """How the service runs. `UNROLLED_PORT=9000` sets `port`, for example."""

    model_config = SettingsConfigDict(
        env_prefix=_PREFIX, frozen=True, extra="forbid", hide_input_in_errors=True
    )

    weights: Path = Field(SHIPPED_WEIGHTS, description="Folder of bundles, or a single bundle.")
    device: Device = Field(
        "auto", description="Where the models run: auto (a GPU if there is one), cpu, cuda or mps."
    )
    runtime: Runtime = Field(
        "auto",
        description="What runs the models: torch, openvino, cuda_graphs (PyTorch on an NVIDIA GPU, "
        "the captioner captured once for each size of a batch) or auto (OpenVINO on a CPU, "
        "cuda_graphs on an NVIDIA GPU, else torch).",
    )
    precision: PrecisionChoice = Field(
        "auto",
        description="Arithmetic of the captioner: auto (float16 on an NVIDIA GPU, else float32), "
        "float32, bfloat16 and float16, which are faster where the hardware supports them, or int8 "
        "on a CPU with OpenVINO; below float32 log-probabilities become less precise.",
    )
    threads: Annotated[int, Field(ge=1, le=1024)] | None = Field(
        None,
        description="CPU threads of the models; by default, the cores that the process may use.",
    )
    workers: int = Field(
        1,
        ge=1,
        le=256,
        description="Processes that share the port, each with its own models, queue and share of "
        "the cores.",
    )
    self_test: bool = Field(
        True, description="Whether a captioner is tested on its golden pictures at startup."
    )
    host: str = Field("127.0.0.1", min_length=1, description="Address to listen on.")
    port: int = Field(8000, ge=0, le=65535, description="Port to listen on; 0 picks a free one.")
    root_path: str = Field(
        "", description="Path under which a proxy offers the service, such as /captions."
    )
    trusted_proxies: Annotated[tuple[str, ...], NoDecode] = Field(
        ("127.0.0.1", "::1"),
        description="Addresses and networks of proxies, separated by commas, whose "
        "X-Forwarded-For and X-Forwarded-Proto are believed; * believes everybody.",
    )
    keep_alive: float = Field(
        75,
        gt=0,
        le=3600,
        description="Seconds for which a connection may wait for its next request; longer than a "
        "balancer in front keeps its own.",
    )
    shutdown_delay: float = Field(
        0,
        ge=0,
        le=600,
        description="Seconds between SIGTERM, when readiness becomes 503, and the end of "
        "listening.",
    )
    shutdown_timeout: float = Field(
        10,
        ge=0,
        le=3600,
        description="Seconds that requests in flight have to end, once the service does not "
        "listen any more.",
    )
    max_upload_bytes: int = Field(
        20_000_000, ge=1_000, le=1_000_000_000, description="Most bytes of a picture file."
    )
    max_pixels: int = Field(
        50_000_000,
        ge=1_000,
        # Pillow warns above this number, and refuses twice as many.
        le=89_000_000,
        description="Most pixels of a picture, checked before it is decoded.",
    )
    max_frames: int = Field(
        32,
        ge=1,
        le=MOST_FRAMES,
        description="Most frames of a clip that a request may have captioned.",
    )
    uploads_megabytes: int = Field(
        500,
        ge=1,
        description="Memory for the bodies of all requests in progress; more are refused with 503.",
    )
    client_timeout: float = Field(
        30,
        gt=0,
        le=3600,
        description="Seconds after which a client is given up that stops sending its request or "
        "reading its answer.",
    )
    queue_size: int = Field(
        # One running batch and a quarter of a waiting one: with more, the slowest wait longer, and
        # no more are answered (docs/benchmarks.md).
        20,
        ge=1,
        le=100_000,
        description="Most requests in flight; more are refused with 429.",
    )
    batch_size: int = Field(
        16, ge=1, le=1024, description="Most waiting pictures that are captioned together."
    )
    deadline: float = Field(
        30,
        gt=0,
        le=3600,
        description="Seconds after which a caption that is not ready is dropped with 503.",
    )
    text_deadline: float = Field(
        120,
        gt=0,
        le=3600,
        description="Seconds after which a text that is not written, scored or inspected is "
        "dropped with 503.",
    )
    load_language_models: Literal["on_first_use", "at_start"] = Field(
        "on_first_use", description="When language models are loaded: on_first_use or at_start."
    )
    language_models_megabytes: int = Field(
        500,
        ge=1,
        description="Memory for language models; the least recently used are evicted.",
    )
    max_tokens: int = Field(5_000, ge=1, le=10_000, description="Most tokens of a generated text.")
    max_request_tokens: int = Field(
        20_000,
        ge=1,
        le=160_000,
        description="Most tokens of all texts of a request: `n` times `max_tokens`.",
    )
    max_text_length: int = Field(
        5_000,
        ge=1,
        le=100_000,
        description="Most characters of a prompt, or of a text to score or inspect.",
    )
    max_activations: int = Field(
        200_000,
        ge=1_000,
        le=100_000_000,
        description="Most activations in a response: units times characters.",
    )
    apis: Annotated[tuple[Api, ...], NoDecode] = Field(
        ("openai", "ollama", "max", "azure"),
        description="APIs of other systems to serve beside our own, separated by commas: openai, "
        "ollama, max and azure.",
    )
    api_keys: Annotated[tuple[SecretStr, ...], NoDecode] = Field(
        (),
        description="API keys, separated by commas; with any, every request but those for health "
        "needs one.",
    )
    api_keys_file: Path | None = Field(
        None, description="File of API keys, one a line; it is read again when it changes."
    )
    metrics: bool = Field(True, description="Whether /metrics shows metrics for Prometheus.")

    fetch_hosts: Annotated[tuple[str, ...], NoDecode] = Field(
        (),
        description="Hosts from which pictures are fetched by URL, separated by commas: names, "
        "*.example.org for all below a domain, a port if not the usual one.",
    )
    fetch_private_hosts: Annotated[tuple[str, ...], NoDecode] = Field(
        (),
        description="The same for hosts in a private network, or on this machine.",
    )
    fetch_timeout: float = Field(
        10, gt=0, le=600, description="Seconds in which a picture must have been fetched by URL."
    )
    cors_origins: Annotated[tuple[str, ...], NoDecode] = Field(
        (), description="Web origins that may call from a browser, separated by commas."
    )
    log_format: Literal["json", "console"] = Field(
        "console", description="Log format: console or json."
    )
    log_level: Literal["debug", "info", "warning", "error"] = Field(
        "info", description="Least severe level to log: debug, info, warning or error."
    )

    @field_validator("weights", mode="before")
    @classmethod
    def _refuse_empty(cls, value: Any) -> Any:
        if value == "":  # an unset variable in a compose file, not the current folder
            raise ValueError("it is empty: name a folder, . for the current one, or unset it")
        return value

    @property
    def needs_api_key(self) -> bool:
        """Whether requests need an API key."""
        return bool(self.api_keys or self.api_keys_file)

    @field_validator("port", mode="before")
    @classmethod
    def _ignore_service_address(cls, value: Any) -> Any:
        if isinstance(value, str) and _SERVICE_ADDRESS.match(value):
            return cls.model_fields["port"].default
        return value

    @field_validator(
        "apis",
        "fetch_hosts",
        "fetch_private_hosts",
        "cors_origins",
        "trusted_proxies",
        mode="before",
    )
    @classmethod
    def _split_at_commas(cls, value: Any) -> Any:
        if isinstance(value, str):
            return tuple(part.strip() for part in value.split(",") if part.strip())
        return value

    @field_validator("trusted_proxies")
    @classmethod
    def _check_proxies(cls, proxies: tuple[str, ...]) -> tuple[str, ...]:
        for proxy in proxies:
            try:
                if proxy != "*":
                    ip_network(proxy)
            except ValueError as error:
                raise ValueError(
                    f"{proxy!r} is not an address or a network: write 10.0.0.7, 10.0.0.0/8 or *"
                ) from error
        return proxies

    @field_validator("root_path")
    @classmethod
    def _check_root_path(cls, path: str) -> str:
        path = path.rstrip("/")
        if not _ROOT_PATH.fullmatch(path):
            raise ValueError("is not a path: write /captions, for example")
        return path

    @field_validator("api_keys", mode="before")
    @classmethod
    def _check_api_keys(cls, value: Any) -> Any:
        if isinstance(value, str):
            return tuple(check_keys(part.strip() for part in value.split(",") if part.strip()))
        return value

    @field_validator("api_keys_file")
    @classmethod
    def _check_api_keys_file(cls, path: Path | None) -> Path | None:
        if path is not None:
            read_keys(path)
        return path

    @field_validator("fetch_hosts", "fetch_private_hosts")
    @classmethod
    def _check_hosts(cls, hosts: tuple[str, ...]) -> tuple[str, ...]:
        for host in hosts:
            if not _HOST.fullmatch(host):
                raise ValueError(
                    f"{host!r} is not a host: write example.org, *.example.org, "
                    "example.org:8443, 192.168.1.5 or [fd00::5]"
                )
        return hosts

    @field_validator("cors_origins")
    @classmethod
    def _check_origins(cls, origins: tuple[str, ...]) -> tuple[str, ...]:
        for origin in origins:
            scheme, _, rest = origin.partition("://")
            if origin != "*" and (scheme not in ("http", "https") or not rest or "/" in rest):
                raise ValueError(f"{origin!r} is not an origin: write https://example.org, or *")
        return origins


def read_settings(**overrides: Any) -> Settings:
    """Read the environment; `overrides` that are not None take precedence.

    Raises:
        SettingsError: a value is invalid, or a variable is not a setting.
    """
    known = {_PREFIX + name.upper() for name in Settings.model_fields} | _OTHER_VARIABLES
    for name in sorted(os.environ):
        if name.startswith(_PREFIX) and name not in known and not _SERVICE_LINK.fullmatch(name):
            raise SettingsError(_describe_unknown(name, known))
    try:
        return Settings(**{name: value for name, value in overrides.items() if value is not None})
    except ValidationError as error:
        raise SettingsError("; ".join(map(_describe_invalid, error.errors()))) from error


def _describe_invalid(details: "ErrorDetails") -> str:
    name = str(details["loc"][0])
    value = "..." if name == "api_keys" else details["input"]  # no message repeats a key
    return f"{_PREFIX}{name.upper()}={value!s}: {details['msg']}"


def _describe_unknown(name: str, known: set[str]) -> str:
    similar = difflib.get_close_matches(
        name.removeprefix(_PREFIX), [n[len(_PREFIX) :] for n in known]
    )
    guess = f"did you mean {_PREFIX}{similar[0]}? The" if similar else "the"
    return f"unknown setting {name}: {guess} settings are {', '.join(sorted(known))}"
