"""An RTSP server that sends its clients elsewhere."""

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from support.live_sources import take
from vidrestore.errors import InputError
from vidrestore.live.rtsp_redirects import _proof
from vidrestore.live.source_errors import SourceRefused

pytestmark = pytest.mark.integration


class Server:
    """Answers each method from a list, the last answer for ever, and notes what it is shown."""

    def __init__(self, host: str, answers: dict[str, list[str]]) -> None:
        self.shown: list[str] = []
        self._answers = answers
        self._server = socket.create_server((host, 0))
        self.place = f"{host}:{self._server.getsockname()[1]}"
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        while True:
            try:
                line, _ = self._server.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(line,), daemon=True).start()

    def _serve(self, line: socket.socket) -> None:
        with line:
            line.settimeout(5)
            data = b""
            while True:
                try:
                    more = line.recv(4096)
                except OSError:
                    return
                data += more
                if not more:
                    return
                while b"\r\n\r\n" in data:
                    head, _, data = data.partition(b"\r\n\r\n")
                    line.sendall(self._answer(head.decode()).encode())

    def _answer(self, head: str) -> str:
        lines = head.split("\r\n")
        self.shown += [one.partition(":")[2].strip() for one in lines if one.lower().startswith("authorization:")]
        number = next(one for one in lines if one.lower().startswith("cseq"))
        answers = self._answers.get(lines[0].split()[0], ["404 Not Found"])
        answer = answers.pop(0) if len(answers) > 1 else answers[0]
        if "401" in answer and self.shown and "ok" in self._answers:
            answer = self._answers["ok"][0]
        status, _, headers = answer.partition("\n")
        return f"RTSP/1.0 {status}\r\n{number}\r\n{headers}{chr(13) + chr(10) if headers else ''}\r\n"

    def close(self) -> None:
        self._server.shutdown(socket.SHUT_RDWR)
        self._server.close()


@contextmanager
def serving(host: str = "127.0.0.1", **answers: list[str]) -> Iterator[Server]:
    server = Server(host, answers)
    try:
        yield server
    finally:
        server.close()


_BASIC = '401 Unauthorized\nWWW-Authenticate: Basic realm="r"'
_DIGEST = '401 Unauthorized\nWWW-Authenticate: Digest realm="r", nonce="n"'
_OK = "200 OK\nPublic: OPTIONS, DESCRIBE"


@pytest.mark.parametrize("status", [301, 302, 303, 305, 307])
@pytest.mark.parametrize("wants", [_BASIC, _DIGEST])
@pytest.mark.parametrize("method", ["OPTIONS", "DESCRIBE"])
def test_a_password_does_not_follow_to_another_host(status: int, wants: str, method: str) -> None:
    with serving("127.0.0.2", OPTIONS=[wants], DESCRIBE=[wants]) as other:
        leads = f"{status} Moved\nLocation: rtsp://{other.place}/live"
        with serving(OPTIONS=[leads if method == "OPTIONS" else _OK], DESCRIBE=[leads]) as camera:
            with pytest.raises(SourceRefused, match="another host") as refused:
                take(f"rtsp://admin:Hunter2@{camera.place}/live")
            assert other.shown == []
            assert "Hunter2" not in refused.value.message


def test_a_password_does_not_follow_to_another_port() -> None:
    with serving(OPTIONS=[_BASIC], DESCRIBE=[_BASIC]) as other:
        leads = f"302 Moved\nLocation: rtsp://{other.place}/live"
        with serving(OPTIONS=[leads], DESCRIBE=[leads]) as camera:
            with pytest.raises(SourceRefused, match="another host or port"):
                take(f"rtsp://admin:Hunter2@{camera.place}/live")
            assert other.shown == []


def test_nor_after_the_first_host_accepted_it() -> None:
    with serving("127.0.0.2", OPTIONS=[_BASIC], DESCRIBE=[_BASIC]) as other:
        leads = f"302 Moved\nLocation: rtsp://{other.place}/live"
        with serving(OPTIONS=[_OK], DESCRIBE=[_BASIC], ok=[leads]) as camera:
            with pytest.raises(SourceRefused, match="another host"):
                take(f"rtsp://admin:Hunter2@{camera.place}/live")
            assert camera.shown == ["Basic YWRtaW46SHVudGVyMg=="]
            assert other.shown == []


def test_nor_when_only_ffmpeg_is_sent_there() -> None:
    """A server that sends one client away and not the next."""
    with serving("127.0.0.2", OPTIONS=[_BASIC], DESCRIBE=[_BASIC]) as other:
        leads = f"302 Moved\nLocation: rtsp://{other.place}/live"
        with serving(OPTIONS=[_OK], DESCRIBE=[leads, "404 Not Found"]) as camera:
            with pytest.raises(InputError):
                take(f"rtsp://admin:Hunter2@{camera.place}/live")
            assert other.shown == []


def test_without_a_password_a_redirect_is_followed() -> None:
    with (
        serving("127.0.0.2", OPTIONS=[_OK]) as other,
        serving(OPTIONS=[_OK], DESCRIBE=[f"302 Moved\nLocation: rtsp://{other.place}/live"]) as camera,
        pytest.raises(InputError, match="404"),
    ):
        take(f"rtsp://{camera.place}/live")


def test_a_server_that_sends_its_clients_round_in_circles_is_given_up() -> None:
    with serving(OPTIONS=[_OK]) as camera:
        camera._answers["DESCRIBE"] = [f"302 Moved\nLocation: rtsp://{camera.place}/live"]
        with pytest.raises(SourceRefused, match="without end"):
            take(f"rtsp://admin:Hunter2@{camera.place}/live")


def test_digest_is_answered_as_in_its_standard() -> None:
    """The example of RFC 2617, 3.5, without qop as in RFC 2069."""
    offer = 'Digest realm="testrealm@host.com", nonce="dcd98b7102dd2f0e8b11d0f600bfb0c093"'
    proof = _proof(offer, ("Mufasa", "Circle Of Life"), "GET", "/dir/index.html")
    assert 'response="670fd8c2df070c60b045671b8b24ff02"' in proof
