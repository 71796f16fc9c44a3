"""What a source says when it cannot be read, and what it gives when it can."""

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

from benchmarks.live_peers import Camera, moving_ball
from benchmarks.rtsp_relay import RtspRelay
from vidrestore.config import update
from vidrestore.errors import InputError
from vidrestore.live.addresses import parse_source
from vidrestore.live.config import SourceConfig
from vidrestore.live.packets import Packet
from vidrestore.live.source import LiveSource
from vidrestore.live.source_errors import SourceLost, SourceRefused
from vidrestore.media.probe import VideoInfo
from vidrestore.types import Frame

pytestmark = pytest.mark.integration


class Heard:
    """Takes what a source gives, and ends it after some frames."""

    def __init__(self, *, enough: int = 10**9) -> None:
        self.frames: list[Frame] = []
        self.sounds: list[Packet] = []
        self.enough = enough
        self.source: LiveSource | None = None

    def picture(self, frame: Frame, info: VideoInfo, arrived: int) -> None:
        self.frames.append(frame)
        assert info.width == frame.width
        assert arrived > 0
        if len(self.frames) >= self.enough and self.source is not None:
            self.source.stop()

    def sound(self, packet: Packet) -> None:
        self.sounds.append(packet)


def read(url: str, *, enough: int = 10**9, **options: Any) -> tuple[Heard, LiveSource, list[str]]:
    events: list[str] = []
    quick = {"open_seconds": 3.0, "silence_seconds": 1.0, "backoff": {"first_seconds": 0.05, "max_seconds": 0.1}}
    source = LiveSource(parse_source(url), update(SourceConfig(), quick | options), on_event=events.append)
    heard = Heard(enough=enough)
    heard.source = source
    source.run(heard)
    return heard, source, events


def test_a_wrong_password_is_one_clear_line_and_final() -> None:
    with RtspRelay(password="right") as server:  # noqa: S106
        with pytest.raises(SourceRefused, match="refuses the user or the password") as refused:
            read(server.url("live", user="me:wrong"))
        assert "wrong" not in refused.value.message
        assert "\n" not in refused.value.message


def test_a_path_that_is_not_there_is_final_at_first_and_tried_again_on_demand() -> None:
    with RtspRelay() as server:
        with pytest.raises(SourceRefused, match="404"):
            read(server.url("nothing"))
        with Camera(server.url("late"), moving_ball, sound=False) as camera:
            assert camera
            heard, source, events = read(server.url("late"), enough=3, retry="always")
        assert len(heard.frames) == 3
        assert source.counts.failures == sum("trying again" in event for event in events)


def test_a_missing_server_is_tried_again_by_default() -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        url = f"rtsp://127.0.0.1:{unused.getsockname()[1]}/x"
        with pytest.raises(SourceLost, match="refuses connections"):
            read(url, retry="never")
        events: list[str] = []
        source = LiveSource(parse_source(url), SourceConfig(), on_event=events.append)
        thread = threading.Thread(target=source.run, args=(Heard(),))
        thread.start()
        while source.counts.failures < 3:
            thread.join(0.05)
        source.stop()
        thread.join(5)
    assert not thread.is_alive()
    assert source.counts.state == "ended"


@contextmanager
def a_talker(data: bytes) -> Iterator[str]:
    """A TCP server that sends the same to everybody, and goes on holding the line."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        open_lines: list[socket.socket] = []

        def serve() -> None:
            while True:
                try:
                    line, _ = server.accept()
                    open_lines.append(line)
                    line.sendall(data)
                except OSError:
                    return

        threading.Thread(target=serve, daemon=True).start()
        yield f"tcp://127.0.0.1:{server.getsockname()[1]}"
        for line in open_lines:
            line.close()


def test_garbage_is_one_clear_line() -> None:
    with (
        a_talker(bytes(range(256)) * 4000) as url,
        pytest.raises(InputError, match=r"nothing|silent|no frame|no video"),
    ):
        read(url, retry="never")


def test_sound_alone_is_no_stream(tmp_path: Path) -> None:
    video = tmp_path / "sound.ts"
    with av.open(str(video), "w", format="mpegts") as container:
        stream = container.add_stream("aac", rate=48000)
        for number in range(40):
            frame = av.AudioFrame.from_ndarray(np.zeros((1, 1024), np.float32), format="fltp", layout="mono")
            frame.sample_rate, frame.pts = 48000, number * 1024
            container.mux(stream.encode(frame))
    with pytest.raises(SourceRefused, match="no video track") as refused:
        read(str(video))
    assert "audio" in refused.value.message


def test_a_file_keeps_its_own_pace(make_portrait_video: Any) -> None:
    video = make_portrait_video(frames=20)
    heard, _, _ = read(str(video))
    assert len(heard.frames) == 20
    times = [float(frame.seconds) for frame in heard.frames]
    assert times[-1] - times[0] == pytest.approx(19 / 25, abs=0.001)
    assert {packet.track.codec for packet in heard.sounds} == {"aac"}
    assert len(heard.sounds) >= 15


def test_a_file_that_loops_goes_on_with_its_times(make_portrait_video: Any) -> None:
    heard, source, _ = read(str(make_portrait_video(frames=6)), loop=True, enough=20)
    times = [frame.pts for frame in heard.frames]
    assert times == sorted(set(times))
    assert source.counts.sessions >= 3


@pytest.mark.parametrize("extension", ["ts", "mkv"])
def test_sound_with_a_header_in_each_packet_gets_one_for_all(
    tmp_path: Path, make_portrait_video: Any, extension: str
) -> None:
    """AAC of transport streams: MP4, RTSP and RTMP want it otherwise."""
    copy = tmp_path / f"copy.{extension}"
    with av.open(str(make_portrait_video(frames=12))) as source, av.open(str(copy), "w") as target:
        pairs = {stream: target.add_stream_from_template(stream) for stream in source.streams}
        for packet in source.demux():
            if packet.size:
                packet.stream = pairs[packet.stream]
                target.mux(packet)
    heard, _, _ = read(str(copy))
    assert heard.sounds[0].track.stream.codec_context.extradata
    assert not heard.sounds[0].data.startswith(b"\xff\xf1")


_SDP = (
    b"v=0\r\no=- 0 0 IN IP4 127.0.0.1\r\ns=x\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\nm=video 15004 RTP/AVP 96\r\n"
    b"a=rtpmap:96 H264/90000\r\n"
)


@pytest.mark.parametrize("text", [_SDP, b"ffconcat version 1.0\nfile http://127.0.0.1:1/x.ts\n"])
def test_a_list_of_other_sources_is_no_stream(text: bytes, tmp_path: Path) -> None:
    """SDP made it listen on UDP, on all addresses of the machine."""
    video = tmp_path / "film.mp4"
    video.write_bytes(text)
    with a_talker(text + b"\n" * 600_000) as url:
        for address in (url, str(video)):
            with pytest.raises(InputError):
                read(address, retry="never")
            ports = {line.split()[1].rpartition(":")[2] for line in Path("/proc/net/udp").read_text().splitlines()[1:]}
            assert not ports & {f"{15004:04X}", f"{15005:04X}"}


def test_an_odd_name_is_a_file(make_portrait_video: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    video = make_portrait_video(frames=4)
    monkeypatch.chdir(tmp_path)
    for name in ("12:30.mp4", "http:x.mp4"):
        Path(name).write_bytes(video.read_bytes())
        heard, _, _ = read(name)
        assert len(heard.frames) == 4


def test_pictures_that_are_too_large_are_refused_in_words(make_portrait_video: Any) -> None:
    source = LiveSource(parse_source(str(make_portrait_video(frames=3))), SourceConfig(retry="never"), max_pixels=1000)
    with pytest.raises(SourceRefused, match=r"has frames of \d+x\d+ pixels; at most 1,000 pixels"):
        source.run(Heard(enough=1))
