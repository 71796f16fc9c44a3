"""Streams without networks: what is tested here is everything around them."""

import http.server
import ipaddress
import ssl
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Self

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from benchmarks.rtsp_relay import RtspRelay
from vidrestore.config import update
from vidrestore.inference.live_inference import live_models
from vidrestore.inference.worker import ModelInfo
from vidrestore.live.addresses import parse_source, parse_target
from vidrestore.live.config import StreamConfig
from vidrestore.live.fallback import GuardCounts
from vidrestore.live.stream import LiveStream
from vidrestore.restoration.pipeline import InferenceModels


def answered(value: Sequence[Any]) -> Future[Sequence[Any]]:
    future: Future[Sequence[Any]] = Future()
    future.set_result(value)
    return future


class FakeWorker:
    """Finds nothing, after as much time as it is told to take."""

    def __init__(self) -> None:
        self.seconds = 0.0
        self.broken = False

    def submit(self, method: str, batch: Sequence[Any]) -> Future[Sequence[Any]]:
        if self.broken:
            raise RuntimeError("the worker is gone")
        time.sleep(self.seconds)
        return answered([() if method == "detect" else item for item in batch])


def parts_of(worker: FakeWorker, config: StreamConfig, counts: GuardCounts) -> InferenceModels:
    return live_models(worker.submit, ModelInfo(crop_size=64, batch_size=1, model_sha256=""), config, counts)


@pytest.fixture
def relay() -> Iterator[RtspRelay]:
    with RtspRelay() as server:
        yield server


@pytest.fixture
def worker() -> FakeWorker:
    return FakeWorker()


@pytest.fixture
def make_stream(worker: FakeWorker) -> Callable[..., LiveStream]:
    """Build a stream from a source to targets, with options as `update` takes them."""

    def make(
        address: str | Path, /, *targets: str | Path, events: list[str] | None = None, **options: Any
    ) -> LiveStream:
        config = update(StreamConfig(), {"restore": {"detection": {"interval_seconds": 0}}})
        config = update(config, options)
        counts = GuardCounts()
        return LiveStream(
            "test",
            parse_source(str(address)),
            [parse_target(str(target)) for target in targets],
            config,
            parts_of(worker, config, counts),
            workers=counts,
            on_event=(events if events is not None else []).append,
        )

    return make


@dataclass(frozen=True)
class Authority:
    """Makes certificates of TLS; `file` is its own, which who trusts it names."""

    folder: Path
    key: ec.EllipticCurvePrivateKey
    name: x509.Name

    @property
    def file(self) -> Path:
        return self.folder / "authority.pem"

    def server(self, *names: str, trusted: bool = True) -> ssl.SSLContext:
        """A server's context with a certificate for these names; not trusted: signed by itself."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        file = self.folder / f"server-{'-'.join(names).replace(':', '_')}-{trusted}.pem"
        key = ec.generate_private_key(ec.SECP256R1())
        signed = a_certificate(names[0], key, issuer=self if trusted else None, names=names)
        file.write_bytes(signed + pem_of(key))
        context.load_cert_chain(file)
        return context


def a_certificate(
    name: str, key: ec.EllipticCurvePrivateKey, *, issuer: Authority | None, names: Sequence[str] = ()
) -> bytes:
    subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])
    now = datetime.now(UTC)
    built = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer.name if issuer else subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.BasicConstraints(ca=not names, path_length=None), critical=True)
    )
    if names:
        alternatives = [
            x509.IPAddress(ipaddress.ip_address(one)) if one[0].isdigit() or ":" in one else x509.DNSName(one)
            for one in names
        ]
        built = built.add_extension(x509.SubjectAlternativeName(alternatives), critical=False)
    return built.sign(issuer.key if issuer else key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)


def pem_of(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    key = ec.generate_private_key(ec.SECP256R1())
    folder = tmp_path / "certificates"
    folder.mkdir()
    made = Authority(folder, key, x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "test authority")]))
    made.file.write_bytes(a_certificate("test authority", key, issuer=None))
    return made


@dataclass
class Web:
    """A web server that answers from a table, and notes what it is asked."""

    host: str = "127.0.0.1"
    tls: ssl.SSLContext | None = None
    answers: dict[str, Callable[["Web", dict[str, str]], tuple[int, dict[str, str], bytes]]] = field(
        default_factory=dict
    )
    asked: list[tuple[str, dict[str, str]]] = field(default_factory=list)
    port: int = 0

    def url(self, path: str, *, user: str = "", host: str = "") -> str:
        scheme = "https" if self.tls else "http"
        return f"{scheme}://{f'{user}@' if user else ''}{host or self.host}:{self.port}{path}"

    def serve(self, path: str, body: bytes, *, status: int = 200, **headers: str) -> None:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        self.answers[path] = lambda *_: (status, named, body)

    def passwords(self) -> list[str]:
        return [headers["authorization"] for _, headers in self.asked if "authorization" in headers]

    def __enter__(self) -> Self:
        web = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            timeout = 10

            def do_GET(self) -> None:
                headers = {name.lower(): value for name, value in self.headers.items()}
                web.asked.append((self.path, headers))
                none = 404, {}, b""
                answer = web.answers.get(self.path.partition("?")[0])
                status, extra, body = answer(web, headers) if answer else none
                begin, end = range_of(headers, len(body))
                if status == 200 and "range" in headers and {"Accept-Ranges", "X-Sends-Parts"} & extra.keys():
                    status = 206
                    extra = extra | {"Content-Range": f"bytes {begin}-{end - 1}/{len(body)}"}
                    body = body[begin:end]
                self.send_response(status)
                for name, value in ({"Content-Length": str(len(body))} | extra).items():
                    self.send_header(name, value)
                self.end_headers()
                with suppress(OSError):
                    self.wfile.write(body)

            def log_message(self, format: str, *args: Any) -> None:  # noqa: A002  the name is http.server's
                pass

        class Server(http.server.ThreadingHTTPServer):
            daemon_threads = True
            block_on_close = False

            def finish_request(self, request: Any, address: Any) -> None:
                with suppress(OSError):
                    if web.tls:
                        request.settimeout(5)
                        with web.tls.wrap_socket(request, server_side=True) as line:
                            super().finish_request(line, address)  # type: ignore[arg-type]
                    else:
                        super().finish_request(request, address)

        self._server = Server((self.host, 0), Handler)
        self.port = self._server.server_address[1]
        threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()


def range_of(headers: dict[str, str], length: int) -> tuple[int, int]:
    begin, _, end = headers.get("range", "bytes=0-").removeprefix("bytes=").partition("-")
    return int(begin or 0), int(end) + 1 if end else length


@pytest.fixture
def make_web() -> Iterator[Callable[..., Web]]:
    """Start web servers, on 127.0.0.1 unless another address of this machine is given."""
    with ExitStack() as stack:
        yield lambda **options: stack.enter_context(Web(**options))
