"""The examples of clusters are what Ray and KubeRay read, and say nothing that this version does not do."""

import json
import shlex
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml
from ray.autoscaler._private.util import prepare_config, validate_config

EXAMPLES = Path(__file__).parents[2] / "examples"


def loaded(name: str) -> Any:
    return yaml.safe_load((EXAMPLES / name).read_text())


def test_ray_takes_the_cluster() -> None:
    validate_config(prepare_config(loaded("cluster.yaml")))


def test_kuberay_takes_the_job() -> None:
    schema = json.loads(Path(__file__).with_name("kuberay_schema.json").read_text())
    job = loaded("kuberay.yaml")
    jsonschema.validate(job, schema)
    job["spec"]["rayClusterSpec"]["workerGroupSpecs"][0]["maxReplicass"] = 3
    with pytest.raises(jsonschema.ValidationError, match="maxReplicass"):
        jsonschema.validate(job, schema)


def test_every_volume_that_is_mounted_is_there() -> None:
    cluster = loaded("kuberay.yaml")["spec"]["rayClusterSpec"]
    for group in (cluster["headGroupSpec"], *cluster["workerGroupSpecs"]):
        pod = group["template"]["spec"]
        named = {volume["name"] for volume in pod["volumes"]}
        assert {mount["name"] for one in pod["containers"] for mount in one["volumeMounts"]} <= named


def test_the_commands_are_those_of_this_version() -> None:
    words = shlex.split(loaded("kuberay.yaml")["spec"]["entrypoint"])
    assert words[:3] == ["python", "-m", "pipelines.cluster_batch"]
    assert (EXAMPLES.parent / "pipelines" / "cluster_batch.py").exists()
    runtime = yaml.safe_load(loaded("kuberay.yaml")["spec"]["runtimeEnvYAML"])
    assert set(runtime) <= {"working_dir", "env_vars"}
