"""One video is a job of one: it goes on where it was, and leaves nothing but its result."""

import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest

from vidrestore.config import update
from vidrestore.errors import InputError, Interrupted, OutputError, RestorationError
from vidrestore.jobs.config import JobConfig
from vidrestore.jobs.entries import SegmentDone
from vidrestore.jobs.journal import read_journal
from vidrestore.jobs.progress import JobProgress
from vidrestore.jobs.registry import clean_job, find_job, list_jobs
from vidrestore.jobs.restore import restore_video
from vidrestore.media.reader import VideoReader
from vidrestore.report import RestoreReport
from vidrestore.restoration.pipeline import InferenceModels
from vidrestore.runtime.worker_pool import LocalWorkerPool
from vidrestore.stages import Inline

MakeClip = Callable[..., Path]
Restore = Callable[..., RestoreReport]
SHORT_SIGHTED = {"history_seconds": 0.3, "lookahead_seconds": 0.2, "max_gap_seconds": 0.2, "max_lost_seconds": 0.2}


def a_job(**options: Any) -> JobConfig:
    """A lossless job of short segments with short lead-ins."""
    restore = {"encode": {"lossless": True}, "tracker": SHORT_SIGHTED, **options.pop("restore", {})}
    return update(JobConfig(), {"restore": restore, "runtime": "local", "segment_seconds": 0.8, **options})


def frames_of(path: Path) -> list[tuple[Fraction, bytes]]:
    with VideoReader(path) as reader:
        return [(frame.seconds, b"".join(plane.tobytes() for plane in frame.planes)) for frame in reader]


def segments_done(folder: Path) -> Counter[int]:
    journal = folder / "journal.jsonl"
    entries = read_journal(journal) if journal.exists() else []
    return Counter(entry.index for entry in entries if isinstance(entry, SegmentDone))


def stop_after(segments: int, error: BaseException) -> Callable[[JobProgress], None]:
    def watch(progress: JobProgress) -> None:
        if progress.segments_done >= segments:
            raise error

    return watch


@pytest.fixture
def restore(pool: Callable[[], LocalWorkerPool]) -> Restore:
    def run(source: Path | str, destination: Path | str, *, watch: Any = None, **options: Any) -> RestoreReport:
        return restore_video(source, destination, a_job(**options), on_progress=watch, open_pool=pool)

    return run


@pytest.fixture(scope="session")
def clip(make_clip: MakeClip, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_clip(tmp_path_factory.mktemp("clip"), frames=60)


@pytest.fixture(scope="session")
def whole(
    clip: Path, simulated_parts: InferenceModels, tmp_path_factory: pytest.TempPathFactory
) -> list[tuple[Fraction, bytes]]:
    """What one segment gives."""
    out = tmp_path_factory.mktemp("whole") / "out.mkv"
    job = a_job(segment_seconds=1000.0)
    restore_video(clip, out, job, open_pool=lambda: LocalWorkerPool(simulated_parts, "simulated"))
    return frames_of(out)


@pytest.mark.parametrize(
    ("min_face", "saying"), [(16.0, "no face was found: those from 16 pixels wide"), (500.0, "no face was restored")]
)
def test_a_video_in_which_nothing_is_restored_says_what_was_looked_for_and_what_to_try(
    clip: Path, simulated_parts: InferenceModels, tmp_path: Path, min_face: float, saying: str
) -> None:
    blind = replace(simulated_parts, detector=Inline(lambda pictures: [() for _ in pictures]))
    parts = blind if min_face == 16 else simulated_parts
    job = update(a_job(), {"restore": {"selection": {"min_face_px": min_face}}})
    report = restore_video(clip, tmp_path / "out.mkv", job, open_pool=lambda: LocalWorkerPool(parts, "simulated"))
    (warning,) = [line for line in report.warnings if line.startswith("no face")]
    assert warning.startswith(saying)
    assert "--min-face" in warning
    assert report.narrowest_face_searched == min_face


DRIVER = """
import sys, time
import numpy as np
from benchmarks.simulated import CROP, face_in_the_middle
from vidrestore.config import update
from vidrestore.restoration.pipeline import InferenceModels
from vidrestore.jobs.config import JobConfig
from vidrestore.jobs.restore import restore_video
from vidrestore.runtime.worker_pool import LocalWorkerPool
from vidrestore.stages import Inline

def negatives(crops):
    time.sleep(0.02 * len(crops))
    return [255 - crop for crop in crops]

models = InferenceModels(
    Inline(lambda previews: [(face_in_the_middle(preview),) for preview in previews]),
    Inline(negatives), crop_size=CROP, batch_size=1,
    visibility=Inline(lambda crops: [np.full((64, 64), 255, np.uint8) for _ in crops]),
)
restore = {"encode": {"lossless": True}, "tracker": %r}
job = update(JobConfig(), {"restore": restore, "runtime": "local", "segment_seconds": 0.8})
restore_video(sys.argv[1], sys.argv[2], job, open_pool=lambda: LocalWorkerPool(models, "simulated"))
"""


@pytest.mark.slow
@pytest.mark.parametrize("kills", [2, pytest.param(5, marks=pytest.mark.nightly)])
def test_a_killed_run_goes_on_where_it_was(
    restore: Restore, make_clip: MakeClip, simulated_parts: InferenceModels, tmp_path: Path, kills: int
) -> None:
    clip = make_clip(tmp_path / "source", frames=60 * kills)
    job = a_job(segment_seconds=1000.0)
    expected = tmp_path / "source" / "expected.mkv"
    restore_video(clip, expected, job, open_pool=lambda: LocalWorkerPool(simulated_parts, "simulated"))
    out, state = tmp_path / "out.mkv", tmp_path / ".out.mkv.vidrestore"
    chance = random.Random(kills)  # noqa: S311  not for secrets
    done = 0
    for _ in range(kills):
        command = [sys.executable, "-c", DRIVER % SHORT_SIGHTED, str(clip), str(out)]
        with subprocess.Popen(command, start_new_session=True) as driver:
            while driver.poll() is None and segments_done(state).total() <= done:
                time.sleep(0.02)
            time.sleep(chance.uniform(0, 0.6))
            driver.send_signal(signal.SIGKILL)
        if out.exists():
            break  # it was faster
        done = segments_done(state).total()
        assert done
        assert set(segments_done(state).values()) == {1}, "what is done is not done again"
    resumed: list[int] = []
    report = restore(clip, out, watch=lambda progress: resumed.append(progress.resumed_frames), overwrite=True)
    assert resumed[-1] >= done * 12, "all but what was under way"
    assert report.frames_written == 60 * kills
    assert frames_of(out) == frames_of(expected)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["out.mkv", "source"]


def test_an_interrupted_run_says_where_it_is_kept(
    restore: Restore, clip: Path, whole: list[tuple[Fraction, bytes]], tmp_path: Path
) -> None:
    out = tmp_path / "out.mkv"
    state = tmp_path / ".out.mkv.vidrestore"
    with pytest.raises(Interrupted, match=r"kept in .*\.out\.mkv\.vidrestore: run the same command again"):
        restore(clip, out, watch=stop_after(2, Interrupted("stopped")))
    assert not out.exists()
    (job,) = list_jobs()
    assert (job.out, job.state, job.videos) == (str(out), "unfinished", 1)
    done = segments_done(state).total()
    resumed: list[int] = []
    report = restore(clip, out, watch=lambda progress: resumed.append(progress.resumed_frames))
    assert resumed[0] >= 12 * done
    assert (report.frames_read, report.frames_written, report.faces_restored) == (60, 60, 60)
    assert frames_of(out) == whole
    assert list(tmp_path.iterdir()) == [out]
    assert list_jobs() == []


def test_what_was_interrupted_at_once_leaves_nothing(restore: Restore, clip: Path, tmp_path: Path) -> None:
    with pytest.raises(Interrupted, match="no output was written"):
        restore(clip, tmp_path / "out.mkv", watch=stop_after(0, Interrupted("stopped")))
    assert list(tmp_path.iterdir()) == []
    assert list_jobs() == []


def test_other_options_do_not_take_over_what_is_done(
    restore: Restore, clip: Path, whole: list[tuple[Fraction, bytes]], tmp_path: Path
) -> None:
    out = tmp_path / "out.mkv"
    with pytest.raises(Interrupted):
        restore(clip, out, watch=stop_after(2, Interrupted("stopped")))
    resumed: list[int] = []
    half = {"compositor": {"strength": 0.5}}
    restore(clip, out, restore=half, watch=lambda progress: resumed.append(progress.resumed_frames))
    assert resumed[-1] == 0
    assert frames_of(out) != whole


def test_two_results_beside_each_other_do_not_meet(restore: Restore, clip: Path, tmp_path: Path) -> None:
    one, other = tmp_path / "one.mkv", tmp_path / "other.mkv"
    with pytest.raises(Interrupted):
        restore(clip, one, watch=stop_after(2, Interrupted("stopped")))
    restore(clip, other)
    assert sorted(path.name for path in tmp_path.iterdir()) == [".one.mkv.vidrestore", "other.mkv"]
    resumed: list[int] = []
    restore(clip, one, watch=lambda progress: resumed.append(progress.resumed_frames))
    assert resumed[-1] >= 24


def test_a_journal_that_was_copied_from_another_result_is_not_believed(
    restore: Restore, clip: Path, tmp_path: Path
) -> None:
    with pytest.raises(Interrupted):
        restore(clip, tmp_path / "one.mkv", watch=stop_after(2, Interrupted("stopped")))
    (tmp_path / ".one.mkv.vidrestore").rename(tmp_path / ".other.mkv.vidrestore")
    resumed: list[int] = []
    report = restore(clip, tmp_path / "other.mkv", watch=lambda progress: resumed.append(progress.resumed_frames))
    assert resumed[-1] == 0
    assert any("not signed with your key" in warning for warning in report.warnings)


def test_one_output_has_one_process(restore: Restore, clip: Path, tmp_path: Path) -> None:
    out = tmp_path / "out.mkv"

    def watch(_: JobProgress) -> None:
        with pytest.raises(InputError, match=rf"in use by process {os.getpid()}"):
            restore(clip, out)
        raise Interrupted("stopped")

    with pytest.raises(Interrupted):
        restore(clip, out, watch=watch)


def test_workers_of_a_job_that_cannot_begin_are_closed(
    clip: Path, tmp_path: Path, simulated_parts: InferenceModels
) -> None:
    (tmp_path / ".out.mkv.vidrestore").symlink_to(tmp_path)
    events: list[str] = []

    @contextmanager
    def workers() -> Iterator[LocalWorkerPool]:
        events.append("opened")
        try:
            with LocalWorkerPool(simulated_parts, "simulated") as pool:
                yield pool
        finally:
            events.append("closed")

    with pytest.raises(OutputError, match="is a link") as raised:
        restore_video(clip, tmp_path / "out.mkv", a_job(), open_pool=workers)
    assert events == ["opened", "closed"]
    del raised  # kept until here with its frames: what is closed only when it is collected was left open


@pytest.mark.parametrize("plant", ["", "parts", "journal.jsonl", "journal.lock"])
def test_a_planted_link_is_not_followed(restore: Restore, clip: Path, tmp_path: Path, plant: str) -> None:
    victim = tmp_path / "victim"
    victim.mkdir()
    (victim / "thesis.txt").write_text("precious")
    place = tmp_path / ".out.mkv.vidrestore" / plant if plant else tmp_path / ".out.mkv.vidrestore"
    place.parent.mkdir(exist_ok=True)
    place.symlink_to(victim / "thesis.txt" if "." in plant else victim)
    with pytest.raises(OutputError, match="is a link"):
        restore(clip, tmp_path / "out.mkv")
    assert (victim / "thesis.txt").read_text() == "precious"
    assert [path.name for path in victim.iterdir()] == ["thesis.txt"]


def test_a_file_of_somebody_else_is_not_replaced(restore: Restore, clip: Path, tmp_path: Path) -> None:
    out = tmp_path / "out.mkv"
    out.write_text("mine")
    with pytest.raises(OutputError, match="add --overwrite"):
        restore(clip, out)
    assert list(tmp_path.iterdir()) == [out]
    with pytest.raises(Interrupted):
        restore(clip, out, watch=stop_after(2, Interrupted("stopped")), overwrite=True)
    assert out.read_text() == "mine"
    restore(clip, out, overwrite=True)
    assert len(frames_of(out)) == 60


def test_a_segment_that_fails_keeps_the_others(
    simulated_parts: InferenceModels, restore: Restore, clip: Path, whole: list[tuple[Fraction, bytes]], tmp_path: Path
) -> None:
    out, calls = tmp_path / "out.mkv", []

    def fails_late(crops: Any) -> Any:
        calls.append(len(crops))
        if len(calls) > 45:
            raise RestorationError("values that are not finite")
        return [255 - crop for crop in crops]

    broken = replace(simulated_parts, restorer=Inline(fails_late))
    with pytest.raises(RestorationError, match=r"not finite \(finished segments are kept in"):
        restore_video(clip, out, a_job(), open_pool=lambda: LocalWorkerPool(broken, "simulated"))
    job = find_job(str(out))
    assert job.state == "failed"
    assert "not finite" in str(job.lines[0].error)
    assert restore(clip, out).frames_written == 60
    assert frames_of(out) == whole


def test_a_given_up_job_is_cleaned(restore: Restore, clip: Path, tmp_path: Path) -> None:
    with pytest.raises(Interrupted):
        restore(clip, tmp_path / "out.mkv", watch=stop_after(2, Interrupted("stopped")))
    clean_job(find_job(str(tmp_path / "out.mkv")))
    assert list(tmp_path.iterdir()) == []
    assert list_jobs() == []


def test_a_very_long_name_has_a_folder_too(restore: Restore, clip: Path, tmp_path: Path) -> None:
    out = tmp_path / f"{'x' * 250}.mkv"
    restore(clip, out)
    assert list(tmp_path.iterdir()) == [out]


@pytest.mark.parametrize("name", ["no.mp4", "notes.txt"])
def test_a_source_that_is_none_costs_nothing(restore: Restore, tmp_path: Path, name: str) -> None:
    (tmp_path / "notes.txt").write_text("Dear diary\n" * 50)
    with pytest.raises(InputError):
        restore(tmp_path / name, tmp_path / "out.mkv")
    assert [path.name for path in tmp_path.iterdir()] == ["notes.txt"]
