"""Against another implementation of RTSP: GStreamer's server, over TCP and UDP, as source and as target."""

import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import av
import pytest

from vidrestore.live.stream import LiveStream

pytestmark = pytest.mark.integration

MakeStream = Callable[..., LiveStream]
SYSTEM_PYTHON = "/usr/bin/python3"


@pytest.fixture
def gst(tmp_path: Path, make_portrait_video: Any) -> Iterator[str]:
    """Its address; the recording lies in `tmp_path / rec.mkv`."""
    program = Path(__file__).parents[1] / "support" / "gst_server.py"
    video = make_portrait_video(frames=250)
    command = [SYSTEM_PYTHON, program, video, tmp_path / "rec.mkv"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        port = process.stdout.readline().strip()
        if not port:
            pytest.skip(f"no gst-rtsp-server on this machine: {process.stderr.read().strip().splitlines()[-1]}")
        yield f"rtsp://127.0.0.1:{port}"
        process.kill()


@pytest.mark.parametrize("transport", ["tcp", "udp"])
def test_it_is_read_and_published_to(gst: str, make_stream: MakeStream, tmp_path: Path, transport: str) -> None:
    stream = make_stream(
        f"{gst}/live",
        f"{gst}/rec",
        tmp_path / "own.mkv",
        source={"transport": transport},
        output={"transport": transport},
    )
    thread = threading.Thread(target=stream.run, daemon=True)
    thread.start()
    deadline = time.monotonic() + 30
    while stream.status().frames_out < 75:
        assert time.monotonic() < deadline, stream.status()
        time.sleep(0.05)
    status = stream.status()
    stream.stop()
    thread.join(20)
    assert not thread.is_alive()
    assert all(output.failures == 0 for output in status.outputs.values())
    (own,) = tmp_path.glob("own-*.mkv")
    with av.open(str(own)) as container:
        assert {stream.type for stream in container.streams} == {"video", "audio"}
    time.sleep(0.5)
    with av.open(str(tmp_path / "rec.mkv")) as container:  # what GStreamer understood of it
        pictures = sum(1 for _ in container.decode(video=0))
    assert pictures > 30
