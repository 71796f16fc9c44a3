"""The attack that once took a stream along: hundreds of connections to the page that send half a request and wait."""

import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.integration

TOKEN = "a-token-of-the-tests"  # noqa: S105
CONNECTIONS = 400


@contextmanager
def streaming(video: Path, folder: Path, *, files: int) -> Iterator["Streaming"]:
    """The command, allowed so many open files, with a film that loops, an HLS output and a recording."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [sys.executable, "-c", "from vidrestore.cli import main; main()", "stream", video, f"{folder}/hls/",
               folder / "film.mkv", "--loop", "--web", f"127.0.0.1:{port}", "--report", folder / "report.json",
               "--set", "restore.selection.max_faces=1"]  # fmt: skip
    limit = f"import os, resource, sys; resource.setrlimit(resource.RLIMIT_NOFILE, ({files}, {files})); "
    limited = [sys.executable, "-c", f"{limit}os.execv(sys.argv[1], sys.argv[1:])", *map(str, command)]
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(limited, stdout=log, stderr=log, env=os.environ | {"VIDRESTORE_TOKEN": TOKEN})
        try:
            yield Streaming(process, port, folder)
        finally:
            process.kill()
            process.wait()


class Streaming:
    def __init__(self, process: subprocess.Popen[bytes], port: int, folder: Path) -> None:
        self.process, self.port, self.folder = process, port, folder

    def fetch(self, path: str, *, source: str | None = None) -> str:
        connection = socket.create_connection(("127.0.0.1", self.port), 5, (source, 0) if source else None)
        with connection:
            request = f"GET {path} HTTP/1.0\r\nHost: localhost\r\nAuthorization: Bearer {TOKEN}\r\n\r\n"
            connection.sendall(request.encode())
            with connection.makefile("rb") as answer:
                return answer.read().decode()

    def metrics(self) -> dict[str, float]:
        found = re.finditer(r"^(\w+)(?:\{.*\})? (\S+)$", self.fetch("/metrics"), re.MULTILINE)
        return {line[1]: float(line[2]) for line in found}

    def until_under_way(self) -> None:
        deadline = time.monotonic() + 120
        while True:
            assert time.monotonic() < deadline, (self.folder / "log").read_text()
            assert self.process.poll() is None, (self.folder / "log").read_text()
            try:
                if self.metrics().get("vidrestore_frames_out_total", 0) > 40:
                    return
            except OSError:
                pass
            time.sleep(0.2)

    def finish(self) -> dict[str, Any]:
        """What the stream did, as its report tells."""
        self.process.send_signal(signal.SIGTERM)
        assert self.process.wait(60) == 0
        (told,) = json.loads((self.folder / "report.json").read_text())["streams"]
        return dict(told)


def flood(port: int, *, seconds: float) -> None:
    """Hold as many connections open as the page allows, of the number wanted, and try again where one is closed."""
    held: list[socket.socket] = []
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        for connection in list(held):
            try:
                ended = not connection.recv(1000, socket.MSG_DONTWAIT)
            except BlockingIOError:
                ended = False
            except OSError:
                ended = True
            if ended:
                held.remove(connection)
                connection.close()
        try:
            while len(held) < CONNECTIONS:
                held.append(socket.create_connection(("127.0.0.1", port), 0.2))
                held[-1].sendall(b"GET / HTTP/1.1\r\nHost: localhost\r\n")
        except OSError:
            pass
        time.sleep(0.2)
    for connection in held:
        connection.close()


@pytest.mark.parametrize(
    ("seconds", "files"),
    [
        pytest.param(6, 256, marks=pytest.mark.nightly),
        pytest.param(60, 256, marks=[pytest.mark.nightly, pytest.mark.slow]),
        pytest.param(60, 1024, marks=[pytest.mark.nightly, pytest.mark.slow]),
    ],
)
def test_connections_that_wait_cost_no_picture_and_no_log(
    make_portrait_video: Callable[..., Path], tmp_path: Path, seconds: float, files: int
) -> None:
    video = make_portrait_video(frames=100)
    with streaming(video, tmp_path, files=files) as stream:
        stream.until_under_way()
        before = stream.metrics()
        flood(stream.port, seconds=seconds)
        assert "HTTP/1.1 200" in stream.fetch("/health", source="127.0.0.7")
        time.sleep(1)
        after = stream.metrics()
        told = stream.finish()
    counts = {name: after[name] - before[name] for name in before}
    print({name: count for name, count in counts.items() if "frames" in name or "gaps" in name})  # noqa: T201
    assert told["source_counts"]["failures"] == 0
    assert [output["failures"] for output in told["outputs"].values()] == [0, 0]
    assert [output["packets_dropped"] for output in told["outputs"].values()] == [0, 0]
    assert told["dropped"]["lost"] == 0
    assert counts["vidrestore_frames_in_total"] > 0.5 * 25 * seconds, "the source was read all the time"
    assert (tmp_path / "log").stat().st_size < 20_000
    assert after["vidrestore_web_connections"] <= 32
