"""The files for clusters are what Ray and KubeRay read, and say nothing that this version does not do."""

import json
import re
import shlex
import tomllib
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml
from ray.autoscaler._private.util import prepare_config, validate_config

DEPLOY = Path(__file__).parents[2] / "deploy"


def loaded(name: str) -> Any:
    return next(yaml.safe_load_all((DEPLOY / name).read_text()))


def pods(job: Any) -> list[Any]:
    """Templates of the head's, the workers' and the submitter's pods."""
    cluster = job["spec"]["rayClusterSpec"]
    groups = [cluster["headGroupSpec"], *cluster["workerGroupSpecs"]]
    return [job["spec"]["submitterPodTemplate"], *(group["template"] for group in groups)]


def test_ray_takes_the_cluster() -> None:
    validate_config(prepare_config(loaded("cluster.yaml")))


def test_kuberay_takes_the_job() -> None:
    schema = json.loads(Path(__file__).with_name("kuberay_schema.json").read_text())
    job = loaded("kuberay.yaml")
    jsonschema.validate(job, schema)
    job["spec"]["rayClusterSpec"]["workerGroupSpecs"][0]["maxReplicass"] = 3
    with pytest.raises(jsonschema.ValidationError, match="maxReplicass"):
        jsonschema.validate(job, schema)


def test_kubernetes_takes_the_pods_and_the_policy() -> None:
    """Against the schemas of Kubernetes itself, which KubeRay's leaves out; the package is large, and not installed."""
    kubernetes = pytest.importorskip("kubernetes_validate", reason="pip install kubernetes-validate, 108 MB")
    job, policy = yaml.safe_load_all((DEPLOY / "kuberay.yaml").read_text())
    version = kubernetes.latest_version()
    kubernetes.validate(policy, version, strict=True)
    for template in pods(job):
        metadata = {"name": "x", **template["metadata"]}
        pod = {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": template["spec"]}
        kubernetes.validate(pod, version, strict=True)
        template["spec"]["containers"][0]["imagee"] = "x"
        with pytest.raises(kubernetes.ValidationError, match="imagee"):
            kubernetes.validate(pod, version, strict=True)


def test_every_volume_that_is_mounted_is_there() -> None:
    cluster = loaded("kuberay.yaml")["spec"]["rayClusterSpec"]
    for group in (cluster["headGroupSpec"], *cluster["workerGroupSpecs"]):
        pod = group["template"]["spec"]
        named = {volume["name"] for volume in pod["volumes"]}
        assert {mount["name"] for one in pod["containers"] for mount in one["volumeMounts"]} <= named


def test_the_commands_are_those_of_this_version() -> None:
    words = shlex.split(loaded("kuberay.yaml")["spec"]["entrypoint"])
    assert words[:3] == ["python", "-m", "pipelines.cluster_batch"]
    assert (DEPLOY.parent / "pipelines" / "cluster_batch.py").exists()
    assert "runtimeEnvYAML" not in loaded("kuberay.yaml")["spec"]  # a working_dir would be imported from


def test_kubernetes_asks_for_a_token_and_lets_nobody_else_in() -> None:
    job, policy = yaml.safe_load_all((DEPLOY / "kuberay.yaml").read_text())
    assert job["spec"]["rayClusterSpec"]["authOptions"] == {"mode": "token"}
    for pod in pods(job):
        assert pod["metadata"]["labels"].items() >= policy["spec"]["podSelector"]["matchLabels"].items()
        assert pod["spec"]["automountServiceAccountToken"] is False
        assert pod["spec"]["securityContext"]["runAsNonRoot"] is True
        for container in pod["spec"]["containers"]:
            assert container["securityContext"]["allowPrivilegeEscalation"] is False
            assert container["securityContext"]["capabilities"] == {"drop": ["ALL"]}
    assert set(policy["spec"]["policyTypes"]) == {"Ingress", "Egress"}
    assert all(source["from"] for source in policy["spec"]["ingress"])


def test_machines_of_ones_own_ask_for_a_token_that_is_brought_to_them() -> None:
    cluster = loaded("cluster.yaml")
    for commands in (cluster["head_start_ray_commands"], cluster["worker_start_ray_commands"]):
        starts = [command for command in commands if "ray start" in command]
        assert starts
        assert all(command.startswith("RAY_AUTH_MODE=token ") for command in starts)
    assert {"~/.ray/auth_token": "~/.ray/auth_token"}.items() <= cluster["file_mounts"].items()
    assert any("chmod 600 ~/.ray/auth_token" in command for command in cluster["setup_commands"])


def test_examples_and_image_install_what_is_locked() -> None:
    for text in ((DEPLOY / "cluster.yaml").read_text(), (DEPLOY.parent / "Dockerfile").read_text()):
        installs = re.findall(r"pip install ([^\n]*)", text)
        assert any("--require-hashes" in install and "locks/image.txt" in install for install in installs)
        assert all("--no-deps" in install or "locks/torch.in" in install for install in installs)
    assert re.search(r"^USER 1000$", (DEPLOY.parent / "Dockerfile").read_text(), re.MULTILINE)


def test_everything_that_the_image_copies_and_installs_is_there() -> None:
    root = DEPLOY.parent
    text = (root / "Dockerfile").read_text()
    ignored = (root / ".dockerignore").read_text().split()
    named = re.findall(r"^COPY (\S+) \S+$", text, re.MULTILINE) + re.findall(r"--requirement (\S+)", text)
    assert {"locks", ".", "locks/image.txt", "locks/torch.in"} <= set(named)
    project = tomllib.loads((root / "pyproject.toml").read_text())["project"]
    for path in [*named, "pyproject.toml", "vidrestore", "pipelines", project["readme"], *project["license-files"]]:
        assert (root / path).exists(), path
        assert path.partition("/")[0] not in ignored, path
    locked = (root / "locks" / "image.txt").read_text()
    for builder in ("hatchling", "editables"):  # --no-build-isolation takes them from the lock
        assert re.search(rf"^{builder}==", locked, re.MULTILINE)
