"""Films in a store and results in a store, through a server that speaks S3's protocol."""

import json
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
from vidrestore.errors import ConfigError, InputError, Interrupted, OutputError
from vidrestore.jobs.config import BatchConfig
from vidrestore.jobs.entries import SegmentDone, VideoPlanned
from vidrestore.jobs.inputs import discover_inputs
from vidrestore.jobs.journal import _line, _sealed
from vidrestore.jobs.progress import JobProgress
from vidrestore.jobs.report import JobReport
from vidrestore.jobs.restore import restore_video, restore_videos
from vidrestore.jobs.segment import SegmentReport
from vidrestore.jobs.tasks import PartReport, VideoPlan
from vidrestore.media.reader import ReadStatistics, SegmentRange, VideoReader
from vidrestore.report import Counts
from vidrestore.runtime.worker_pool import LocalWorkerPool

pytestmark = pytest.mark.integration

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


def forged_journal(*, destination: str, part: str) -> bytes:
    """What anybody can write: a plan, and a part beyond it whose address is something to remove."""
    plan = VideoPlan("ab" * 32, 10, 160, 120, 0.4, (SegmentRange(),), (10,), (), None)
    planned = VideoPlanned(destination, "s3://films/forged/a.mp4", "x", "y", plan)
    report = PartReport(part, "cd" * 32, 5, SegmentReport(-10, ReadStatistics(-10), Counts(), {}))
    entries = (planned, SegmentDone(destination, planned.key, 99, report, 0.0, 1, passthrough=False))
    return _sealed({"what": "vidrestore job journal", "format": 1}) + b"".join(_line(one, None) for one in entries)


def test_a_bucket_is_mirrored_into_a_bucket(
    store: Any,
    make_clip: MakeClip,
    pool: Callable[[], LocalWorkerPool],
    tmp_path: Path,
    capfd: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("VIDRESTORE_JOURNAL_KEY", "one key for all drivers")
    local = tmp_path / "local"
    for number, name in enumerate(("a.mp4", "deep/b.mp4")):
        store.put(str(make_clip(local, name, frames=50, seed=number)), f"films/in/{name}")
    store.pipe("films/in/notes.txt", b"not a film")
    report = restore_videos(["s3://films/in"], "s3://films/out", a_job(), open_pool=pool)
    assert (report.done, report.failed) == (2, 0)
    assert report.ignored == ("s3://films/in/notes.txt",)
    made = sorted(path for path in store.find("films/out"))
    names = (".vidrestore/journal.jsonl", "a.mkv", "deep/b.mkv", "job_report.html", "job_report.json")
    assert made == [f"films/out/{name}" for name in names]
    restore_videos([str(local)], str(tmp_path / "out"), a_job(), open_pool=pool)
    for name in ("a.mkv", "deep/b.mkv"):
        copy = tmp_path / "copy.mkv"
        store.get(f"films/out/{name}", str(copy))
        with VideoReader(copy) as one, VideoReader(tmp_path / "out" / name) as other:
            assert [f.planes[0].tobytes() for f in one] == [f.planes[0].tobytes() for f in other]
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "another driver's machine"))
    again = restore_videos(["s3://films/in"], "s3://films/out", a_job(), open_pool=pool)
    assert all(video.resumed for video in again.videos)
    store.pipe("films/in/a.mp4", (local / "deep" / "b.mp4").read_bytes())
    store.invalidate_cache()
    third = restore_videos(["s3://films/in/*.mp4"], "s3://films/out", a_job(), open_pool=pool)
    assert [video.resumed for video in third.videos] == [False]
    told = capfd.readouterr()
    assert SECRET not in told.out + told.err + store.cat("films/out/job_report.json").decode()


def test_copies_are_shared_and_bounded(store: Any) -> None:
    for number in range(4):
        store.pipe(f"films/spool/{number}", bytes([number]) * 1000)
    kept = []
    for number in range(4):
        address = f"s3://films/spool/{number}"
        with storage.local_copy(address, storage.fingerprint(address), cache_gib=2500 / 2**30) as local:
            assert local.read_bytes() == bytes([number]) * 1000
            kept.append(local)
    assert not kept[0].exists(), "the oldest gave way"
    assert kept[3].exists()
    address = "s3://films/spool/3"
    with storage.local_copy(address, storage.fingerprint(address)) as local:
        assert local == kept[3], "it is not fetched twice"


@pytest.mark.usefixtures("store")
def test_what_is_not_there_is_said(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="cannot be read"):
        storage.fingerprint("s3://films/none.mp4")
    with pytest.raises(InputError, match="holds no video"):
        restore_videos(["s3://films/nowhere"], str(tmp_path), a_job())
    made = tmp_path / "x"
    made.write_bytes(b"1")
    with pytest.raises(OutputError, match="could not be written"):
        storage.commit(made, "s3://no-such-bucket-here/x")
    with pytest.raises(ConfigError, match="cannot be opened"):
        storage.fingerprint("nonsense://x/y.mp4")


@pytest.mark.parametrize("remote", [False, True])
def test_one_bad_key_costs_one_video(
    store: Any, make_clip: MakeClip, tmp_path: Path, pool: Callable[[], LocalWorkerPool], *, remote: bool
) -> None:
    data = make_clip(tmp_path, frames=10).read_bytes()
    good = ("plain.mp4", "back\\slash.mp4", "chain::http://127.0.0.1/x.mp4", "a::reference://b.mp4", "?#.mp4", "é.mp4")
    good += ("x" * 300 + ".mp4", "a//b.mp4", "e\x1b[2J.mp4")
    for key in (*good, "../../../evil.mp4"):
        store.pipe(f"films/odd{remote}/{key}", data)
    out = "s3://films/odd-out" if remote else str(tmp_path / "deep" / "out")
    report = restore_videos([f"s3://films/odd{remote}"], out, a_job(), open_pool=pool)
    failed = {video.source.partition(f"odd{remote}/")[2]: video.error for video in report.videos if video.error}
    assert failed.keys() == {"../../../evil.mp4"}
    assert "leaves the output folder" in str(failed["../../../evil.mp4"])
    assert report.done == len(good)
    assert not list(tmp_path.rglob("evil*"))


@pytest.mark.usefixtures("store")
@pytest.mark.parametrize(
    "address",
    [
        "reference://film.mp4::/refs.json",
        "local:///etc/a.mp4",
        "zip://a.mp4::s3://films/a.zip",
        "simplecache::s3://films/a.mp4",
        "s3://films/a.mp4::http://127.0.0.1/x",
        "http://127.0.0.1/a.mp4::reference://x",
        "memory://a.mp4",
        "github://o:r@main/a.mp4",
        "blockcache://x.mp4",
        "FTP://host/a.mp4",
        "s3://",
        "s3:///",
        "s3:///key.mp4",
        "https://",
    ],
)
def test_addresses_that_lead_elsewhere_are_refused(address: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError):
        storage.normalize(address)
    with pytest.raises(ConfigError):
        restore_videos([address], str(tmp_path / "out"), a_job())
    with pytest.raises(ConfigError):
        restore_videos([str(tmp_path)], address, a_job())
    manifest = tmp_path / "m.jsonl"
    manifest.write_text(json.dumps({"source": address}) + "\n")
    (video,) = discover_inputs([], str(tmp_path / "out"), a_job().restore, manifest=manifest).videos
    assert video.error is not None


def test_messages_name_the_address_and_not_the_copy(
    store: Any, tmp_path: Path, pool: Callable[[], LocalWorkerPool]
) -> None:
    store.pipe("films/bad/x.mp4", b"this is no film")
    (video,) = restore_videos(["s3://films/bad"], str(tmp_path / "out"), a_job(), open_pool=pool).videos
    assert "s3://films/bad/x.mp4" in str(video.error)
    assert "spool" not in str(video.error)


def test_addresses_of_people_are_taken(tmp_path: Path) -> None:
    for address in ("s3://b/a.mp4", "https://host/a.mp4", "http://[::1]:8000/a.mp4", "gs://b/x", "abfss://c/x"):
        assert storage.normalize(address) == address
    odd = tmp_path / "best::of:// (1).mp4"
    odd.parent.mkdir(parents=True, exist_ok=True)
    assert storage.normalize(f"file://{odd}") == str(tmp_path / "best::of:" / " (1).mp4")


def test_a_forged_copy_of_a_journal_is_not_believed(
    store: Any, make_clip: MakeClip, pool: Callable[[], LocalWorkerPool], tmp_path: Path
) -> None:
    """What an upload account may write to the results does not act on the driver's machine."""
    (tmp_path / "victim").mkdir()
    (tmp_path / "victim" / "thesis.txt").write_text("precious")
    store.mkdir("results")
    store.put(str(make_clip(tmp_path, frames=10)), "films/forged/a.mp4")
    journal = forged_journal(destination="a.mkv", part=str(tmp_path / "victim"))
    store.pipe("results/job/.vidrestore/journal.jsonl", journal)
    report = restore_videos(["s3://films/forged"], "s3://results/job", a_job(), open_pool=pool)
    assert (report.done, report.videos[0].frames, report.videos[0].resumed) == (1, 10, False)
    assert "not signed with your key" in report.journal_notes[0]
    assert (tmp_path / "victim" / "thesis.txt").read_text() == "precious"


def test_a_run_with_another_key_leaves_the_copy_in_the_store(
    store: Any,
    make_clip: MakeClip,
    pool: Callable[[], LocalWorkerPool],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    store.mkdir("keys")
    address = "keys/out/.vidrestore/journal.jsonl"
    store.put(str(make_clip(tmp_path, frames=10)), "keys/in/a.mp4")

    def run(driver: str) -> JobReport:
        monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / driver))
        report = restore_videos(["s3://keys/in"], "s3://keys/out", a_job(), open_pool=pool)
        store.invalidate_cache()
        return report

    assert run("one").done == 1
    first = store.cat(address)
    store.pipe("keys/in/b.mp4", store.cat("keys/in/a.mp4"))
    for _ in range(2):
        other = run("other")
        assert "not signed with your key" in other.journal_notes[0]
    assert all(line in store.cat(address) for line in first.splitlines())
    both = store.cat(address)
    report = run("one")
    assert "a.mkv" in [video.destination for video in report.videos if video.resumed]
    assert all(line in store.cat(address) for line in both.splitlines()), "nor does the first drop the other's"
    monkeypatch.setattr("vidrestore.jobs.journal.MOST_BYTES", 10)
    with pytest.raises(InputError, match="somebody else may have filled it"):
        run("third")
    assert len(store.cat(address)) > 10


def test_a_planted_spool_is_not_used(tmp_path: Path, store: Any) -> None:
    store.pipe("films/planted", b"x" * 10)
    mine = tmp_path / "mine"
    mine.mkdir()
    (mine / "old.mp4").write_bytes(b"x" * 5000)
    spool = tmp_path / f"vidrestore-spool-{os.getuid()}"
    spool.symlink_to(mine)
    address = "s3://films/planted"
    with pytest.raises(InputError, match="is a link"), storage.local_copy(address, "m", cache_gib=0.0):
        pass
    spool.unlink()
    spool.mkdir(mode=0o777)
    (spool / "holiday.mp4").write_bytes(b"x" * 5000)
    with storage.local_copy(address, "m", cache_gib=1000 / 2**30):
        assert spool.stat().st_mode & 0o777 == 0o700
    assert (spool / "holiday.mp4").exists(), "only copies are removed"
    assert [path.name for path in mine.iterdir()] == ["old.mp4"]


def test_results_in_the_same_bucket_are_no_sources(
    store: Any, make_clip: MakeClip, pool: Callable[[], LocalWorkerPool], tmp_path: Path
) -> None:
    store.mkdir("one")
    store.put(str(make_clip(tmp_path, frames=10)), "one/a.mp4")
    for _ in range(2):
        report = restore_videos(["s3://one"], "s3://one/restored", a_job(), open_pool=pool)
        assert [video.destination for video in report.videos] == ["a.mkv"]


def test_workers_read_a_copy_together(store: Any) -> None:
    store.pipe("films/common", b"x" * 1000)
    address = "s3://films/common"
    fingerprint = storage.fingerprint(address)
    with storage.local_copy(address, fingerprint) as one, ThreadPoolExecutor(1) as other:

        def read() -> bytes:
            with storage.local_copy(address, fingerprint) as two:
                assert two == one
                return two.read_bytes()

        assert other.submit(read).result(timeout=10) == b"x" * 1000


def test_a_video_may_lie_behind_http(make_clip: MakeClip, pool: Callable[[], LocalWorkerPool], tmp_path: Path) -> None:
    make_clip(tmp_path / "www", "a film.mp4", frames=10)
    handler = partial(SimpleHTTPRequestHandler, directory=str(tmp_path / "www"))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = Thread(target=server.serve_forever)
        thread.start()
        address = f"http://127.0.0.1:{server.server_port}"
        try:
            report = restore_videos([f"{address}/a%20film.mp4"], str(tmp_path / "out"), a_job(), open_pool=pool)
            one = restore_video(f"{address}/a%20film.mp4", tmp_path / "one.mkv", a_job(), open_pool=pool)
            with pytest.raises(InputError, match="cannot be read"):
                restore_videos([f"{address}/none.mp4"], str(tmp_path / "out2"), a_job(), open_pool=pool)
        finally:
            server.shutdown()
            thread.join()
    assert [(video.state, video.frames) for video in report.videos] == [("done", 10)]
    assert one.frames_written == 10


def test_one_video_goes_from_store_to_store_and_on_from_another_machine(
    store: Any,
    make_clip: MakeClip,
    pool: Callable[[], LocalWorkerPool],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("VIDRESTORE_JOURNAL_KEY", "one key for all drivers")
    store.put(str(make_clip(tmp_path, frames=60)), "films/one/a.mp4")
    source, out = "s3://films/one/a.mp4", "s3://films/one-out/a.mkv"

    def stop(progress: JobProgress) -> None:
        if progress.segments_done >= 2:
            raise Interrupted("stopped")

    with pytest.raises(Interrupted, match=r"kept in s3://films/one-out/\.a\.mkv\.vidrestore"):
        restore_video(source, out, a_job(), on_progress=stop, open_pool=pool)
    store.invalidate_cache()
    kept = sorted(path.partition("one-out/")[2] for path in store.find("films/one-out"))
    assert kept[0] == ".a.mkv.vidrestore/journal.jsonl"
    assert len(kept) >= 3
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "another driver's machine"))
    resumed: list[int] = []
    watch = lambda progress: resumed.append(progress.resumed_frames)  # noqa: E731
    report = restore_video(source, out, a_job(), on_progress=watch, open_pool=pool)
    assert (report.source, report.destination, report.frames_written) == (source, out, 60)
    assert resumed[-1] >= 24
    store.invalidate_cache()
    assert store.find("films/one-out") == ["films/one-out/a.mkv"]
    with pytest.raises(OutputError, match="exists already"):
        restore_video(source, out, a_job(), open_pool=pool)
    with pytest.raises(OutputError, match="is the source itself"):
        restore_video(source, source, a_job(), open_pool=pool)


def test_a_store_that_tells_nothing_is_looked_at(monkeypatch: pytest.MonkeyPatch) -> None:
    import fsspec  # noqa: PLC0415

    monkeypatch.setattr(storage, "SCHEMES", storage.SCHEMES | {"memory"})

    files = fsspec.filesystem("memory")
    files.pipe("/a", b"one")
    first = storage.fingerprint("memory://a")
    files.pipe("/a", b"two")
    assert storage.fingerprint("memory://a") != first


def test_a_local_file_stays_where_it_is(tmp_path: Path) -> None:
    path = tmp_path / "a"
    path.write_bytes(b"1")
    with storage.local_copy(storage.normalize(f"file://{path}"), "x") as local:
        assert local == path
    storage.commit(path, str(tmp_path / "deep" / "b"))
    assert not path.exists()
    assert (tmp_path / "deep" / "b").read_bytes() == b"1"


def test_a_result_does_not_leave_through_a_link(tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    out = tmp_path / "out"
    (out / "deep").mkdir(parents=True)
    (out / "same").symlink_to(out / "deep")
    (out / "away").symlink_to(tmp_path / "elsewhere")
    for name in ("deep/a", "same/b", "new/er/c"):
        made = tmp_path / "made"
        made.write_text(name)
        storage.commit_inside(made, str(out), name)
        assert (out / name).read_text() == name
        assert not made.exists()
    made.write_text("kept")
    for name in ("away/a", "away/deeper/a"):
        with pytest.raises(OutputError, match="leads out of the output folder"):
            storage.commit_inside(made, str(out), name)
    victim = tmp_path / "elsewhere" / "victim"
    victim.write_text("precious")
    (out / "deep" / "d").symlink_to(victim)
    storage.commit_inside(made, str(out), "deep/d")
    assert victim.read_text() == "precious"
    assert (out / "deep" / "d").read_text() == "kept"


def test_a_folder_that_becomes_a_link_in_the_last_moment_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out, made = tmp_path / "out", tmp_path / "made"
    (out / "deep").mkdir(parents=True)
    (tmp_path / "elsewhere").mkdir()
    made.write_text("x")
    found = storage._folders_inside

    def too_late(root: str, name: str) -> tuple[str, ...]:
        names = found(root, name)
        (out / "deep").rmdir()
        (out / "deep").symlink_to(tmp_path / "elsewhere")
        return names

    monkeypatch.setattr(storage, "_folders_inside", too_late)
    with pytest.raises(OutputError, match="could not be written"):
        storage.commit_inside(made, str(out), "deep/a")
    assert not list((tmp_path / "elsewhere").iterdir())


def test_removing_a_file_never_removes_a_folder(tmp_path: Path) -> None:
    (tmp_path / "folder" / "deep").mkdir(parents=True)
    storage.remove_file(str(tmp_path / "folder"))
    assert (tmp_path / "folder" / "deep").exists()
    (tmp_path / "link").symlink_to(tmp_path / "folder")
    storage.remove_job_folder(str(tmp_path / "link"))
    assert (tmp_path / "folder" / "deep").exists()
