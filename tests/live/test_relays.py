"""What one stream sends another receives: every protocol that is both written and read, pictures and sound together."""

import http.server
import shutil
import socket
import ssl
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import av
import pytest

from vidrestore.benchmark.rtsp_relay import RtspRelay
from vidrestore.live.stream import LiveStream

MakeStream = Callable[..., LiveStream]
_FRAMES = 60
_RTMP_MODULE = Path("/usr/lib/nginx/modules/ngx_rtmp_module.so")


def free_port(kind: socket.SocketKind = socket.SOCK_STREAM) -> int:
    with socket.socket(socket.AF_INET, kind) as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@contextmanager
def by_udp(_: Path) -> Iterator[tuple[str, str]]:
    port = free_port(socket.SOCK_DGRAM)
    yield f"udp://127.0.0.1:{port}", f"udp://127.0.0.1:{port}"


@contextmanager
def by_tcp(_: Path) -> Iterator[tuple[str, str]]:
    port = free_port()
    yield f"tcp://127.0.0.1:{port}", f"tcp://127.0.0.1:{port}?listen"


@contextmanager
def by_hls(folder: Path) -> Iterator[tuple[str, str]]:
    handler = partial(_QuietFiles, directory=str(folder))
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield str(folder / "live.m3u8"), f"http://127.0.0.1:{server.server_port}/live.m3u8"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


class _QuietFiles(http.server.SimpleHTTPRequestHandler):
    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002  the name is http.server's
        pass


@contextmanager
def by_rtmp(folder: Path) -> Iterator[tuple[str, str]]:
    nginx = shutil.which("nginx", path="/usr/sbin:/usr/bin")
    if not nginx or not _RTMP_MODULE.exists():
        pytest.skip("no nginx with its RTMP module on this machine")
    port = free_port()
    settings = folder / "nginx.conf"
    settings.write_text(
        f"load_module {_RTMP_MODULE}; daemon off; worker_processes 1; pid {folder}/nginx.pid; error_log stderr; "
        f"user root; events {{}} rtmp {{ server {{ listen 127.0.0.1:{port}; application live {{ live on; }} }} }}\n"
    )
    with subprocess.Popen([nginx, "-p", folder, "-c", settings], stderr=subprocess.DEVNULL) as process:
        try:
            yield f"rtmp://127.0.0.1:{port}/live/film", f"rtmp://127.0.0.1:{port}/live/film"
        finally:
            process.terminate()


@contextmanager
def by_rtsps(folder: Path) -> Iterator[tuple[str, str]]:
    certificate, key = folder / "certificate.pem", folder / "key.pem"
    command = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "1", "-subj", "/CN=127.0.0.1"]
    subprocess.run([*command, "-keyout", key, "-out", certificate], check=True, capture_output=True)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    with RtspRelay(tls=context) as relay:
        yield relay.url("film"), relay.url("film")


_LONG = pytest.mark.nightly


@pytest.mark.parametrize(
    "way", [by_udp, by_rtmp, by_rtsps, pytest.param(by_tcp, marks=_LONG), pytest.param(by_hls, marks=_LONG)]
)
def test_what_is_sent_is_received(
    make_stream: MakeStream, make_portrait_film: Any, tmp_path: Path, way: Callable[..., Any]
) -> None:
    film = make_portrait_film(frames=100)
    quick = {"first_seconds": 0.2, "longest_seconds": 0.3}
    with ExitStack() as stack:
        (tmp_path / "peer").mkdir()
        target, source = stack.enter_context(way(tmp_path / "peer"))
        sent, got = [], []
        receiver = make_stream(
            source, tmp_path / "got.mkv", source={"retry": "always", "backoff": quick}, mode="complete", events=got
        )
        sender = make_stream(film, target, source={"loop": True}, output={"backoff": quick}, events=sent)
        threads = [threading.Thread(target=one.run, daemon=True) for one in (receiver, sender)]
        try:
            for thread in threads:
                thread.start()
                time.sleep(0.5)
            deadline = time.monotonic() + 40
            while receiver.status().frames_out < _FRAMES:
                assert time.monotonic() < deadline, (sent, got, receiver.status().problem, sender.status().problem)
                time.sleep(0.1)
        finally:
            receiver.stop()
            sender.stop()
            for thread in threads:
                thread.join(20)
    (recorded,) = tmp_path.glob("got-*.mkv")
    with av.open(str(recorded)) as container:
        assert sum(1 for _ in container.decode(video=0)) >= _FRAMES
    with av.open(str(recorded)) as container:
        assert sum(packet.size > 0 for packet in container.demux(audio=0)) > _FRAMES / 2
