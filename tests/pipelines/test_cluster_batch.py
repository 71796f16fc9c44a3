"""`ray job submit` against a head of its own, with tokens: the whole way of a cluster's user."""

import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from support.ports import free_port
from vidrestore.jobs.registry import find_job
from vidrestore.media.reader import VideoReader

pytest.importorskip("aiohttp_cors", reason="ray[default] is not installed: no dashboard to submit to")
pytestmark = [pytest.mark.ray, pytest.mark.slow, pytest.mark.nightly]

ROOT = Path(__file__).parents[2]
BIN = Path(sys.executable).parent


@pytest.fixture(scope="module")
def head(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, dict[str, str]]]:
    """The dashboard's address of a head that wants a token, and an environment that has it."""
    home = tmp_path_factory.mktemp("home")
    port, dashboard = free_port(), free_port()
    environment = {**os.environ, "HOME": str(home), "RAY_AUTH_MODE": "token", "RAY_USAGE_STATS_ENABLED": "0"}
    environment.pop("RAY_ADDRESS", None)
    (home / ".ray").mkdir()
    (home / ".ray" / "auth_token").write_text("a-token-of-the-test-0123456789")
    command = [str(BIN / "ray"), "start", "--head", f"--port={port}", f"--dashboard-port={dashboard}", "--num-cpus=2"]
    command += [f"--temp-dir={tmp_path_factory.mktemp('r')}", "--block", "--dashboard-agent-listen-port=0"]
    with subprocess.Popen(
        command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True
    ) as ray:
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline:
            with socket.socket() as one:
                if one.connect_ex(("127.0.0.1", dashboard)) == 0:
                    break
            time.sleep(0.2)
        yield f"http://127.0.0.1:{dashboard}", environment
        ray.terminate()
        ray.wait(30)


def submit(head: tuple[str, dict[str, str]], *arguments: object) -> subprocess.CompletedProcess[str]:
    address, environment = head
    command = [str(BIN / "ray"), "job", "submit", "--address", address, "--", sys.executable, "-m"]
    return subprocess.run(
        [*command, "pipelines.cluster_batch", *map(str, arguments)],
        env={**environment, "PYTHONPATH": str(ROOT)},
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )


def test_a_submitted_job_restores_and_tells(
    head: tuple[str, dict[str, str]], make_portrait_video: Callable[..., Path], tmp_path: Path
) -> None:
    source = make_portrait_video(frames=24)
    done = submit(head, source, tmp_path / "out")
    told = done.stdout + done.stderr
    assert done.returncode == 0, told
    assert "1 of 1 films, 24 frames" in told
    with VideoReader(tmp_path / "out" / source.name) as reader:
        assert sum(1 for _ in reader) == 24
    assert find_job(str(tmp_path / "out")).state == "done"
    failed = submit(head, source, tmp_path / "nothing.mp4", tmp_path / "out")
    assert failed.returncode != 0
    assert "does not exist" in failed.stdout + failed.stderr


def test_without_the_token_nobody_gets_in(head: tuple[str, dict[str, str]], tmp_path: Path) -> None:
    address, environment = head
    stranger = {**environment, "HOME": str(tmp_path)}
    done = submit((address, stranger), tmp_path / "a.mp4", tmp_path / "out")
    assert done.returncode != 0
    assert not (tmp_path / "out").exists()
