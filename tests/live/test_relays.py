"""What one stream sends another receives: every protocol that is both written and read, pictures and sound together."""

import asyncio
import http.server
import os
import shutil
import socket
import ssl
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Any
from unittest import mock

import av
import pytest

from benchmarks.rtsp_relay import RtspRelay
from support.ports import free_port
from vidrestore.live.stream import LiveStream

pytestmark = pytest.mark.integration

MakeStream = Callable[..., LiveStream]
_FRAMES = 60
_RTMP_MODULE = Path("/usr/lib/nginx/modules/ngx_rtmp_module.so")


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
def trusted_tls(folder: Path) -> Iterator[ssl.SSLContext]:
    """A certificate for this machine, of an authority that is trusted for as long."""
    certificate, key = folder / "certificate.pem", folder / "key.pem"
    command = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "1", "-subj", "/CN=127.0.0.1"]
    command += ["-addext", "subjectAltName=IP:127.0.0.1"]
    subprocess.run([*command, "-keyout", key, "-out", certificate], check=True, capture_output=True)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    with mock.patch.dict(os.environ, SSL_CERT_FILE=str(certificate)):
        yield context


@contextmanager
def by_rtsps(folder: Path) -> Iterator[tuple[str, str]]:
    with trusted_tls(folder) as context, RtspRelay(tls=context) as relay:
        yield relay.url("film"), relay.url("film")


@contextmanager
def by_rtmps(folder: Path) -> Iterator[tuple[str, str]]:
    """A server of RTMP behind a gate that speaks TLS."""
    with trusted_tls(folder) as context, by_rtmp(folder) as (url, _):
        port = int(url.rpartition(":")[2].partition("/")[0])
        loop = asyncio.new_event_loop()
        thread = threading.Thread(target=loop.run_forever, daemon=True)
        thread.start()

        async def pass_on(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            with suppress(OSError):
                while data := await reader.read(1 << 16):
                    writer.write(data)
                    await writer.drain()
            writer.close()

        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            inner_reader, inner_writer = await asyncio.open_connection("127.0.0.1", port)
            await asyncio.gather(pass_on(reader, inner_writer), pass_on(inner_reader, writer))

        gate = asyncio.run_coroutine_threadsafe(asyncio.start_server(serve, "127.0.0.1", 0, ssl=context), loop).result(
            10
        )
        tls_port = gate.sockets[0].getsockname()[1]
        try:
            yield f"rtmps://127.0.0.1:{tls_port}/live/film", f"rtmps://127.0.0.1:{tls_port}/live/film"
        finally:
            loop.call_soon_threadsafe(gate.close)
            asyncio.run_coroutine_threadsafe(cancelled(), loop).result(10)
            loop.call_soon_threadsafe(loop.stop)
            thread.join(10)
            loop.close()


async def cancelled() -> None:
    """End every connection of this loop."""
    others = asyncio.all_tasks() - {asyncio.current_task()}
    for task in others:
        task.cancel()
    await asyncio.gather(*others, return_exceptions=True)


_LONG = pytest.mark.nightly


@pytest.mark.parametrize(
    "way",
    [
        by_udp,
        by_rtmps,
        by_rtsps,
        pytest.param(by_rtmp, marks=_LONG),
        pytest.param(by_tcp, marks=_LONG),
        pytest.param(by_hls, marks=_LONG),
    ],
)
def test_what_is_sent_is_received(
    make_stream: MakeStream, make_portrait_video: Any, tmp_path: Path, way: Callable[..., Any]
) -> None:
    video = make_portrait_video(frames=100)
    quick = {"first_seconds": 0.2, "max_seconds": 0.3}
    with ExitStack() as stack:
        (tmp_path / "peer").mkdir()
        target, source = stack.enter_context(way(tmp_path / "peer"))
        sent, got = [], []
        receiver = make_stream(
            source, tmp_path / "got.mkv", source={"retry": "always", "backoff": quick}, mode="complete", events=got
        )
        sender = make_stream(video, target, source={"loop": True}, output={"backoff": quick}, events=sent)
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
