"""Downloads from a server on this machine that does what servers do: resume, ignore, break off, lie."""

import hashlib
import json
import os
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from vidrestore.errors import ModelError
from vidrestore.models import zoo
from vidrestore.models.zoo import ZooEntry

pytestmark = pytest.mark.integration

CONTENT = bytes(range(256)) * 20_000  # 5 MB


@dataclass
class Server:
    """What the server does next, and what it was asked."""

    url: str = ""
    content: bytes = CONTENT
    ranges: bool = True
    break_after: list[int] = field(default_factory=list)
    """Bytes after which each coming answer breaks off."""
    status: int | None = None
    asked: list[str | None] = field(default_factory=list)
    """The Range header of each request."""

    def answer(self, request: BaseHTTPRequestHandler) -> None:
        wanted = request.headers.get("Range")
        self.asked.append(wanted)
        start = int(wanted.removeprefix("bytes=").rstrip("-")) if wanted and self.ranges else 0
        size = len(self.content)
        if self.status is not None:
            request.send_error(self.status)
        elif start >= size:
            request.send_response(416)
            request.send_header("Content-Range", f"bytes */{size}")
            request.send_header("Content-Length", "0")
            request.end_headers()
        else:
            request.send_response(206 if start else 200)
            request.send_header("Content-Length", str(size - start))
            request.send_header("Content-Range", f"bytes {start}-{size - 1}/{size}")
            request.end_headers()
            stop = start + self.break_after.pop(0) if self.break_after else size
            request.wfile.write(self.content[start:stop])
        request.close_connection = True


@pytest.fixture
def server() -> Iterator[Server]:
    state = Server()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            state.answer(self)

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as http:
        state.url = f"http://127.0.0.1:{http.server_port}/weights.pth"
        thread = threading.Thread(target=http.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        yield state
        http.shutdown()
        thread.join()


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "cache"
    monkeypatch.setenv("VIDRESTORE_CACHE", str(folder))
    for proxy in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(proxy, raising=False)
    return folder


@pytest.fixture
def publish(monkeypatch: pytest.MonkeyPatch, cache: Path) -> Callable[..., ZooEntry]:
    """Put one entry, `toy`, beside the real ones."""
    del cache

    def publish(*urls: str, sha256: str | None = None) -> ZooEntry:
        entry = ZooEntry(
            name="toy",
            kind="restorer",
            filename="toy.pth",
            urls=urls,
            sha256=sha256 or hashlib.sha256(CONTENT).hexdigest(),
            size=len(CONTENT),
            licence="CC0",
            description="",
        )
        real = tuple(entry for entry in zoo._ENTRIES if entry.name != "toy")
        monkeypatch.setattr(zoo, "_ENTRIES", (*real, entry))
        return entry

    return publish


Publish = Callable[..., ZooEntry]


def test_a_download_is_checked_put_in_place_and_counted(cache: Path, server: Server, publish: Publish) -> None:
    publish(server.url)
    assert not zoo.is_here("toy")
    seen: list[tuple[int, int | None]] = []
    path = zoo.fetch("toy", on_progress=lambda done, total: seen.append((done, total)))
    assert path == cache / "toy.pth"
    assert path.read_bytes() == CONTENT
    assert seen[-1] == (len(CONTENT), len(CONTENT))
    assert seen == sorted(seen)
    assert zoo.is_here("toy")
    assert sorted(file.name for file in cache.iterdir()) == ["toy.pth", "toy.pth.lock"]


def test_the_cache_is_used_without_a_network_and_without_hashing_again(
    cache: Path, server: Server, publish: Publish, monkeypatch: pytest.MonkeyPatch
) -> None:
    publish(server.url)
    zoo.fetch("toy")
    publish("http://127.0.0.1:9/gone")
    monkeypatch.setattr(zoo, "_hash", lambda path: pytest.fail(f"hashed {path}"))
    assert zoo.resolve("toy") == cache / "toy.pth"
    assert len(server.asked) == 1


def test_connections_that_break_off_are_resumed_where_they_ended(server: Server, publish: Publish) -> None:
    publish(server.url)
    server.break_after = [3_000_000, 0, 1_000_000]
    assert zoo.fetch("toy").read_bytes() == CONTENT
    starts = [int(asked.removeprefix("bytes=").rstrip("-")) if asked else 0 for asked in server.asked]
    assert starts == sorted(starts)
    assert starts[0] == 0
    assert 0 < starts[1] <= 3_000_000 < len(CONTENT)


def test_what_an_interrupted_run_left_is_resumed(cache: Path, server: Server, publish: Publish) -> None:
    publish(server.url)
    cache.mkdir()
    (cache / "toy.pth.part").write_bytes(CONTENT[:1_234_567])
    assert zoo.fetch("toy").read_bytes() == CONTENT
    assert server.asked == ["bytes=1234567-"]


def test_a_part_that_is_already_whole_needs_no_more_bytes(cache: Path, server: Server, publish: Publish) -> None:
    publish(server.url)
    cache.mkdir()
    (cache / "toy.pth.part").write_bytes(CONTENT)
    assert zoo.fetch("toy").read_bytes() == CONTENT


def test_a_part_longer_than_the_file_is_started_over(cache: Path, server: Server, publish: Publish) -> None:
    publish(server.url)
    cache.mkdir()
    (cache / "toy.pth.part").write_bytes(CONTENT + b"more")
    assert zoo.fetch("toy").read_bytes() == CONTENT


def test_a_server_that_ignores_ranges_is_read_from_the_start(cache: Path, server: Server, publish: Publish) -> None:
    publish(server.url)
    server.ranges = False
    cache.mkdir()
    (cache / "toy.pth.part").write_bytes(b"stale")
    assert zoo.fetch("toy").read_bytes() == CONTENT


def test_wrong_bytes_are_removed_and_both_hashes_are_said(cache: Path, server: Server, publish: Publish) -> None:
    entry = publish(server.url)
    server.content = b"something else"
    found = hashlib.sha256(server.content).hexdigest()
    with pytest.raises(ModelError, match=f"got sha256 {found}, wanted {entry.sha256}, so the file was removed"):
        zoo.fetch("toy")
    assert [file.name for file in cache.iterdir()] == ["toy.pth.lock"]


def test_the_next_address_is_tried(server: Server, publish: Publish) -> None:
    publish("http://127.0.0.1:9/gone", server.url)
    assert zoo.fetch("toy").read_bytes() == CONTENT


@pytest.mark.parametrize("status", [404, 503])
def test_a_refusal_says_how_to_do_it_by_hand(cache: Path, server: Server, publish: Publish, status: int) -> None:
    publish(server.url)
    server.status = status
    with pytest.raises(ModelError, match=f"{status}.*by hand to {cache / 'toy.pth'}") as caught:
        zoo.fetch("toy")
    assert "\n" not in caught.value.message


def test_no_network_is_one_line_and_keeps_what_was_had(cache: Path, publish: Publish) -> None:
    publish("http://127.0.0.1:9/weights.pth")
    cache.mkdir()
    (cache / "toy.pth.part").write_bytes(b"kept")
    with pytest.raises(ModelError, match="ConnectionError") as caught:
        zoo.fetch("toy")
    assert "\n" not in caught.value.message
    assert (cache / "toy.pth.part").read_bytes() == b"kept"


def test_fetching_at_once_downloads_once(server: Server, publish: Publish) -> None:
    publish(server.url)
    with ThreadPoolExecutor(4) as pool:
        paths = list(pool.map(lambda _: zoo.fetch("toy"), range(4)))
    assert {path.read_bytes() for path in paths} == {CONTENT}
    assert server.asked == [None]


def test_a_cached_file_that_changed_is_hashed_again_and_removed(server: Server, publish: Publish) -> None:
    publish(server.url)
    path = zoo.fetch("toy")
    path.write_bytes(b"damaged")
    with pytest.raises(ModelError, match="it was removed: fetch toy again"):
        zoo.resolve("toy")
    assert not path.exists()
    assert zoo.fetch("toy").read_bytes() == CONTENT


def test_verify_wants_a_file_and_hashes_it(server: Server, publish: Publish) -> None:
    publish(server.url)
    with pytest.raises(ModelError, match="fetch it first"):
        zoo.verify("toy")
    path = zoo.fetch("toy")
    assert zoo.verify("toy") == path


@pytest.mark.parametrize("in_place", [True, False])
def test_replaced_weights_are_found_despite_the_hash_cache(server: Server, publish: Publish, *, in_place: bool) -> None:
    entry = publish(server.url)
    path = zoo.fetch("toy")
    stat = path.stat()
    if not in_place:
        path.unlink()
    path.write_bytes(CONTENT[:-1] + b"x")
    os.utime(path, ns=(stat.st_atime_ns, stat.st_mtime_ns))
    note = {"size": stat.st_size, "mtime_ns": stat.st_mtime_ns, "inode": path.stat().st_ino, "sha256": entry.sha256}
    path.with_name("toy.pth.verified.json").write_text(json.dumps(note))
    with pytest.raises(ModelError, match="it was removed: fetch toy again"):
        zoo.resolve("toy")


@pytest.mark.parametrize("name", ["toy.pth.lock", "toy.pth.part"])
def test_a_link_planted_in_the_cache_is_not_followed(
    cache: Path, tmp_path: Path, server: Server, publish: Publish, name: str
) -> None:
    publish(server.url)
    precious = tmp_path / "precious"
    precious.write_bytes(b"keep")
    cache.mkdir()
    (cache / name).symlink_to(precious)
    with pytest.raises(ModelError):
        zoo.fetch("toy")
    assert precious.read_bytes() == b"keep"


def test_a_cache_that_cannot_be_made_is_an_error_with_advice(
    tmp_path: Path, publish: Publish, monkeypatch: pytest.MonkeyPatch
) -> None:
    publish("http://127.0.0.1:9/gone")
    (tmp_path / "file").touch()
    monkeypatch.setenv("VIDRESTORE_CACHE", str(tmp_path / "file" / "cache"))
    with pytest.raises(ModelError, match="set VIDRESTORE_CACHE"):
        zoo.fetch("toy")


def test_a_name_wins_over_a_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, server: Server, publish: Publish
) -> None:
    publish(server.url)
    monkeypatch.chdir(tmp_path)
    for name in ("toy", "embedded", "gfpgan-v1.4", "own", "own.pth"):
        Path(name).write_bytes(b"mine")
    assert zoo.resolve("toy").read_bytes() == CONTENT
    assert zoo.resolve("embedded").is_absolute()
    assert not zoo.is_path("gfpgan-v1.4")
    for path in ("./toy", "own.pth", "./embedded", tmp_path / "toy", Path("toy")):
        assert zoo.resolve(path) == Path(path)
    with pytest.raises(ModelError, match=r"the file of that name is \./own"):
        zoo.resolve("own")


def test_a_path_is_made_absolute_and_a_name_is_not(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("embedded", "gfpgan-v1.4", "unknown-v2.0"):
        assert zoo.absolute(name) == name
    for path in ("./embedded", "own.safetensors", "sub/own"):
        assert zoo.absolute(path) == str(tmp_path / path)


def test_an_unknown_name_gets_a_suggestion_and_the_list(cache: Path) -> None:
    del cache
    with pytest.raises(ModelError, match=r"did you mean 'gfpgan-v1\.4'\? .*embedded, embedded-fast, gfpgan-v1\.4"):
        zoo.resolve("GFPGANv1.4")
    with pytest.raises(ModelError, match=r"no weights at .*mine\.pth; give an existing file or one of embedded"):
        zoo.resolve("folder/mine.pth")


def test_the_embedded_weights_are_the_pinned_ones_and_need_no_cache(cache: Path) -> None:
    path = zoo.verify("embedded")
    entry = zoo.entries()[0]
    assert (entry.name, entry.size) == ("embedded", path.stat().st_size)
    assert zoo.resolve("embedded") == path
    assert zoo.sha256_of(path) == entry.sha256
    assert not cache.exists()


def test_damaged_embedded_weights_are_not_used(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(zoo, "_hashes", {})
    monkeypatch.setattr(zoo, "_hash", lambda _: "0" * 64)
    with pytest.raises(ModelError, match="install vidrestore again"):
        zoo.resolve("embedded")


def test_every_entry_is_pinned_and_comes_from_its_authors() -> None:
    assert len({entry.name for entry in zoo.entries()}) == len(zoo.entries())
    for entry in zoo.entries():
        assert len(bytes.fromhex(entry.sha256)) == 32
        assert all(
            url.startswith(("https://github.com/TencentARC/", "https://github.com/xinntao/")) for url in entry.urls
        )
