"""A batch from beginning to end, in this process: what is restored, kept, resumed, refused and told."""

import json
import os
from collections.abc import Callable
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest

from vidrestore import storage
from vidrestore.config import update
from vidrestore.errors import ConfigError, InputError, OutputError, RestorationError
from vidrestore.jobs import tasks
from vidrestore.jobs.config import BatchConfig
from vidrestore.jobs.entries import Entry, SegmentDone, VideoDone, VideoPlanned
from vidrestore.jobs.journal import read_journal
from vidrestore.jobs.progress import JobProgress
from vidrestore.jobs.report import JobReport
from vidrestore.jobs.restore import restore_videos
from vidrestore.media.reader import VideoReader
from vidrestore.report import Recorder
from vidrestore.restoration.pipeline import InferenceModels, restore_frames
from vidrestore.runtime.worker_pool import LocalWorkerPool
from vidrestore.stages import Inline

pytestmark = pytest.mark.integration

PoolFactory = Callable[[], LocalWorkerPool]
MakeClip = Callable[..., Path]
Pictures = list[tuple[Fraction, bytes]]


SHORT_SIGHTED = {"history_seconds": 0.3, "lookahead_seconds": 0.2, "max_gap_seconds": 0.2, "max_lost_seconds": 0.2}


def a_job(**options: Any) -> BatchConfig:
    """A lossless job of short segments with short lead-ins."""
    restore = {"encode": {"lossless": True}, "tracker": SHORT_SIGHTED, **options.pop("restore", {})}
    return update(BatchConfig(), {"restore": restore, "runtime": "local", "segment_seconds": 0.8, **options})


def pictures(path: Path) -> Pictures:
    with VideoReader(path) as reader:
        return [(frame.seconds, b"".join(plane.tobytes() for plane in frame.planes)) for frame in reader]


def entries(out: Path, kind: type[Entry]) -> list[Any]:
    return [entry for entry in read_journal(out / ".vidrestore" / "journal.jsonl") if isinstance(entry, kind)]


class Stopped(Exception):  # noqa: N818  it is no error
    """As if the driver had died."""


def stop_after(segments: int) -> Callable[[JobProgress], None]:
    def watch(progress: JobProgress) -> None:
        if progress.segments_done >= segments:
            raise Stopped

    return watch


@pytest.fixture
def start(pool: PoolFactory) -> Callable[..., JobReport]:
    def run(sources: Path | list[Path], out: Path, *, watch: Any = None, **options: Any) -> JobReport:
        named = sources if isinstance(sources, list) else [sources]
        return restore_videos(list(map(str, named)), str(out), a_job(**options), on_progress=watch, open_pool=pool)

    return run


Start = Callable[..., JobReport]


@pytest.fixture(scope="session")
def clip(make_clip: MakeClip, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_clip(tmp_path_factory.mktemp("clips"), frames=60)


@pytest.fixture(scope="session")
def whole(clip: Path, simulated_parts: InferenceModels) -> Pictures:
    """What one pass gives."""
    with VideoReader(clip) as reader:
        return [
            (frame.seconds, b"".join(plane.tobytes() for plane in frame.planes))
            for frame in restore_frames(reader, simulated_parts, a_job().restore, Recorder())
        ]


def same(one: Pictures, other: Pictures) -> bool:
    """The same samples at the same times, to the millisecond that Matroska counts."""
    near = all(abs(mine - yours) <= Fraction(1, 2000) for (mine, _), (yours, _) in zip(one, other, strict=True))
    return near and [mine for _, mine in one] == [yours for _, yours in other]


def test_segments_make_up_what_one_pass_gives(start: Start, clip: Path, whole: Pictures, tmp_path: Path) -> None:
    report = start(clip, tmp_path)
    (video,) = report.videos
    assert video.segments == 3
    assert (video.state, video.frames, video.frames_with_faces, video.faces, video.shots) == ("done", 60, 60, 60, 1)
    assert same(pictures(tmp_path / "clip.mkv"), whole)
    assert not same(pictures(clip), whole), "something was restored"
    assert not (tmp_path / ".vidrestore" / "parts").exists()
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        ".vidrestore",
        "clip.mkv",
        "job_report.html",
        "job_report.json",
    ]


@pytest.mark.parametrize("segments", [1, 2])
def test_a_job_goes_on_where_it_stopped(
    start: Start, clip: Path, whole: Pictures, tmp_path: Path, segments: int
) -> None:
    with pytest.raises(Stopped):
        start(clip, tmp_path, watch=stop_after(segments))
    done = [entry.index for entry in entries(tmp_path, SegmentDone)]
    assert len(done) >= segments
    assert not (tmp_path / "clip.mkv").exists()
    report = start(clip, tmp_path)
    assert sorted(entry.index for entry in entries(tmp_path, SegmentDone)) == list(range(3)), "nothing is done twice"
    assert report.videos[0].segments_resumed == len(done)
    assert report.frames_of_this_run == 60 - sum(
        entry.report.segment.frames_written for entry in entries(tmp_path, SegmentDone)[: len(done)]
    )
    assert same(pictures(tmp_path / "clip.mkv"), whole)


def test_what_is_done_is_not_done_again(start: Start, clip: Path, tmp_path: Path) -> None:
    start(clip, tmp_path)
    made = (tmp_path / "clip.mkv").stat().st_mtime_ns
    report = start(clip, tmp_path)
    assert report.videos[0].resumed
    assert report.frames_of_this_run == 0
    assert len(entries(tmp_path, SegmentDone)) == 3
    assert (tmp_path / "clip.mkv").stat().st_mtime_ns == made


def test_a_source_that_was_only_touched_is_not_done_again(start: Start, clip: Path, tmp_path: Path) -> None:
    source = tmp_path / "films" / "a.mp4"
    source.parent.mkdir()
    source.write_bytes(clip.read_bytes())
    with pytest.raises(Stopped):
        start(source, tmp_path / "out", watch=stop_after(2))
    os.utime(source)
    start(source, tmp_path / "out")
    assert len(entries(tmp_path / "out", SegmentDone)) == 3
    os.utime(source)
    assert start(source, tmp_path / "out").videos[0].resumed
    assert len(entries(tmp_path / "out", VideoPlanned)) == 3
    assert len(entries(tmp_path / "out", VideoDone)) == 1


@pytest.mark.parametrize("change", ["source", "options", "weights"])
def test_what_changed_is_done_again_and_nothing_else(
    start: Start, simulated_parts: InferenceModels, make_clip: MakeClip, tmp_path: Path, change: str
) -> None:
    videos = tmp_path / "films"
    for name in ("a.mp4", "b.mp4"):
        make_clip(videos, name, frames=40)
    manifest = videos / "m.jsonl"
    lines = [{"source": "a.mp4", "destination": "a.mkv"}, {"source": "b.mp4", "destination": "b.mkv"}]
    manifest.write_text("\n".join(map(json.dumps, lines)))
    out = tmp_path / "out"
    start([], out, manifest=manifest)
    before = pictures(out / "a.mkv")
    if change == "source":
        make_clip(videos, "a.mp4", frames=40, seed=1)
    if change == "options":
        lines[0]["options"] = {"restore.compositor.strength": 0.5}
        manifest.write_text("\n".join(map(json.dumps, lines)))
    if change == "weights":
        other = LocalWorkerPool(simulated_parts, "others")
        report = restore_videos([], str(out), a_job(manifest=manifest), open_pool=lambda: other)
        assert [video.resumed for video in report.videos] == [False, False]
        return
    report = start([], out, manifest=manifest)
    assert [video.resumed for video in report.videos] == [False, True]
    assert pictures(out / "a.mkv") != before
    assert [entry.destination for entry in entries(out, VideoDone)].count("b.mkv") == 1


def test_other_options_that_were_begun_and_stopped_are_done(start: Start, clip: Path, tmp_path: Path) -> None:
    start(clip, tmp_path)
    before = pictures(tmp_path / "clip.mkv")
    half = {"encode": {"lossless": True}, "compositor": {"strength": 0.5}}
    with pytest.raises(Stopped):
        start(clip, tmp_path, watch=stop_after(2), restore=half)
    report = start(clip, tmp_path, restore=half)
    assert not report.videos[0].resumed
    assert report.videos[0].segments_resumed >= 2
    assert pictures(tmp_path / "clip.mkv") != before
    start(clip, tmp_path)
    assert pictures(tmp_path / "clip.mkv") == before


def test_where_it_runs_is_no_change(start: Start, clip: Path, tmp_path: Path) -> None:
    start(clip, tmp_path)
    report = start(clip, tmp_path, restore={"restorer": {"batch_size_cpu": 7, "device": "cpu"}})
    assert report.videos[0].resumed
    assert report.videos[0].faces == 60, "what was told then is told again"
    report = start(clip, tmp_path, restore={"encode": {"lossless": True, "threads": 2}})
    assert not report.videos[0].resumed, "threads are written into a stream"


def test_a_damaged_part_is_made_anew(start: Start, clip: Path, whole: Pictures, tmp_path: Path) -> None:
    with pytest.raises(Stopped):
        start(clip, tmp_path, watch=stop_after(2))
    parts = sorted((tmp_path / ".vidrestore" / "parts").glob("*.mp4"))
    parts[0].write_bytes(parts[0].read_bytes()[:-100])
    parts[1].unlink()
    start(clip, tmp_path)
    assert same(pictures(tmp_path / "clip.mkv"), whole)
    assert 3 <= len(entries(tmp_path, SegmentDone)) <= 5


def test_twins_do_not_share_parts(start: Start, make_clip: MakeClip, tmp_path: Path) -> None:
    for name in ("a.mp4", "b.mp4"):
        make_clip(tmp_path / "films", name, frames=40)
    assert start(tmp_path / "films", tmp_path / "out").done == 2
    assert pictures(tmp_path / "out" / "a.mkv") == pictures(tmp_path / "out" / "b.mkv")


def test_a_link_does_not_lead_out(start: Start, make_clip: MakeClip, tmp_path: Path) -> None:
    make_clip(tmp_path / "films", "deep/a.mp4", frames=10)
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "deep").symlink_to(tmp_path / "elsewhere")
    report = start(tmp_path / "films", tmp_path / "out")
    assert "leads out of the output folder" in str(report.videos[0].error)
    assert not list((tmp_path / "elsewhere").iterdir())


def test_a_common_folder_for_parts_is_left_as_it_was(start: Start, clip: Path, tmp_path: Path) -> None:
    work = tmp_path / "work"
    work.mkdir()
    (work / "holiday.mp4").write_text("mine")
    with pytest.raises(Stopped):
        start(clip, tmp_path / "one", watch=stop_after(2), work=str(work))
    assert start(clip, tmp_path / "two", work=str(work)).done == 1
    assert start(clip, tmp_path / "one", work=str(work)).videos[0].segments_resumed >= 2
    assert [path.name for path in work.iterdir()] == ["holiday.mp4"]


def test_a_video_whose_packets_mislead_is_done_in_one_piece(
    start: Start, clip: Path, whole: Pictures, tmp_path: Path, monkeypatch: Any
) -> None:
    """As with codecs that spread a frame over two packets."""
    split = tasks.split

    def misled(*found: Any, **options: Any) -> Any:
        plan = split(*found, **options)
        return replace(plan, frames_in_spans=tuple(2 * held for held in plan.frames_in_spans))

    monkeypatch.setattr(tasks, "split", misled)
    report = start(clip, tmp_path)
    assert report.videos[0].segments == 1
    assert "were counted" in str(report.videos[0].unsplittable_reason)
    assert same(pictures(tmp_path / "clip.mkv"), whole)
    assert start(clip, tmp_path).videos[0].resumed


def test_a_lost_result_is_made_anew(start: Start, clip: Path, whole: Pictures, tmp_path: Path) -> None:
    start(clip, tmp_path)
    (tmp_path / "clip.mkv").unlink()
    start(clip, tmp_path)
    assert same(pictures(tmp_path / "clip.mkv"), whole)


def test_a_result_that_somebody_changed_is_left_alone(start: Start, clip: Path, tmp_path: Path) -> None:
    start(clip, tmp_path)
    (tmp_path / "clip.mkv").write_text("my own cut")
    report = start(clip, tmp_path)
    assert report.failed == 1
    assert "add --overwrite" in str(report.videos[0].error)
    assert (tmp_path / "clip.mkv").read_text() == "my own cut"
    assert start(clip, tmp_path, overwrite=True).done == 1


def test_what_others_made_is_left_alone(start: Start, clip: Path, tmp_path: Path) -> None:
    (tmp_path / "clip.mkv").write_text("mine")
    report = start(clip, tmp_path)
    assert "exists already" in str(report.videos[0].error)
    assert (tmp_path / "clip.mkv").read_text() == "mine"


def test_one_bad_video_does_not_stop_the_others(start: Start, make_clip: MakeClip, tmp_path: Path) -> None:
    videos = tmp_path / "films"
    make_clip(videos, "good.mp4", frames=40)
    (videos / "bad.mp4").write_bytes(b"\0" * 5000)
    (videos / "empty.mp4").write_bytes(b"")
    (videos / "sound.mp4").write_text("no film at all")
    report = start(videos, tmp_path / "out")
    assert (report.done, report.failed) == (1, 3)
    told = {video.destination: video.error for video in report.videos}
    assert "empty (0 bytes)" in str(told["empty.mkv"])
    assert "not a video" in str(told["bad.mkv"])
    assert told["good.mkv"] is None
    assert not (tmp_path / "out" / "bad.mkv").exists()
    written = json.loads((tmp_path / "out" / "job_report.json").read_text())
    assert [video["state"] for video in written["videos"]].count("failed") == 3
    page = (tmp_path / "out" / "job_report.html").read_text()
    assert "1 of 4 videos restored" in page
    assert "empty (0 bytes)" in page


@pytest.mark.parametrize("on_error", ["fail", "passthrough"])
def test_a_segment_that_cannot_be_restored(
    simulated_parts: InferenceModels, clip: Path, whole: Pictures, tmp_path: Path, on_error: str
) -> None:
    """The network gives up on two pictures of the last segment."""
    parts = simulated_parts
    refused = {crop for _, crop in _crops_of(clip, parts)[57:59]}

    def restore(crops: Any) -> Any:
        if any(crop.tobytes() in refused for crop in crops):
            raise RestorationError("values that are not finite")
        return [255 - crop for crop in crops]

    broken = replace(parts, restorer=Inline(restore))
    report = restore_videos(
        [str(clip)], str(tmp_path), a_job(on_error=on_error), open_pool=lambda: LocalWorkerPool(broken, "simulated")
    )
    (video,) = report.videos
    assert video.retries
    if on_error == "fail":
        assert video.state == "failed"
        assert "not finite" in str(video.error)
        assert not (tmp_path / "clip.mkv").exists()
        return
    assert video.state == "done"
    assert 0 < video.unrestored_frames < 60
    made, before = pictures(tmp_path / "clip.mkv"), pictures(clip)
    through = sum(one == two for (_, one), (_, two) in zip(made, before, strict=True))
    assert through == video.unrestored_frames
    kept = sum(one == two for (_, one), (_, two) in zip(made, whole, strict=True))
    assert kept == 60 - through
    assert any("unrestored" in warning for warning in video.warnings)


def _crops_of(clip: Path, parts: Any) -> list[tuple[int, bytes]]:
    """The crops that the restorer is given, in order."""
    seen: list[tuple[int, bytes]] = []

    def note(crops: Any) -> Any:
        seen.extend((len(seen), crop.tobytes()) for crop in crops)
        return [255 - crop for crop in crops]

    with VideoReader(clip) as reader:
        for _ in restore_frames(reader, replace(parts, restorer=Inline(note)), a_job().restore, Recorder()):
            pass
    return seen


def test_a_disk_that_is_full_costs_no_video(start: Start, clip: Path, tmp_path: Path, monkeypatch: Any) -> None:
    publish = storage.commit
    full = [True]

    def refuse(local: Path, address: str) -> None:
        if full[0] and len(list((tmp_path / ".vidrestore" / "parts").glob("*.mp4"))) >= 2:
            raise OutputError(f"{address} could not be written: the disk is full")
        publish(local, address)

    monkeypatch.setattr(storage, "commit", refuse)
    report = start(clip, tmp_path)
    assert "the disk is full" in str(report.videos[0].error)
    full[0] = False
    report = start(clip, tmp_path)
    assert report.done == 1
    assert report.videos[0].segments_resumed >= 2


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"on_error": "ignore"}, "on_error"),
        ({"workers": -1}, "workers"),
        ({"segment_seconds": 0}, "segment_seconds"),
    ],
)
def test_impossible_options_are_refused(options: dict[str, Any], says: str) -> None:
    with pytest.raises(ConfigError, match=says):
        a_job(**options)


def test_a_folder_in_use_is_refused(start: Start, clip: Path, tmp_path: Path) -> None:
    def watch(_: JobProgress) -> None:
        with pytest.raises(InputError, match="in use by process"):
            start(clip, tmp_path)
        raise Stopped

    with pytest.raises(Stopped):
        start(clip, tmp_path, watch=watch)
