"""What the examples in deploy/ say of the image and the service is true of them."""

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from app.main import create_app
from app.settings import Settings

ROOT = Path(__file__).resolve().parents[1]
DEPLOY = ROOT / "deploy"


def compose(name: str) -> dict[str, Any]:
    return yaml.safe_load((DEPLOY / name).read_text())["services"]["unrolled"]


def image(pattern: str) -> str:
    """Find what the Dockerfile says."""
    return re.search(pattern, (ROOT / "Dockerfile").read_text(), re.MULTILINE)[1]


PORT, USER = int(image(r"^EXPOSE (\d+)")), image(r"^USER (\d+)")


@pytest.fixture(scope="module")
def kinds() -> dict[str, Any]:
    parts = yaml.safe_load_all((DEPLOY / "kubernetes.yaml").read_text())
    return {part["kind"]: part for part in parts}


@pytest.fixture(scope="module")
def paths() -> set[str]:
    return set(create_app(Settings()).openapi()["paths"])


def assert_settings(variables: dict[str, str]) -> None:
    named = {name.removeprefix("UNROLLED_").lower(): value for name, value in variables.items()}
    assert named.keys() <= Settings.model_fields.keys()
    Settings(**named)


def test_compose(paths: set[str]) -> None:
    service = compose("compose.yaml")
    (ports,) = service["ports"]
    assert ports == f"8000:{PORT}"
    assert service["user"] == USER
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert service["tmpfs"][0].startswith("/tmp:")
    assert (DEPLOY / service["build"] / "Dockerfile").exists()
    (url,) = re.findall(r"http://127\.0\.0\.1:(\d+)([\w/]+)", service["healthcheck"]["test"][-1])
    assert url == (str(PORT), "/health/ready")
    assert "/health/ready" in paths
    assert_settings(service["environment"])


def test_compose_with_a_gpu() -> None:
    service = compose("compose.gpu.yaml")
    device = image(r"^ARG (DEVICE)=")
    assert service["build"]["args"] == {device: "cuda"}
    (reserved,) = service["deploy"]["resources"]["reservations"]["devices"]
    assert reserved["driver"] == "nvidia"
    assert reserved["capabilities"] == ["gpu"]
    assert_settings(service["environment"])


def test_kubernetes(kinds: dict[str, Any], paths: set[str]) -> None:
    assert kinds.keys() == {"Deployment", "Service", "HorizontalPodAutoscaler"}
    pod = kinds["Deployment"]["spec"]["template"]
    assert pod["spec"]["enableServiceLinks"] is False
    (container,) = pod["spec"]["containers"]
    (port,) = container["ports"]
    assert port["containerPort"] == PORT
    probes = {name: container[f"{name}Probe"]["httpGet"] for name in ("startup", "readiness")}
    probes["liveness"] = container["livenessProbe"]["httpGet"]
    assert {probe["port"] for probe in probes.values()} == {port["name"]}
    assert probes["liveness"]["path"] == "/health/live"
    assert probes["readiness"]["path"] == probes["startup"]["path"] == "/health/ready"
    assert {probe["path"] for probe in probes.values()} <= paths
    assert container["securityContext"]["readOnlyRootFilesystem"] is True
    assert container["securityContext"]["allowPrivilegeEscalation"] is False
    assert pod["spec"]["securityContext"]["runAsNonRoot"] is True
    assert pod["spec"]["securityContext"]["runAsUser"] == int(USER)
    assert container["resources"]["limits"]["cpu"] == container["resources"]["requests"]["cpu"]
    (mounted,) = container["volumeMounts"]
    assert mounted["name"] in {volume["name"] for volume in pod["spec"]["volumes"]}
    assert_settings({variable["name"]: variable["value"] for variable in container["env"]})


def test_kubernetes_fits_together(kinds: dict[str, Any]) -> None:
    deployment = kinds["Deployment"]
    labels = deployment["spec"]["template"]["metadata"]["labels"]
    assert deployment["spec"]["selector"]["matchLabels"] == labels
    assert kinds["Service"]["spec"]["selector"] == labels
    (port,) = kinds["Service"]["spec"]["ports"]
    assert port["targetPort"] == "http"
    scaler = kinds["HorizontalPodAutoscaler"]["spec"]
    assert scaler["scaleTargetRef"]["name"] == deployment["metadata"]["name"]
    assert "replicas" not in deployment["spec"]
    (metric,) = scaler["metrics"]
    assert metric["resource"]["name"] == "cpu"
