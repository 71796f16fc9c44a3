"""Certificates are checked wherever TLS is spoken, in and out."""

import io
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any

import av
import pytest

from benchmarks.rtsp_relay import RtspRelay
from support.live_sources import take
from vidrestore.errors import ConfigError, InputError, OutputError
from vidrestore.live.addresses import parse_target
from vidrestore.live.certificates import trusted_file
from vidrestore.live.config import SourceConfig
from vidrestore.live.muxers import connection_options
from vidrestore.live.packets import CodecParameters
from vidrestore.live.remote_muxer import RemoteMuxer
from vidrestore.live.source_errors import SourceRefused

pytestmark = pytest.mark.integration


class Listener:
    """Speaks TLS with everybody who trusts it, and notes what they say."""

    def __init__(self, context: ssl.SSLContext, host: str = "127.0.0.1") -> None:
        self.heard: list[bytes] = []
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        self._server = socket.create_server((host, 0), family=family)
        self.port: int = self._server.getsockname()[1]
        self._context = context
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self) -> None:
        while True:
            try:
                line, _ = self._server.accept()
            except OSError:
                return
            try:
                line.settimeout(5)
                with self._context.wrap_socket(line, server_side=True) as session:
                    self.heard.append(session.recv(4096))
            except OSError:
                line.close()

    def close(self) -> None:
        self._server.shutdown(socket.SHUT_RDWR)
        self._server.close()


@contextmanager
def listening(context: ssl.SSLContext, host: str = "127.0.0.1") -> Iterator[Listener]:
    listener = Listener(context, host)
    try:
        yield listener
    finally:
        listener.close()


def give(url: str, **options: Any) -> None:
    RemoteMuxer(parse_target(url), {"video": a_track()}, origin=0, transport="tcp", stall_seconds=5, **options)


@cache
def a_track() -> CodecParameters:
    memory = io.BytesIO()
    with av.open(memory, "w", format="nut") as container:
        stream = container.add_stream("libx264", rate=25)
        stream.width = stream.height = 64
        for picture in (av.VideoFrame(64, 64, "yuv420p"), None):
            container.mux(stream.encode(picture))
    memory.seek(0)
    with av.open(memory) as container:
        return CodecParameters.of(container.streams[0], next(container.demux()))


_WRONG = {
    "self-signed": (("127.0.0.1",), False, "self-signed"),
    "of another name": (("camera.example",), True, "mismatch.*it is for camera.example, made by test authority"),
    "of another address": (("127.0.0.9",), True, "mismatch"),
}
_WAYS: list[tuple[Callable[..., None], str, str]] = [
    (take, "https", "/live.m3u8"),
    (take, "rtsps", "/live"),
    (take, "rtmps", "/live/key"),
    (give, "rtsps", "/live"),
    (give, "rtmps", "/live/key"),
]


@pytest.mark.parametrize(("way", "scheme", "path"), _WAYS)
@pytest.mark.parametrize("wrong", _WRONG)
def test_a_certificate_that_is_not_trusted_ends_the_connection(
    authority: Any, way: Callable[..., None], scheme: str, path: str, wrong: str
) -> None:
    names, trusted, words = _WRONG[wrong]
    with (
        listening(authority.server(*names, trusted=trusted)) as server,
        pytest.raises(
            (SourceRefused, OutputError), match=f"not trusted: .*{words}.*ca_file.*verify = false"
        ) as refused,
    ):
        way(f"{scheme}://admin:Hunter2@127.0.0.1:{server.port}{path}", ca_file=str(authority.file))
    assert not any(server.heard), "nothing was said"
    assert "Hunter2" not in refused.value.message


@pytest.mark.parametrize(("way", "scheme", "path"), _WAYS)
def test_an_unknown_authority_is_trusted_only_when_named(
    authority: Any, monkeypatch: pytest.MonkeyPatch, way: Callable[..., None], scheme: str, path: str
) -> None:
    with listening(authority.server("127.0.0.1")) as server:
        url = f"{scheme}://127.0.0.1:{server.port}{path}"
        with pytest.raises((SourceRefused, OutputError), match="unable to get local issuer certificate"):
            way(url)
        assert not any(server.heard)
        for trust in ("option", "environment", "hand"):
            if trust == "environment":
                monkeypatch.setenv("SSL_CERT_FILE", str(authority.file))
            options = {"option": {"ca_file": str(authority.file)}, "hand": {"verify": False}}.get(trust, {})
            server.heard.clear()
            with pytest.raises((InputError, OutputError)) as failed:  # it speaks no such protocol
                way(url, **options)
            assert "certificate" not in failed.value.message
            assert any(server.heard), f"trusted by {trust}"
            monkeypatch.delenv("SSL_CERT_FILE", raising=False)


@pytest.mark.parametrize("host", ["localhost", "[::1]"])
def test_names_and_other_addresses_are_checked_as_well(authority: Any, host: str) -> None:
    listened = "::1" if host == "[::1]" else "127.0.0.1"
    try:
        socket.create_server((listened, 0), family=socket.AF_INET6 if ":" in listened else socket.AF_INET).close()
    except OSError:
        pytest.skip("this machine has no IPv6")
    trusted = {"ca_file": str(authority.file)}
    with listening(authority.server(host.strip("[]")), listened) as server:
        with pytest.raises(InputError):
            take(f"rtsps://{host}:{server.port}/x", **trusted)
        assert any(server.heard)
    with listening(authority.server("other.example"), listened) as server:
        with pytest.raises(SourceRefused, match="not trusted"):
            take(f"rtsps://{host}:{server.port}/x", **trusted)
        assert not any(server.heard)


def test_the_check_is_turned_off_by_its_own_option_only(authority: Any) -> None:
    with pytest.raises(ConfigError, match="verify = false"):
        SourceConfig(options=("tls_verify=0",))
    with pytest.raises(ConfigError, match="verify"):
        SourceConfig(options=("tls_verify=00",))
    with pytest.raises(ConfigError, match="ca_file"):
        SourceConfig(options=("ca_file=/tmp/mine.pem",))
    with pytest.raises(ConfigError, match="no such file"):
        SourceConfig(ca_file="/nowhere/authority.pem")
    with (
        listening(authority.server("127.0.0.1", trusted=False)) as server,
        pytest.raises(SourceRefused, match="not trusted"),
    ):
        take(f"rtsps://127.0.0.1:{server.port}/x", options=("tls_verify=1",))


def test_names_of_stream_keys_survive_the_muxer_around_them() -> None:
    way = connection_options(parse_target("rtmps://u:p'w@h/live/a|b:c"), transport="tcp", ca_file="/x y/[ca]:1.pem")
    assert way.container == "tee"
    assert way.url is not None
    assert way.url.startswith("[f=flv:")
    assert "ca_file=/x\\ y/[ca\\]\\:1.pem" in way.url
    assert way.url.endswith("]rtmps://u:p\\'w@h/live/a\\|b:c")


def test_authorities_of_the_machine_are_trusted_unless_others_are_named(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.delenv("SSL_CERT_FILE", raising=False)
    assert Path(trusted_file()).is_file()
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "mine.pem"))
    assert trusted_file() == str(tmp_path / "mine.pem")
    assert trusted_file("/other.pem") == "/other.pem"


def test_a_camera_with_a_password_is_reached_by_tls(authority: Any) -> None:
    with RtspRelay(tls=authority.server("127.0.0.1"), password="right") as relay:  # noqa: S106
        with pytest.raises(SourceRefused, match="404"):
            take(relay.url("nothing", user="me:right"), ca_file=str(authority.file))
        with pytest.raises(SourceRefused, match="refuses the user or the password"):
            take(relay.url("nothing", user="me:wrong"), ca_file=str(authority.file))
