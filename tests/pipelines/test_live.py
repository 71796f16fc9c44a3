"""The gateway and the measurement of live streams."""

import json
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from benchmarks.live_peers import Camera, moving_ball
from benchmarks.rtsp_relay import RtspRelay
from pipelines import live_bench

pytestmark = pytest.mark.integration

MakeVideo = Callable[..., Path]


@pytest.mark.nightly
def test_a_quiet_stream_is_measured(make_portrait_video: MakeVideo, tmp_path: Path) -> None:
    live_bench.main(
        tmp_path, make_portrait_video(frames=25), width=320, height=180, rate=10, minutes=0.07, warm_up=0.5, settings=[]
    )
    found = json.loads((tmp_path / "live.json").read_text())
    assert found["balanced"]
    assert found["scene"]["rate"] == 10
    assert 0 < found["latency_ms"]["p50"] <= found["latency_ms"]["p95"] <= found["latency_ms"]["p99"]
    assert found["camera_to_viewer_ms"]["p50"] > found["latency_ms"]["p50"]
    assert found["rate_out"] > 3
    assert found["viewer_sessions"] == 1
    assert found["machine"]["cores"] >= 1


@pytest.mark.nightly
def test_the_gateway_publishes_records_and_drains(tmp_path: Path) -> None:
    with RtspRelay() as server, Camera(server.url("raw"), moving_ball, rate=10):
        command = [sys.executable, "-m", "pipelines.rtsp_gateway", f"rtsp://127.0.0.1:{server.port}",
                   f"porch={server.url('raw')}", "--recordings", str(tmp_path), "--runtime", "local",
                   "--web", "127.0.0.1:0"]  # fmt: skip
        with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
            lines: list[str] = []
            assert process.stderr is not None
            reader = threading.Thread(target=lines.extend, args=(process.stderr,), daemon=True)
            reader.start()
            deadline = time.monotonic() + 60
            while not (server.published("porch") and list(tmp_path.glob("porch/.porch-*"))):
                assert time.monotonic() < deadline, lines
                assert process.poll() is None, lines
                time.sleep(0.1)
            time.sleep(2)
            process.send_signal(signal.SIGTERM)
            process.wait(60)
            reader.join(10)
        assert process.returncode == 0, lines
    assert len(list(tmp_path.glob("porch/porch-*.mp4"))) == 1
    assert not list(tmp_path.glob("porch/.*"))
    messages = [json.loads(line)["message"] for line in lines if line.startswith("{")]
    assert any("shows the streams" in message for message in messages)


@pytest.mark.nightly
def test_a_camera_without_a_name_is_refused(capfd: pytest.CaptureFixture[str]) -> None:
    command = [sys.executable, "-m", "pipelines.rtsp_gateway", "rtsp://s", "rtsp://u:hunter2@h/x"]
    assert subprocess.run(command, check=False).returncode == 1
    told = capfd.readouterr().err
    assert "NAME=URL" in told
    assert "hunter2" not in told
