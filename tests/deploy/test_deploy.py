"""What the examples in deploy/ say of the image and the service is true of them."""

import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from app.main import create_app
from app.settings import Settings

ROOT = Path(__file__).resolve().parents[2]
DEPLOY = ROOT / "deploy"


def compose(name: str) -> dict[str, Any]:
    return yaml.safe_load((DEPLOY / name).read_text())["services"]["unrolled"]


def image(pattern: str) -> str:
    """Find what the Dockerfile says."""
    return re.search(pattern, (ROOT / "Dockerfile").read_text(), re.MULTILINE)[1]


PORT, USER = int(image(r"^EXPOSE (\d+)")), image(r"^USER (\d+)")


KUBERNETES = DEPLOY / "kubernetes"


@pytest.fixture(scope="module")
def kinds() -> dict[str, Any]:
    parts = (yaml.safe_load(path.read_text()) for path in KUBERNETES.glob("*.yaml"))
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
    assert kinds.keys() == {
        "Deployment", "Service", "HorizontalPodAutoscaler", "PodDisruptionBudget", "NetworkPolicy",
        "ServiceMonitor", "Kustomization",
    }  # fmt: skip
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
    variables = {variable["name"]: variable["value"] for variable in container["env"]}
    assert_settings(variables)
    grace = pod["spec"]["terminationGracePeriodSeconds"]
    delay = float(variables["UNROLLED_SHUTDOWN_DELAY"])
    assert grace > delay + float(variables["UNROLLED_SHUTDOWN_TIMEOUT"])


def test_kubernetes_fits_together(kinds: dict[str, Any], paths: set[str]) -> None:
    deployment = kinds["Deployment"]
    labels = deployment["spec"]["template"]["metadata"]["labels"]
    assert deployment["spec"]["selector"]["matchLabels"] == labels
    assert kinds["Service"]["spec"]["selector"] == labels
    (port,) = kinds["Service"]["spec"]["ports"]
    assert port["targetPort"] == "http"
    scaler = kinds["HorizontalPodAutoscaler"]["spec"]
    assert scaler["scaleTargetRef"]["name"] == deployment["metadata"]["name"]
    assert "replicas" not in deployment["spec"]
    assert kinds["PodDisruptionBudget"]["spec"]["selector"]["matchLabels"] == labels
    policy = kinds["NetworkPolicy"]["spec"]
    assert policy["podSelector"]["matchLabels"] == labels
    (rule,) = policy["ingress"]
    (container,) = deployment["spec"]["template"]["spec"]["containers"]
    names = [one["name"] for one in container["ports"]]
    assert [one["port"] for one in rule["ports"]] == names
    monitor = kinds["ServiceMonitor"]["spec"]
    assert (
        monitor["selector"]["matchLabels"].items() <= kinds["Service"]["metadata"]["labels"].items()
    )
    (endpoint,) = monitor["endpoints"]
    assert (endpoint["port"], endpoint["path"]) == (port["name"], "/metrics")
    assert "/metrics" in paths
    (metric,) = scaler["metrics"]
    assert metric["resource"]["name"] == "cpu"


def test_kubernetes_knows_every_field(kinds: dict[str, Any]) -> None:
    validator = pytest.importorskip("kubernetes_validate", reason="needs the extra `development`")
    others = {"Kustomization", "ServiceMonitor"}  # not Kubernetes's own
    for kind in kinds.keys() - others:
        validator.validate(kinds[kind], validator.latest_version(), strict=True)
    misspelt = kinds["Service"] | {"specs": {}}
    with pytest.raises(validator.ValidationError):
        validator.validate(misspelt, validator.latest_version(), strict=True)


def test_the_kustomization_has_every_file(kinds: dict[str, Any]) -> None:
    listed = set(kinds["Kustomization"]["resources"])
    files = {path.name for path in KUBERNETES.glob("*.yaml")}
    assert files - listed == {"kustomization.yaml", "service-monitor.yaml"}
    assert listed <= files
    (image_,) = kinds["Kustomization"]["images"]
    (container,) = kinds["Deployment"]["spec"]["template"]["spec"]["containers"]
    assert container["image"].split(":")[0] == image_["name"]


@pytest.mark.skipif(shutil.which("kubectl") is None, reason="needs kubectl")
def test_kubectl_builds_it() -> None:
    command = ["kubectl", "kustomize", str(KUBERNETES)]
    built = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert built.returncode == 0, built.stderr
    parts = {part["kind"]: part for part in yaml.safe_load_all(built.stdout)}
    selector = parts["Deployment"]["spec"]["selector"]["matchLabels"]
    assert parts["Service"]["spec"]["selector"] == selector  # labels are added to no selector
