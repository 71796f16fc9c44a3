"""Films in a store and results in a store, through a server that speaks S3's protocol."""

import os
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import pytest

from vidrestore import storage
from vidrestore.config import update
from vidrestore.errors import ConfigError, InputError, OutputError
from vidrestore.jobs.batch import BatchConfig, run_batch
from vidrestore.runtime.crew import LocalCrew
from vidrestore.video.reader import VideoReader

pytest.importorskip("moto", reason="no server of S3's protocol")
pytest.importorskip("s3fs", reason="no client of S3's protocol")

MakeClip = Callable[..., Path]
SECRET = "hunter2hunter2"  # noqa: S105  the test looks for it


@pytest.fixture(scope="module")
def store() -> Iterator[Any]:
    """A client of a fresh server, with a bucket `films`; credentials are in the environment, as users have them."""
    import s3fs  # noqa: PLC0415
    from moto.server import ThreadedMotoServer  # noqa: PLC0415  optional

    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    before = dict(os.environ)
    os.environ.update(
        AWS_ACCESS_KEY_ID="tester",
        AWS_SECRET_ACCESS_KEY=SECRET,
        AWS_DEFAULT_REGION="us-east-1",
        AWS_ENDPOINT_URL=f"http://{host}:{port}",
    )
    files = s3fs.S3FileSystem()
    files.mkdir("films")
    yield files
    server.stop()
    os.environ.clear()
    os.environ.update(before)


@pytest.fixture(autouse=True)
def _own_spool(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))


def a_job(**options: Any) -> BatchConfig:
    restore = {"encode": {"lossless": True}, "tracker": {"history_seconds": 0.6, "lookahead_seconds": 0.2}}
    return update(BatchConfig(), {"restore": restore, "runtime": "local", "segment_seconds": 0.8, **options})


def test_a_bucket_is_mirrored_into_a_bucket(
    store: Any,
    make_clip: MakeClip,
    crew: Callable[[], LocalCrew],
    tmp_path: Path,
    capfd: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    local = tmp_path / "local"
    for number, name in enumerate(("a.mp4", "deep/b.mp4")):
        store.put(str(make_clip(local, name, frames=50, seed=number)), f"films/in/{name}")
    store.pipe("films/in/notes.txt", b"not a film")
    report = run_batch(["s3://films/in"], "s3://films/out", a_job(), open_crew=crew)
    assert (report.done, report.failed) == (2, 0)
    assert report.ignored == ("s3://films/in/notes.txt",)
    made = sorted(path for path in store.find("films/out"))
    names = (".vidrestore/journal.jsonl", "a.mkv", "deep/b.mkv", "job_report.html", "job_report.json")
    assert made == [f"films/out/{name}" for name in names]
    run_batch([str(local)], str(tmp_path / "out"), a_job(), open_crew=crew)
    for name in ("a.mkv", "deep/b.mkv"):
        copy = tmp_path / "copy.mkv"
        store.get(f"films/out/{name}", str(copy))
        with VideoReader(copy) as one, VideoReader(tmp_path / "out" / name) as other:
            assert [f.planes[0].tobytes() for f in one] == [f.planes[0].tobytes() for f in other]
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "another driver's machine"))
    again = run_batch(["s3://films/in"], "s3://films/out", a_job(), open_crew=crew)
    assert all(film.resumed for film in again.films)
    store.pipe("films/in/a.mp4", (local / "deep" / "b.mp4").read_bytes())
    store.invalidate_cache()
    third = run_batch(["s3://films/in/*.mp4"], "s3://films/out", a_job(), open_crew=crew)
    assert [film.resumed for film in third.films] == [False]
    told = capfd.readouterr()
    assert SECRET not in told.out + told.err + store.cat("films/out/job_report.json").decode()


def test_copies_are_shared_and_bounded(store: Any) -> None:
    for number in range(4):
        store.pipe(f"films/spool/{number}", bytes([number]) * 1000)
    kept = []
    for number in range(4):
        address = f"s3://films/spool/{number}"
        with storage.fetched(address, storage.fingerprint(address), spool_gib=2500 / 2**30) as local:
            assert local.read_bytes() == bytes([number]) * 1000
            kept.append(local)
    assert not kept[0].exists(), "the oldest gave way"
    assert kept[3].exists()
    address = "s3://films/spool/3"
    with storage.fetched(address, storage.fingerprint(address)) as local:
        assert local == kept[3], "it is not fetched twice"


@pytest.mark.usefixtures("store")
def test_what_is_not_there_is_said(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="cannot be read"):
        storage.fingerprint("s3://films/none.mp4")
    with pytest.raises(InputError, match="holds no film"):
        run_batch(["s3://films/nowhere"], str(tmp_path), a_job())
    made = tmp_path / "x"
    made.write_bytes(b"1")
    with pytest.raises(OutputError, match="could not be written"):
        storage.publish(made, "s3://no-such-bucket-here/x")
    with pytest.raises(ConfigError, match="cannot be opened"):
        storage.fingerprint("nonsense://x/y.mp4")


def test_keys_do_not_lead_out(store: Any, tmp_path: Path, crew: Callable[[], LocalCrew]) -> None:
    store.pipe("films/odd/../../../evil.mp4", b"x")
    with pytest.raises(ConfigError, match="leaves the output folder"):
        run_batch(["s3://films/odd"], str(tmp_path / "deep" / "out"), a_job(), open_crew=crew)


def test_results_in_the_same_bucket_are_no_sources(
    store: Any, make_clip: MakeClip, crew: Callable[[], LocalCrew], tmp_path: Path
) -> None:
    store.mkdir("one")
    store.put(str(make_clip(tmp_path, frames=10)), "one/a.mp4")
    for _ in range(2):
        report = run_batch(["s3://one"], "s3://one/restored", a_job(), open_crew=crew)
        assert [film.destination for film in report.films] == ["a.mkv"]


def test_workers_read_a_copy_together(store: Any) -> None:
    store.pipe("films/common", b"x" * 1000)
    address = "s3://films/common"
    mark = storage.fingerprint(address)
    with storage.fetched(address, mark) as one, ThreadPoolExecutor(1) as other:

        def read() -> bytes:
            with storage.fetched(address, mark) as two:
                assert two == one
                return two.read_bytes()

        assert other.submit(read).result(timeout=10) == b"x" * 1000


def test_a_film_may_lie_behind_http(make_clip: MakeClip, crew: Callable[[], LocalCrew], tmp_path: Path) -> None:
    make_clip(tmp_path / "www", "a film.mp4", frames=10)
    handler = partial(SimpleHTTPRequestHandler, directory=str(tmp_path / "www"))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = Thread(target=server.serve_forever)
        thread.start()
        address = f"http://127.0.0.1:{server.server_port}"
        try:
            report = run_batch([f"{address}/a%20film.mp4"], str(tmp_path / "out"), a_job(), open_crew=crew)
            with pytest.raises(InputError, match="cannot be read"):
                run_batch([f"{address}/none.mp4"], str(tmp_path / "out2"), a_job(), open_crew=crew)
        finally:
            server.shutdown()
            thread.join()
    assert [(film.state, film.frames) for film in report.films] == [("done", 10)]


def test_a_store_that_tells_nothing_is_looked_at() -> None:
    import fsspec  # noqa: PLC0415

    files = fsspec.filesystem("memory")
    files.pipe("/a", b"one")
    first = storage.fingerprint("memory://a")
    files.pipe("/a", b"two")
    assert storage.fingerprint("memory://a") != first


def test_a_local_file_stays_where_it_is(tmp_path: Path) -> None:
    path = tmp_path / "a"
    path.write_bytes(b"1")
    with storage.fetched(storage.clean(f"file://{path}"), "x") as local:
        assert local == path
    storage.publish(path, str(tmp_path / "deep" / "b"))
    assert not path.exists()
    assert (tmp_path / "deep" / "b").read_bytes() == b"1"
