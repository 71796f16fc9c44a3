"""What is imported where: processes that run no network do without torch, and a job in one process without Ray."""

import subprocess
import sys

import pytest

HEAVY = {"torch", "torchvision", "facexlib", "ray", "scipy", "filterpy"}


@pytest.mark.parametrize(
    ("modules", "expected"),
    [
        pytest.param("vidrestore.jobs.restore, vidrestore.cli.restore", set(), id="a job in this process"),
        pytest.param("vidrestore.api", set(), id="the public functions"),
        pytest.param("vidrestore.runtime.ray.worker_set, vidrestore.jobs.tasks", {"ray"}, id="a segment worker"),
        pytest.param("vidrestore.runtime.ray.worker_pool", {"ray"}, id="the driver"),
        pytest.param("vidrestore.inference.worker", set(), id="a face worker before it begins"),
    ],
)
def test_a_process_imports_no_more_than_it_needs(modules: str, expected: set[str]) -> None:
    code = f"import sys, {modules}\nprint(*{HEAVY} & set(sys.modules))"

    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert set(done.stdout.split()) == expected
