"""A Ray of our own: who may speak to it, from where, and what is left of it."""

import os
import shutil
import stat
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import grpc
import psutil
import pytest
import ray
from ray.cluster_utils import Cluster

from vidrestore.errors import WorkerError
from vidrestore.runtime.ray.connection import connect, disconnect, fake_cluster, fetch
from vidrestore.runtime.ray.own_ray import _private_folder

pytestmark = pytest.mark.ray

_ray: Any = ray


def answer(address: str, *headers: tuple[str, str]) -> grpc.StatusCode:
    """What Ray's head says to somebody who asks for the list of machines."""
    with grpc.insecure_channel(address) as channel:
        try:
            channel.unary_unary("/ray.rpc.NodeInfoGcsService/GetAllNodeInfo")(b"", timeout=30, metadata=headers)
        except grpc.RpcError as error:
            code: grpc.StatusCode = error.code()
            return code
    return grpc.StatusCode.OK


@pytest.fixture(autouse=True)
def _disconnected() -> Iterator[None]:
    yield
    disconnect()


def where() -> tuple[list[str], str, str | None]:
    return sys.path, str(Path.cwd()), os.environ.get("RAY_AUTH_TOKEN")


def asked() -> tuple[list[str], str, str | None]:
    """What a worker says of its import path, its folder and its token."""
    found: tuple[list[str], str, str | None] = fetch(_ray.remote(where).remote(), timeout=60)
    return found


def listening() -> set[str]:
    """Addresses on which this process's descendants listen."""
    return {
        connection.laddr.ip
        for process in psutil.Process().children(recursive=True)
        for connection in process.net_connections("tcp")
        if connection.status == psutil.CONN_LISTEN
    }


@pytest.mark.slow
def test_it_is_for_its_own_processes_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("RAY_AUTH_TOKEN", "the-users-token-of-another-cluster")
    monkeypatch.setenv("VIDRESTORE_CACHE", "cache")
    before = dict(os.environ)
    assert connect(None)

    path, folder, token = asked()
    assert Path.cwd() == tmp_path
    assert str(tmp_path) not in path
    assert token == os.environ["RAY_AUTH_TOKEN"]
    assert len(token) == 64
    assert os.environ["VIDRESTORE_CACHE"] == str(tmp_path / "cache")
    private = Path(folder).parent
    assert stat.S_IMODE(private.stat().st_mode) == 0o700
    assert private.stat().st_uid == os.getuid()
    assert listening() <= {"127.0.0.1", "::ffff:127.0.0.1", "::1"}

    head = _ray.get_runtime_context().gcs_address
    assert answer(head, ("authorization", f"Bearer {token}")) is grpc.StatusCode.OK
    assert answer(head) is grpc.StatusCode.UNAUTHENTICATED
    other = f"Bearer {before['RAY_AUTH_TOKEN']}"
    assert answer(head, ("authorization", other)) is grpc.StatusCode.UNAUTHENTICATED

    disconnect()
    assert not private.exists()
    assert {name: os.environ.get(name) for name in before} == before
    assert "RAY_AUTH_MODE" not in os.environ.keys() - before.keys()


@pytest.mark.nightly  # three starts of Ray; each of the other tests of Ray begins where another ended, too
def test_another_ray_may_follow_in_the_same_process_whoever_ended_the_first(monkeypatch: pytest.MonkeyPatch) -> None:
    tokens = set()
    folder = Path(tempfile.mkdtemp(prefix="t"))  # short, for sockets; and other tests leave theirs in the usual one
    monkeypatch.setenv("RAY_TMPDIR", str(folder))
    for end in (_ray.shutdown, disconnect):
        assert connect(None)
        assert not connect(None)
        tokens.add(asked()[2])
        end()
    with fake_cluster(7, 3):
        assert _ray.cluster_resources()["CPU"] == 7
        assert _ray.cluster_resources()["GPU"] == 3
        tokens.add(asked()[2])
    assert len(tokens) == 3
    assert not list(folder.glob("vidrestore-????????"))
    shutil.rmtree(folder)


@pytest.mark.slow
def test_a_joined_cluster_imports_only_from_its_own_folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert connect(None)
    disconnect()
    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 1, "include_dashboard": False})
    try:
        monkeypatch.chdir(tmp_path)
        assert not connect(cluster.address)
        assert str(tmp_path) not in asked()[0]
        assert Path.cwd() == tmp_path
    finally:
        disconnect()
        cluster.shutdown()


def test_a_temporary_folder_with_a_long_path_is_left_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    long = tmp_path / ("x" * 60)
    long.mkdir()
    monkeypatch.setenv("RAY_TMPDIR", str(long))
    with _private_folder() as folder:
        assert folder.parent == Path("/tmp")  # noqa: S108
    assert not folder.exists()


def test_no_folder_at_all_is_an_error_with_advice(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("vidrestore.runtime.ray.own_ray._LONGEST_SOCKET", 20)
    monkeypatch.setenv("RAY_TMPDIR", str(tmp_path))
    with pytest.raises(WorkerError, match="set RAY_TMPDIR"):
        connect(None)
    assert not _ray.is_initialized()
