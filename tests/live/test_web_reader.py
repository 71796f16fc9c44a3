"""What a web server may make a live source do, and to whom the source shows its password."""

import socket
import threading
import time
import tracemalloc
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import av
import pytest
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.padding import PKCS7

from vidrestore.config import update
from vidrestore.errors import InputError
from vidrestore.live import web_requests, web_stream
from vidrestore.live.addresses import parse_source
from vidrestore.live.config import SourceConfig
from vidrestore.live.source import LiveSource
from vidrestore.live.source_errors import SourceLost, SourceRefused
from vidrestore.live.web_origin import LOOPBACK, PUBLIC, reach_of

pytestmark = pytest.mark.integration

MakeWeb = Callable[..., Any]
_USER = "admin:Hunter2"
_BASIC = "Basic YWRtaW46SHVudGVyMg=="


class Counter:
    """Counts pictures, and ends its source after enough."""

    def __init__(self, enough: int) -> None:
        self.pictures = 0
        self.enough = enough
        self.source: LiveSource | None = None

    def picture(self, *_: object) -> None:
        self.pictures += 1
        if self.pictures >= self.enough and self.source is not None:
            self.source.stop()

    def sound(self, _: object) -> None:
        pass


def watch(url: str, *, enough: int = 3, **options: Any) -> int:
    quick = {"open_seconds": 5.0, "silence_seconds": 2.0, "retry": "never"}
    source = LiveSource(parse_source(url), update(SourceConfig(), quick | options))
    counter = Counter(enough)
    counter.source = source
    source.run(counter)
    return counter.pictures


@pytest.fixture
def segment(make_portrait_video: Any, tmp_path: Path) -> bytes:
    """A second of video as a transport stream."""
    file = tmp_path / "segment.ts"
    with av.open(str(make_portrait_video(frames=12))) as source, av.open(str(file), "w") as target:
        pairs = {stream: target.add_stream_from_template(stream) for stream in source.streams}
        for packet in source.demux():
            if packet.size:
                packet.stream = pairs[packet.stream]
                target.mux(packet)
    return file.read_bytes()


def playlist(*names: str, before: str = "", end: bool = True) -> bytes:
    lines = ["#EXTM3U", "#EXT-X-VERSION:3", "#EXT-X-TARGETDURATION:1", "#EXT-X-MEDIA-SEQUENCE:0", *before.splitlines()]
    for name in names:
        lines += ["#EXTINF:0.48,", name]
    return "\n".join([*lines, *["#EXT-X-ENDLIST"] * end, ""]).encode()


def test_a_stream_a_playlist_and_a_video_are_read(make_web: MakeWeb, segment: bytes, make_portrait_video: Any) -> None:
    web = make_web()
    web.serve("/live.ts", segment)
    web.serve("/hls/live.m3u8", playlist("a.ts"))
    web.serve("/hls/a.ts", segment)
    web.serve("/film.mp4", make_portrait_video(frames=12).read_bytes(), Accept_Ranges="bytes")
    web.serve("/unsaid.mp4", make_portrait_video(frames=12).read_bytes(), X_Sends_Parts="yes")
    for path in ("/live.ts", "/hls/live.m3u8", "/film.mp4", "/unsaid.mp4"):
        assert watch(web.url(path)) >= 3


def test_a_playlist_is_relative_to_where_redirects_lead(make_web: MakeWeb, segment: bytes) -> None:
    here, there = make_web(), make_web()
    here.serve("/x", b"", status=302, Location=there.url("/deep/live.m3u8"))
    there.serve("/deep/live.m3u8", playlist("a.ts"))
    there.serve("/deep/a.ts", segment)
    assert watch(here.url("/x")) >= 3


def test_an_encrypted_playlist_is_read(make_web: MakeWeb, segment: bytes) -> None:
    web = make_web()
    key, start = bytes(range(16)), bytes(16)
    padding = PKCS7(128).padder()
    coder = Cipher(algorithms.AES(key), modes.CBC(start)).encryptor()
    web.serve("/key", key)
    web.serve("/a.ts", coder.update(padding.update(segment) + padding.finalize()) + coder.finalize())
    web.serve("/live.m3u8", playlist("a.ts", before=f'#EXT-X-KEY:METHOD=AES-128,URI="key",IV=0x{start.hex()}'))
    assert watch(web.url("/live.m3u8")) >= 3


def wants(scheme: str, body: bytes) -> Callable[..., tuple[int, dict[str, str], bytes]]:
    """An answer to those who show a password in a way."""

    def answer(_: object, headers: dict[str, str]) -> tuple[int, dict[str, str], bytes]:
        if headers.get("authorization", "").startswith(scheme):
            return 200, {}, body
        return 401, {"WWW-Authenticate": f'{scheme} realm="r", nonce="n", qop="auth"'}, b""

    return answer


@pytest.mark.parametrize("scheme", ["Basic", "Digest"])
def test_a_password_is_shown_to_the_source(make_web: MakeWeb, segment: bytes, scheme: str) -> None:
    web = make_web()
    web.answers["/live.ts"] = wants(scheme, segment)
    assert watch(web.url("/live.ts", user=_USER)) >= 3
    assert "Authorization" not in web.asked[0][1], "shown only when it is asked for"
    web.answers["/live.ts"] = lambda *_: (401, {"WWW-Authenticate": scheme + ' realm="r", nonce="n"'}, b"")
    with pytest.raises(SourceRefused, match="refuses the user or the password") as refused:
        watch(web.url("/live.ts", user=_USER))
    assert "Hunter2" not in refused.value.message


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
@pytest.mark.parametrize("scheme", ["Basic", "Digest"])
def test_a_password_does_not_follow_a_redirect_to_another_server(
    make_web: MakeWeb, segment: bytes, status: int, scheme: str
) -> None:
    camera, other = make_web(), make_web(host="127.0.0.2")
    other.answers["/live.ts"] = wants(scheme, segment)
    camera.serve("/live.ts", b"", status=status, Location=other.url("/live.ts"))
    with pytest.raises(SourceRefused, match="not taken there") as refused:
        watch(camera.url("/live.ts", user=_USER))
    assert other.passwords() == []
    assert "Hunter2" not in refused.value.message


def test_a_password_stays_with_the_host_and_port_it_was_given_for(make_web: MakeWeb, segment: bytes) -> None:
    camera, other = make_web(), make_web()

    def answer(_: object, headers: dict[str, str]) -> tuple[int, dict[str, str], bytes]:
        if "authorization" in headers:
            return 302, {"Location": other.url("/live.ts", host="localhost")}, b""
        return 401, {"WWW-Authenticate": 'Basic realm="r"'}, b""

    camera.answers["/live.ts"] = answer
    other.answers["/live.ts"] = wants("Basic", segment)
    with pytest.raises(SourceRefused, match="another server"):
        watch(camera.url("/live.ts", user=_USER))
    assert camera.passwords() == [_BASIC]
    assert other.passwords() == []


def test_headers_and_cookies_stay_with_the_source(make_web: MakeWeb, segment: bytes) -> None:
    camera, other = make_web(), make_web(host="127.0.0.2")
    camera.serve("/live.m3u8", playlist("own.ts", other.url("/a.ts")))
    camera.serve("/own.ts", segment)
    other.serve("/a.ts", segment)
    options = ("headers=Authorization: Bearer S3cretToken\r\nX-Key: S3cretToken\r\n", "cookies=id=S3cretCookie")
    watch(camera.url("/live.m3u8"), options=options, enough=20)
    assert any("S3cretToken" in str(headers) for _, headers in camera.asked)
    assert other.asked
    assert "S3cret" not in str(other.asked)


def test_basic_is_refused_where_digest_was_asked_for_before(make_web: MakeWeb) -> None:
    web = make_web()
    offers = iter(['Digest realm="r", nonce="n"', 'Basic realm="r"', 'Basic realm="r"'])
    web.answers["/live.ts"] = lambda *_: (401, {"WWW-Authenticate": next(offers)}, b"")
    with pytest.raises(SourceRefused, match="refuses the user"):
        watch(web.url("/live.ts", user=_USER))
    with pytest.raises(SourceRefused, match="wants the password in the clear"):
        watch(web.url("/live.ts", user=_USER))
    assert not any(shown.startswith("Basic") for shown in web.passwords())


@pytest.mark.parametrize(
    "body",
    [
        (
            b"v=0\r\no=- 0 0 IN IP4 127.0.0.1\r\ns=x\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\nm=video 15004 RTP/AVP 96\r\n"
            b"a=rtpmap:96 H264/90000\r\n"
        ),
        b"ffconcat version 1.0\nfile http://127.0.0.1:1/x.ts\n",
        b"[playlist]\nFile1=/etc/passwd\n",
        b'<?xml version="1.0"?><MPD/>',
    ],
)
def test_a_list_of_other_sources_is_no_stream(make_web: MakeWeb, body: bytes) -> None:
    web = make_web()
    for path in ("/x.sdp", "/live.ts", "/x.mp4"):
        web.serve(path, body, Content_Type="application/sdp")
        with pytest.raises(InputError, match=r"nothing that FFmpeg can read|argument"):
            watch(web.url(path))
    assert not udp_ports() & {15004, 15005}


def udp_ports() -> set[int]:
    lines = Path("/proc/net/udp").read_text().splitlines()[1:]
    return {int(line.split()[1].rpartition(":")[2], 16) for line in lines}


@pytest.mark.parametrize(
    "name", ["file:///etc/passwd", "rtp://127.0.0.1:15004", "udp://127.0.0.1:15004", "tcp://127.0.0.1:1"]
)
def test_a_playlist_leads_to_the_web_only(make_web: MakeWeb, name: str) -> None:
    web = make_web()
    web.serve("/live.m3u8", playlist(name))
    with pytest.raises(InputError):
        watch(web.url("/live.m3u8"))
    web.serve("/x", b"", status=302, Location=name)
    with pytest.raises(SourceRefused, match="only http and https"):
        watch(web.url("/x"))
    assert 15004 not in udp_ports()


@pytest.fixture
def _few_requests(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(web_requests, "_REQUESTS_AT_ONCE", 30)


@pytest.mark.usefixtures("_few_requests")
def test_a_playlist_that_lists_itself_is_given_up(make_web: MakeWeb) -> None:
    """It sent 12,522 requests in 10 s."""
    web = make_web()
    web.serve("/self.m3u8", b"#EXTM3U\n#EXT-X-STREAM-INF:BANDWIDTH=1\nself.m3u8\n" * 3)
    with pytest.raises(SourceLost, match="list itself"):
        watch(web.url("/self.m3u8"))
    assert len(web.asked) < 60


@pytest.mark.usefixtures("_few_requests")
def test_a_playlist_of_nothing_is_not_asked_for_ever(make_web: MakeWeb) -> None:
    web = make_web()
    web.serve("/live.m3u8", playlist(*(f"{n}.ts" for n in range(3000)), end=False).replace(b"0.48", b"0.0"))
    with pytest.raises(InputError):
        watch(web.url("/live.m3u8"), open_seconds=1.0)
    assert len(web.asked) < 60


def test_an_endless_playlist_is_given_up(make_web: MakeWeb) -> None:
    web = make_web()
    web.serve("/live.m3u8", playlist("a.ts") + b"#" * (web_stream._MOST_PLAYLIST_BYTES + 1))
    with pytest.raises(SourceLost, match="playlist of more than"):
        watch(web.url("/live.m3u8"))


def test_a_public_server_may_not_name_private_addresses(
    make_web: MakeWeb, segment: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    public, private = make_web(), make_web(host="127.0.0.2")
    reach = {"127.0.0.1": PUBLIC, "127.0.0.2": LOOPBACK}
    monkeypatch.setattr(web_requests, "reach_of", reach.__getitem__)
    private.serve("/reboot.ts", segment)
    public.serve("/live.m3u8", playlist(private.url("/reboot.ts")))
    public.serve("/x", b"", status=302, Location=private.url("/reboot.ts"))
    for path in ("/live.m3u8", "/x"):
        with pytest.raises(SourceRefused, match="private_addresses = true"):
            watch(public.url(path))
    assert private.asked == []
    assert watch(public.url("/x"), private_addresses=True) >= 3


@pytest.mark.parametrize(
    ("address", "reach"),
    [
        ("93.184.216.34", 0),
        ("2606:4700::1111", 0),
        ("10.0.0.7", 1),
        ("192.168.1.1", 1),
        ("100.64.0.1", 1),
        ("fd00::1", 1),
        ("127.0.0.1", 2),
        ("::1", 2),
        ("::ffff:127.0.0.1", 2),
        ("::ffff:10.0.0.7", 1),
        ("169.254.169.254", 2),
        ("fe80::1%eth0", 2),
        ("64:ff9b::7f00:1", 2),
        ("64:ff9b::5db8:d822", 0),
        ("2002:7f00:1::", 2),
        ("2002:a00:7::", 1),
        ("::127.0.0.1", 2),
        ("fec0::1", 1),
        ("0.0.0.0", 2),  # noqa: S104  it leads to this machine
    ],
)
def test_addresses_are_public_private_or_local(address: str, reach: int) -> None:
    assert reach_of(address) == reach


ODD = [
    "http://{other}:P\\@{own}/x.ts",
    "http://{other}\\@{own}/x.ts",
    "http://{own}@{other}/x.ts",
    "http://me:word@{other}/x.ts",
    "http://{own}\t@{other}/x.ts",
    "http://{other}#@{own}/x.ts",
    "http://{other}?@{own}/x.ts",
    "//{other}/x.ts",
    "http:\\\\{other}/x.ts",
    "/\\{other}/x.ts",
]
"""Addresses in which one parser finds the source's own server, and another some other server."""


@pytest.mark.parametrize("odd", ODD)
def test_an_address_that_may_be_read_in_two_ways_gets_no_password(make_web: MakeWeb, odd: str) -> None:
    own, other = make_web(), make_web(host="127.0.0.2")
    address = odd.format(own=f"{own.host}:{own.port}", other=f"{other.host}:{other.port}")
    secret = ("headers=X-Key: HeaderSecret99", "cookies=sid=CookieSecret99")
    own.answers["/x"] = lambda _, headers: (
        (302, {"Location": address}, b"")
        if "authorization" in headers
        else (401, {"WWW-Authenticate": 'Basic realm="x"'}, b"")
    )
    own.serve("/live.m3u8", playlist(address))
    for path in ("/x", "/live.m3u8"):
        with pytest.raises(InputError):
            watch(own.url(path, user=_USER), options=secret)
    told = str(other.asked)
    assert own.passwords()
    assert not any(one in told for one in ("authorization", "HeaderSecret99", "CookieSecret99"))


@contextmanager
def a_dripper(head: bytes, drip: bytes, *, seconds: float = 0.05) -> Iterator[str]:
    """A server that answers with a head, and then with the same few bytes for as long as somebody takes them."""
    ended = threading.Event()

    def serve() -> None:
        while not ended.is_set():
            try:
                line, _ = server.accept()
            except OSError:
                return
            with line, suppress(OSError):
                line.recv(65536)
                line.sendall(head)
                while not ended.wait(seconds):
                    line.sendall(drip)

    with socket.create_server(("127.0.0.1", 0)) as server:
        threading.Thread(target=serve, daemon=True).start()
        yield f"http://127.0.0.1:{server.getsockname()[1]}/live.ts"
        ended.set()
        server.shutdown(socket.SHUT_RDWR)


_DRIPS = {
    "headers": (b"HTTP/1.1 200 OK\r\n", b"X: y\r\n"),
    "one header": (b"HTTP/1.1 200 OK\r\nX: ", b"y"),
    "go on": (b"", b"HTTP/1.1 100 Continue\r\n\r\n"),
    "size of a chunk": (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", b"0"),
}


@pytest.mark.parametrize("drip", _DRIPS)
def test_a_server_that_drips_is_given_up(drip: str) -> None:
    """Each byte began the timeout anew."""
    with a_dripper(*_DRIPS[drip]) as url:
        begun = time.monotonic()
        with pytest.raises(InputError):
            watch(url, open_seconds=0.5, silence_seconds=0.5)
        assert time.monotonic() - begun < 20


def test_a_source_that_is_stopped_waits_for_no_server() -> None:
    with a_dripper(*_DRIPS["one header"]) as url:
        source = LiveSource(parse_source(url), SourceConfig(open_seconds=600, silence_seconds=600))
        reading = threading.Thread(target=source.run, args=(Counter(1),), daemon=True)
        reading.start()
        time.sleep(0.3)
        source.stop()
        reading.join(20)
        assert not reading.is_alive()


@pytest.mark.parametrize(
    "status", ["302 Found\r\nLocation: /y", '401 No\r\nWWW-Authenticate: Digest realm="x", nonce="y"']
)
def test_what_comes_with_a_refusal_is_not_read(status: str) -> None:
    """It took all memory."""
    with a_dripper(f"HTTP/1.1 {status}\r\n\r\n".encode(), b"x" * (1 << 20), seconds=0) as url:
        tracemalloc.start()
        try:
            with pytest.raises(InputError):
                watch(url.replace("127.0.0.1", f"{_USER}@127.0.0.1"), open_seconds=1.0)
            assert tracemalloc.get_traced_memory()[1] < 48 << 20
        finally:
            tracemalloc.stop()


def test_certificates_are_checked_for_segments_too(make_web: MakeWeb, segment: bytes, authority: Any) -> None:
    known = make_web(tls=authority.server("127.0.0.1"))
    forger = make_web(tls=authority.server("127.0.0.1", trusted=False))
    known.serve("/good.m3u8", playlist("a.ts"))
    known.serve("/bad.m3u8", playlist(forger.url("/a.ts")))
    known.serve("/a.ts", segment)
    forger.serve("/a.ts", segment)
    trusted = {"ca_file": str(authority.file)}
    assert watch(known.url("/good.m3u8"), **trusted) >= 3
    with pytest.raises(SourceRefused, match=r"certificate of 127\.0\.0\.1 is not trusted: self-signed"):
        watch(known.url("/bad.m3u8"), **trusted)
    assert forger.asked == []
    assert watch(known.url("/bad.m3u8"), verify=False) >= 3
