"""A connection in a process of its own."""

import signal
import socket
import subprocess
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import psutil
import pytest

from vidrestore.errors import OutputError
from vidrestore.live import remote_muxer
from vidrestore.live.addresses import parse_target
from vidrestore.live.encoder import LiveEncoder
from vidrestore.live.packets import Packet
from vidrestore.live.remote_muxer import RemoteMuxer
from vidrestore.media.config import EncodeConfig
from vidrestore.media.probe import VideoInfo
from vidrestore.media.reader import VideoReader
from vidrestore.types import Frame

pytestmark = pytest.mark.integration


@pytest.fixture
def packets(make_portrait_video) -> list[Packet]:  # noqa: ANN001
    with VideoReader(make_portrait_video(frames=10)) as reader:
        encoder = LiveEncoder(reader.info, EncodeConfig(preset="ultrafast"), keyframe_seconds=1)
        made: list[Packet] = []
        for frame in reader:
            made += encoder.encode(on_the_clock(frame, reader.info), arrived=1)
        return made


def on_the_clock(frame: Frame, info: VideoInfo) -> Frame:
    assert info.width == frame.width
    return replace(frame, pts=round(frame.seconds * 90_000) + 900_000, time_base=Fraction(1, 90_000))


def test_every_frame_is_a_packet_at_once(packets: list[Packet]) -> None:
    assert len(packets) == 10
    assert packets[0].keyframe
    assert [packet.pts for packet in packets] == [packet.dts for packet in packets]


def test_it_sends_what_a_player_understands(packets: list[Packet], tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        received = bytearray()

        def listen() -> None:
            line, _ = server.accept()
            with line:
                while data := line.recv(65536):
                    received.extend(data)

        thread = threading.Thread(target=listen)
        thread.start()
        target = parse_target(f"tcp://127.0.0.1:{server.getsockname()[1]}")
        muxer = RemoteMuxer(
            target, {"video": packets[0].track}, origin=packets[0].dts, transport="tcp", stall_seconds=5
        )
        for packet in packets:
            muxer.mux(packet)
        muxer.close()
        thread.join(10)
    video = tmp_path / "received.ts"
    video.write_bytes(bytes(received))
    with av.open(str(video)) as container:
        pictures = [frame.to_ndarray(format="gray") for frame in container.decode(video=0)]
    assert len(pictures) == 10
    assert np.std(pictures[0]) > 20, "a picture, not grey"


def test_a_server_that_takes_nothing_ends_in_time_with_its_process(packets: list[Packet]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(10)
        target = parse_target(f"rtsp://me:hunter2@127.0.0.1:{server.getsockname()[1]}/x")
        before = set(psutil.Process().children())
        started = time.monotonic()
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("vidrestore.live.remote_muxer._START_SECONDS", 2.0)
            with pytest.raises(OutputError, match="takes nothing") as failed:
                RemoteMuxer(target, {"video": packets[0].track}, origin=0, transport="tcp", stall_seconds=1)
        assert time.monotonic() - started < 30, "far less than its own time-outs together"
        assert "hunter2" not in failed.value.message
        assert set(psutil.Process().children()) == before, "no process is left"


@pytest.fixture
def listener() -> Iterator[tuple[str, int]]:
    """Somebody who takes a connection, and holds it."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        lines: list[socket.socket] = []
        thread = threading.Thread(target=lambda: lines.append(server.accept()[0]), daemon=True)
        thread.start()
        yield server.getsockname()[:2]
        thread.join(5)
        for line in lines:
            line.close()


def test_the_password_is_in_no_argument_of_the_process(packets: list[Packet], listener: tuple[str, int]) -> None:
    target = parse_target(f"tcp://me:hunter2@127.0.0.1:{listener[1]}")
    muxer = RemoteMuxer(target, {"video": packets[0].track}, origin=0, transport="tcp", stall_seconds=2)
    arguments = psutil.Process(muxer._process.pid).cmdline()
    muxer._end()
    assert any("remote_muxer" in part for part in arguments)
    assert not any("hunter2" in part for part in arguments)


def test_signals_that_go_to_all_processes_end_no_connection(
    packets: list[Packet], listener: tuple[str, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    start = remote_muxer._start_process

    def start_and_signal() -> subprocess.Popen[bytes]:
        process = start()
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            process.send_signal(number)  # before it has loaded anything
        return process

    before = signal.pthread_sigmask(signal.SIG_BLOCK, [])
    monkeypatch.setattr(remote_muxer, "_start_process", start_and_signal)
    target = parse_target(f"tcp://127.0.0.1:{listener[1]}")
    muxer = RemoteMuxer(target, {"video": packets[0].track}, origin=packets[0].dts, transport="tcp", stall_seconds=5)
    muxer.mux(packets[0])
    muxer._process.send_signal(signal.SIGTERM)
    muxer.mux(packets[1])
    muxer.close()
    assert signal.pthread_sigmask(signal.SIG_BLOCK, []) == before, "this process takes them as ever"


def test_a_process_that_dies_is_an_error_of_the_output(packets: list[Packet], listener: tuple[str, int]) -> None:
    target = parse_target(f"tcp://127.0.0.1:{listener[1]}")
    muxer = RemoteMuxer(target, {"video": packets[0].track}, origin=0, transport="tcp", stall_seconds=2)
    muxer._process.kill()
    muxer._process.wait()
    with pytest.raises(OutputError, match="process that held the connection"):
        muxer.mux(packets[0])
    muxer._end()
