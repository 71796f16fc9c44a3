"""Journals and manifests that somebody forged: nothing outside the output folder is touched, and every job ends."""

import json
import os
import random
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path
from threading import Barrier
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from vidrestore import storage
from vidrestore.errors import OutputError, VidrestoreError
from vidrestore.jobs import tasks
from vidrestore.jobs.config import BatchConfig
from vidrestore.jobs.entries import AttemptFailed, Entry, PartsInvalidated, SegmentDone, VideoDone, VideoPlanned
from vidrestore.jobs.journal import Journal, _header, _line, _sealed, read_journal
from vidrestore.jobs.registry import _entry, clean_job, find_job, list_jobs
from vidrestore.jobs.report import JobReport
from vidrestore.jobs.restore import restore_videos
from vidrestore.jobs.segment import Progress, SegmentReport
from vidrestore.jobs.signing import signer
from vidrestore.jobs.tasks import DamagedParts, Muxed, MuxTask, PartReport, PlanTask, RestoreTask, VideoPlan
from vidrestore.media.reader import ReadStatistics, SegmentRange
from vidrestore.media.remux.mux import RemuxReport
from vidrestore.report import Counts
from vidrestore.runtime.worker_pool import Event, PoolStatus, TaskDone, TaskFailed, WorkerRef

pytestmark = pytest.mark.integration

SPANS = (SegmentRange(None, None, 10, 12), SegmentRange(8, 10, 20, 22, 6), SegmentRange(18, 20, None, None, 16))
PLAN = VideoPlan("ab" * 32, 30, 64, 48, 1.2, SPANS, (10, 10, 10), (), None)
MODEL = "simulated"
MOST_TURNS = 200


class InstantPool:
    """Runs each task at once: plans are known, and parts and results hold their own names."""

    name = "local"
    model_sha256 = MODEL
    capacity = 1
    cores_per_worker = 1.0

    def __init__(self) -> None:
        self._event: Event | None = None
        self.turns = 0

    def idle_workers(self) -> list[WorkerRef]:
        return [] if self._event else [WorkerRef(0, "here")]

    def submit(self, _worker: WorkerRef, task_id: int, task: Any) -> None:
        try:
            self._event = TaskDone(task_id, self._run(task), "here", 0.0)
        except VidrestoreError as error:
            self._event = TaskFailed(task_id, error, worker_lost=False, node="here", seconds=0.0)

    def poll(self, _seconds: float) -> list[Event]:
        self.turns += 1
        assert self.turns < MOST_TURNS, "the job ends"
        event, self._event = self._event, None
        return [event] if event else []

    def progress(self) -> dict[int, Progress]:
        return {}

    def reconcile(self, pending: int) -> None:
        pass

    def status(self) -> PoolStatus:
        return PoolStatus(1, 0, 1, 1)

    @staticmethod
    def _run(task: Any) -> Any:
        if isinstance(task, PlanTask):
            return PLAN
        if isinstance(task, RestoreTask):
            storage.commit_text(f"part {task.span.start}", task.part)
            return part_report(task.part, frames=10)
        assert isinstance(task, MuxTask)
        with ExitStack() as stack:
            parts, damaged = tasks._checked_parts(task, stack)
            if damaged:
                return DamagedParts(damaged)
            made = tasks._scratch(f"{task.scratch}/x", stack) / "result"
            made.write_bytes(b"".join(part.read_bytes() for part in parts))
            storage.commit_inside(made, task.folder, task.destination)
        place = storage.join(task.folder, task.destination)
        return Muxed(storage.fingerprint(place), "cd" * 32, 9, RemuxReport(task.frames, (), (), ()))


def part_report(part: str, *, frames: int) -> PartReport:
    content = part_content(part)
    segment = SegmentReport(frames, ReadStatistics(frames), Counts(faces=1), {"decode": 0.1})
    return PartReport(part, content, 7, segment)


def part_content(part: str) -> str:
    return storage.sha256_of(Path(part)) if os.path.isfile(part) else "ef" * 32  # noqa: PTH113


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder with a source and something precious, which is whole afterwards."""
    monkeypatch.setattr("os.fsync", lambda _handle: None)  # hundreds of jobs in a few seconds
    (tmp_path / "src").mkdir()
    (tmp_path / "src" / "a.mp4").write_bytes(b"film")
    (tmp_path / "victim" / "deep").mkdir(parents=True)
    (tmp_path / "victim" / "deep" / "thesis.txt").write_text("precious")
    (tmp_path / "victim" / f"{'0' * 40}.mp4").write_text("mine")
    before = snapshot(tmp_path)
    yield tmp_path
    assert snapshot(tmp_path) == before


def snapshot(folder: Path) -> dict[str, Any]:
    return {
        str(path): path.read_bytes() if path.is_file() else None
        for name in ("src", "victim")
        for path in sorted((folder / name).rglob("*"))
    }


def run(place: Path, **options: Any) -> JobReport:
    pool = InstantPool()

    @contextmanager
    def opened() -> Iterator[InstantPool]:
        yield pool

    return restore_videos(
        [str(place / "src")], str(place / "out"), BatchConfig(runtime="local", **options), open_pool=opened
    )


def journal_of(place: Path) -> Path:
    return place / "out" / ".vidrestore" / "journal.jsonl"


def true_entries(place: Path) -> list[Entry]:
    """What a run writes before it ends."""
    run(place)
    return read_journal(journal_of(place))


def unfinished(place: Path) -> list[Entry]:
    """A job that was stopped when one part was done."""
    entries = [entry for entry in true_entries(place) if not isinstance(entry, VideoDone)][:2]
    (place / "out" / "a.mp4").unlink()
    storage.commit_text("part None", entries[1].report.part)  # type: ignore[union-attr]
    rewrite(place, entries)
    return entries


def rewrite(place: Path, entries: list[Entry], *, signed: bool = True, old: bool = False) -> None:
    key = signer(str(place / "out"))
    head = _sealed({"what": "vidrestore job journal", "format": 1}) if old else _header(key)
    path = journal_of(place)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(head + b"".join(_line(entry, key if signed else None) for entry in entries))


def forget_signature(place: Path) -> None:
    """As if a version without signatures had begun the job."""
    entry = _entry(place / "out" / ".vidrestore")
    told = json.loads(entry.read_text())
    told.pop("signed", None)
    entry.write_text(json.dumps(told))


def test_a_job_goes_on_with_what_is_signed(place: Path) -> None:
    unfinished(place)
    report = run(place)
    assert (report.done, report.videos[0].segments_resumed, report.journal_notes) == (1, 1, ())
    assert run(place).videos[0].resumed


def test_a_job_of_an_earlier_version_goes_on_once(place: Path) -> None:
    entries = unfinished(place)
    rewrite(place, entries, signed=False, old=True)
    forget_signature(place)
    assert run(place).videos[0].segments_resumed == 1
    rewrite(place, entries, signed=False, old=True)
    (place / "out" / "a.mp4").unlink()
    report = run(place)
    assert report.videos[0].segments_resumed == 0, "from the first run on the job is known as signed"
    assert "not signed" in report.journal_notes[0]


def test_a_journal_of_another_user_is_not_believed(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    unfinished(place)
    monkeypatch.setenv("VIDRESTORE_JOURNAL_KEY", "the key of somebody else")
    report = run(place)
    assert (report.done, report.videos[0].segments_resumed) == (1, 0)


def test_a_run_with_another_key_costs_nothing(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As with `sudo`, from cron, or in a container without state."""
    run(place)
    with monkeypatch.context() as patch:
        patch.setenv("VIDRESTORE_JOURNAL_KEY", "the key of somebody else")
        for _ in range(2):
            report = run(place)
            assert report.failed == 1
            assert "exists already" in str(report.videos[0].error)
            assert "not signed with your key" in report.journal_notes[0], "it is told each time"
    report = run(place)
    assert (report.videos[0].resumed, report.journal_notes) == (True, ())


def test_parts_of_another_key_are_kept(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _, done = unfinished(place)
    assert isinstance(done, SegmentDone)
    (place / "src" / "a.mp4").rename(place / "later.mp4")
    (place / "src" / "b.mp4").write_bytes(b"film")
    with monkeypatch.context() as patch:
        patch.setenv("VIDRESTORE_JOURNAL_KEY", "the key of somebody else")
        assert run(place).done == 1
    assert Path(done.report.part).exists()
    (place / "src" / "b.mp4").unlink()
    (place / "later.mp4").rename(place / "src" / "a.mp4")
    assert run(place).videos[0].segments_resumed == 1


def test_a_folder_that_is_moved_and_moved_back_costs_nothing(place: Path) -> None:
    run(place)
    (place / "out").rename(place / "aside")
    pool = InstantPool()

    @contextmanager
    def opened() -> Iterator[InstantPool]:
        yield pool

    moved = [str(place / "src")], str(place / "aside"), BatchConfig(runtime="local")
    for _ in range(2):
        report = restore_videos(*moved, open_pool=opened)
        assert (report.failed, "the folder was moved" in report.journal_notes[0]) == (1, True)
    (place / "aside").rename(place / "out")
    assert run(place).videos[0].resumed


def test_damaged_lines_are_named(place: Path) -> None:
    run(place)
    with journal_of(place).open("ab") as file:
        file.write(b"nonsense\n")
    (note,) = run(place).journal_notes
    assert "1 damaged lines" in note
    kept = journal_of(place).with_suffix(".damaged-1.jsonl")
    assert str(kept) in note
    assert kept.read_bytes() == b"nonsense\n"
    assert run(place).journal_notes == ()


def test_drivers_that_share_a_key_share_jobs(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VIDRESTORE_JOURNAL_KEY", "the key of the whole team")
    unfinished(place)
    monkeypatch.setenv("XDG_STATE_HOME", str(place / "another machine"))
    assert run(place).videos[0].segments_resumed == 1


def test_a_forged_part_is_not_joined(place: Path) -> None:
    """It has the right name and the hash of its content; only the signature is not the user's."""
    planned, done = unfinished(place)
    assert isinstance(done, SegmentDone)
    part = Path(done.report.part)
    part.write_text("the attacker's film")
    forged = replace(done, report=replace(done.report, sha256=storage.sha256_of(part)))
    path = journal_of(place)
    path.write_bytes(path.read_bytes() + _line(forged, None))
    assert run(place).done == 1
    assert "attacker" not in (place / "out" / "a.mp4").read_text()
    assert isinstance(planned, VideoPlanned)


CHANGES: dict[str, Callable[[Path, Any], Any]] = {
    "foreign part": lambda place, done: replace(done, report=replace(done.report, part=str(place / "victim"))),
    "another number": lambda _, done: replace(done, index=99),
    "negative number": lambda _, done: replace(done, index=-1),
    "negative frames": lambda _, done: in_segment(done, frames_written=-10, read=ReadStatistics(-10)),
    "huge frames": lambda _, done: in_segment(done, frames_written=10**30, read=ReadStatistics(10**30)),
    "other frames": lambda _, done: in_segment(done, frames_written=9, read=ReadStatistics(9)),
    "negative faces": lambda _, done: in_segment(done, counts=Counts(faces=-1)),
    "endless seconds": lambda _, done: replace(done, seconds=float("inf")),
    "no hash": lambda _, done: replace(done, report=replace(done.report, sha256="")),
    "part of another segment": lambda _, done: replace(done, index=1),
}


def in_segment(done: SegmentDone, **changes: Any) -> SegmentDone:
    return replace(done, report=replace(done.report, segment=replace(done.report.segment, **changes)))


@pytest.mark.parametrize("old", [False, True])
@pytest.mark.parametrize("change", CHANGES)
def test_a_part_that_cannot_be_is_not_taken(place: Path, change: str, *, old: bool) -> None:
    """Not even with a signature, or from a version that had none."""
    planned, done = unfinished(place)
    rewrite(place, [planned, CHANGES[change](place, done)], signed=not old, old=old)
    if old:
        forget_signature(place)
    report = run(place)
    assert (report.done, report.videos[0].segments_resumed, report.frames_of_this_run) == (1, 0, 30)
    assert "impossible" in report.journal_notes[0]
    assert (place / "out" / "a.mp4").read_text() == "part Nonepart 10part 20"


def test_parts_beyond_the_video_do_not_keep_it_waiting(place: Path) -> None:
    planned, done = unfinished(place)
    assert isinstance(done, SegmentDone)
    rewrite(place, [planned, *(replace(done, index=number) for number in (97, 98, 99))])
    assert run(place).done == 1


@pytest.mark.parametrize(
    "plan",
    [
        replace(PLAN, spans=SPANS[:2]),
        replace(PLAN, spans=SPANS[::-1]),
        replace(PLAN, spans=(), frames_in_spans=(), frames=0),
        replace(PLAN, spans=(SPANS[0], SPANS[2]), frames_in_spans=(10, 20)),
        replace(PLAN, spans=(SegmentRange(None, None, 10), SegmentRange(10, 10, 10), SegmentRange(None, 10))),
        replace(
            PLAN, spans=(SegmentRange(None, None, 10**40), SegmentRange(0, 10**40, None), SegmentRange(0, 10, None))
        ),
        replace(PLAN, frames_in_spans=(10, 30, -10)),
        replace(PLAN, frames=10**30, frames_in_spans=(10**30, 0, 0)),
        replace(PLAN, width=0),
        replace(PLAN, height=10**12),
        replace(PLAN, seconds=float("nan")),
        replace(PLAN, sha256="x"),
    ],
)
def test_a_plan_that_cannot_be_is_made_anew(place: Path, plan: VideoPlan) -> None:
    planned, done = unfinished(place)
    assert isinstance(planned, VideoPlanned)
    rewrite(place, [replace(planned, plan=plan), done])
    report = run(place)
    assert (report.done, report.videos[0].segments, report.videos[0].frames) == (1, 3, 30)


def test_lines_about_other_videos_are_left_alone(place: Path) -> None:
    planned, done = unfinished(place)
    others = [replace(planned, destination=name) for name in ("../victim", "b.mp4", "/etc/passwd", "")]
    rewrite(place, [*others, planned, done])
    report = run(place)
    assert (report.done, report.videos[0].segments_resumed, report.journal_notes) == (1, 1, ())


@pytest.mark.parametrize("target", ["", "parts", "journal.jsonl", "journal.lock"])
def test_links_in_a_jobs_own_folder_are_not_followed(place: Path, target: str) -> None:
    state = place / "out" / ".vidrestore"
    plant = state / target if target else state
    plant.parent.mkdir(parents=True)
    plant.symlink_to(place / "victim" / ("deep/thesis.txt" if "." in target else ""))
    with pytest.raises(OutputError, match="is a link"):
        run(place)


def test_parts_that_become_a_link_are_not_written_through(place: Path) -> None:
    """As when somebody replaces the folder while a job runs."""
    unfinished(place)
    parts = place / "out" / ".vidrestore" / "parts"
    planned, _ = read_journal(journal_of(place))
    scratch = tasks._scratch

    def planted(address: str, stack: Any) -> Path:
        if parts.is_dir() and not parts.is_symlink():
            parts.rename(place / "moved")
            parts.symlink_to(place / "victim")
        return scratch(address, stack)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tasks, "_scratch", planted)
        report = run(place)
    assert (report.done, report.failed) == (0, 1)
    assert "is a link" in str(report.videos[0].error)
    assert isinstance(planned, VideoPlanned)


def test_what_is_no_part_of_ours_is_damaged(place: Path) -> None:
    _, done = unfinished(place)
    assert isinstance(done, SegmentDone)
    part = Path(done.report.part)
    part.unlink()
    os.mkfifo(part)
    (part.parent / ".order-abcdefgh").symlink_to(place / "victim")
    (part.parent / ".order-../x").parent.mkdir(exist_ok=True)
    assert run(place).done == 1


def test_cleaning_a_job_follows_no_link(place: Path) -> None:
    run(place)
    job = find_job(str(place / "out"))
    with pytest.raises(VidrestoreError, match="not the folder"):
        clean_job(replace(job, path=place / "victim"))
    state = place / "out" / ".vidrestore"
    (state / "parts").symlink_to(place / "victim")
    kept = place / "kept"
    state.rename(kept)
    state.symlink_to(kept)
    with pytest.raises(OutputError, match="is a link"):
        clean_job(job)
    state.unlink()
    kept.rename(state)
    clean_job(job)
    assert not state.exists()
    assert not [one for one in list_jobs() if one.out == str(place / "out")]


def test_reports_replace_nothing_but_reports(place: Path) -> None:
    out = place / "out"
    out.mkdir()
    for name in ("job_report.json", "job_report.html"):
        (out / name).write_text('{"my": "notes"}')
        with pytest.raises(OutputError, match="is no report of a job"):
            run(place)
        assert (out / name).read_text() == '{"my": "notes"}'
        (out / name).unlink()
    run(place)
    assert run(place).done == 1
    (out / "job_report.json").write_text('{"my": "notes"}')
    assert run(place, overwrite=True).done == 1
    assert "videos" in json.loads((out / "job_report.json").read_text())


@pytest.mark.parametrize("name", ["job_report.json", "job_report.html"])
def test_a_folder_in_a_reports_place_is_told_before_any_work(place: Path, name: str) -> None:
    (place / "out" / name).mkdir(parents=True)
    with pytest.raises(OutputError, match="is a folder"):
        run(place, overwrite=True)
    assert not journal_of(place).exists()


def test_a_folder_in_a_results_place_is_told_before_any_work(place: Path) -> None:
    (place / "out" / "a.mp4").mkdir(parents=True)
    report = run(place, overwrite=True)
    assert "is a folder" in str(report.videos[0].error)
    assert report.videos[0].segments == 0


def test_processes_that_need_a_key_at_once_have_the_same(
    place: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def slowly(function: Callable[..., None]) -> Callable[..., None]:
        def slow(*paths: Any, **options: Any) -> None:
            function(*paths, **options)
            time.sleep(0.1)

        return slow

    for name in ("link", "replace", "rename"):
        monkeypatch.setattr(os, name, slowly(getattr(os, name)))
    together = Barrier(4)

    def key(_: int) -> bytes:
        together.wait(timeout=10)
        time.sleep(0.02 * _)
        return signer(str(place / "out")).key

    with ThreadPoolExecutor(4) as others:
        assert len(set(others.map(key, range(4)))) == 1
    assert not caplog.records


def test_a_key_that_others_may_read_is_refused(place: Path) -> None:
    run(place)
    key = Path(os.environ["XDG_STATE_HOME"]) / "vidrestore" / "journal.key"
    assert key.stat().st_mode & 0o777 == 0o600
    key.chmod(0o644)
    with pytest.raises(VidrestoreError, match="may be read by others"):
        run(place)


def test_a_key_that_is_too_short_is_refused(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VIDRESTORE_JOURNAL_KEY", "short")
    with pytest.raises(VidrestoreError, match="16 or more"):
        run(place)


names = st.sampled_from(
    ["a.mp4", "../victim", "/etc/passwd", "..", "", "victim", "s3://b/x", "a.mp4\0", "\udce4", "b.mp4", ".vidrestore/x"]
)
numbers = st.one_of(st.sampled_from([-1, 0, 1, 2, 3, 98, 99, 2**31, 2**63, 10**30]), st.integers(-5, 40))
times = st.one_of(st.none(), numbers)
amounts = st.one_of(st.floats(), st.floats(0, 10))
hashes = st.sampled_from(["ab" * 32, "ef" * 32, "", "../x", "0" * 64])


@st.composite
def forged_entries(draw: st.DrawFn, place: Path, planned: VideoPlanned) -> Entry:
    """Any entry, most of them near to what a run writes."""
    own = draw(st.booleans())
    destination = planned.destination if own else draw(names)
    spans = (
        SPANS
        if draw(st.booleans())
        else tuple(SegmentRange(*(draw(times) for _ in range(5))) for _ in range(draw(st.integers(0, 4))))
    )
    held = (10,) * len(spans) if draw(st.booleans()) else tuple(draw(numbers) for _ in spans)
    plan = VideoPlan(
        draw(hashes), draw(numbers), draw(numbers), draw(numbers), draw(amounts), spans, held, (), draw(st.none())
    )
    plan = PLAN if draw(st.booleans()) else plan
    made = replace(planned, destination=destination, plan=plan, source=planned.source if own else draw(names))
    number = draw(numbers)
    right = made.part_name(number, passthrough=False) if 0 <= number < len(plan.spans) else f"{'0' * 40}.mp4"
    folder = draw(
        st.sampled_from([str(place / "victim"), str(place / "out" / ".vidrestore" / "parts"), "", "s3://b", "x://"])
    )
    address = draw(st.sampled_from([f"{folder}/{right}", folder, f"{folder}/../{right}", str(place), "/"]))
    frames = draw(st.one_of(st.just(10), numbers))
    segment = SegmentReport(frames, ReadStatistics(frames), Counts(faces=draw(numbers)), {"x": draw(amounts)})
    report = PartReport(address, draw(hashes), draw(numbers), segment)
    joined = Muxed(draw(names), draw(hashes), draw(numbers), RemuxReport(draw(numbers), (), (), ()))
    kinds: list[Entry] = [
        made,
        SegmentDone(
            destination, made.key, number, report, draw(amounts), draw(numbers), passthrough=draw(st.booleans())
        ),
        VideoDone(destination, made.key, joined, draw(numbers)),
        PartsInvalidated(destination, made.key, (number, draw(numbers))),
        AttemptFailed(destination, "join", draw(numbers), "x" * 50, worker_lost=True, node="n", seconds=draw(amounts)),
    ]
    return draw(st.sampled_from(kinds))


@settings(
    max_examples=150,
    deadline=20_000,
    database=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(data=st.data(), signed=st.booleans(), old=st.booleans())
def test_forged_journals_hurt_nothing(place: Path, data: st.DataObject, *, signed: bool, old: bool) -> None:
    before = snapshot(place)
    started = time.monotonic()
    planned = VideoPlanned("a.mp4", str(place / "src" / "a.mp4"), "x", "y", PLAN)
    if (place / "model.json").exists():
        planned = replace(planned, **json.loads((place / "model.json").read_text()))
    else:
        first = true_entries(place)[0]
        assert isinstance(first, VideoPlanned)
        told = {"source": first.source, "fingerprint": first.fingerprint, "options": first.options}
        (place / "model.json").write_text(json.dumps(told))
        planned = replace(planned, **told)
    entries = [planned, *data.draw(st.lists(forged_entries(place, planned), max_size=8))]
    random.Random(len(entries)).shuffle(entries)  # noqa: S311
    rewrite(place, entries, signed=signed, old=old)
    if old and not signed:
        forget_signature(place)
    junk = data.draw(st.binary(max_size=60))
    with journal_of(place).open("ab") as file:
        file.write(junk)
    (place / "out" / "a.mp4").unlink(missing_ok=True)
    try:
        report = run(place)
    except VidrestoreError:
        journal_of(place).unlink()
    else:
        assert report.done + report.failed == 1
        assert 0 <= report.frames_of_this_run <= 30
    assert snapshot(place) == before
    assert sorted(path.name for path in place.iterdir()) == ["model.json", "out", "src", "victim"]
    assert time.monotonic() - started < 20


values = st.recursive(
    st.one_of(st.none(), st.booleans(), numbers, amounts, names, st.text(max_size=20)),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=6,
)
keys = st.sampled_from(
    [
        "source",
        "destination",
        "options",
        "restore.encode.options",
        "restore.encode.crf",
        "restore.restorer.model",
        "restore.compositor.strength",
        "restore.lag",
    ]
)
rows = st.dictionaries(keys, values, max_size=5) | st.fixed_dictionaries(
    {"source": st.just("src/a.mp4"), "destination": st.one_of(names, values)}, optional={"options": values}
)


@settings(
    max_examples=50,
    deadline=20_000,
    database=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(lines=st.lists(rows, max_size=4), junk=st.binary(max_size=30), table=st.booleans())
def test_forged_manifests_hurt_nothing(place: Path, lines: list[Any], junk: bytes, *, table: bool) -> None:
    before = snapshot(place)
    manifest = place / ("m.csv" if table else "m.jsonl")
    if table:
        text = "source,destination,restore.encode.options\n" + "\n".join(
            ",".join(map(str, line.values())) for line in lines
        )
    else:
        text = "\n".join(json.dumps(line) for line in [{"source": "src/a.mp4"}, *lines])
    manifest.write_bytes(text.encode(errors="surrogateescape") + junk)
    pool = InstantPool()

    @contextmanager
    def opened() -> Iterator[InstantPool]:
        yield pool

    try:
        report = restore_videos(
            [], str(place / "out"), BatchConfig(runtime="local", manifest=manifest), open_pool=opened
        )
    except VidrestoreError:
        pass
    else:
        assert report.done + report.failed == len(report.videos)
    assert snapshot(place) == before
    manifest.unlink()
    assert {path.name for path in place.iterdir()} <= {"out", "src", "victim"}


def test_the_lock_of_a_running_job_names_its_owner(place: Path) -> None:
    path = journal_of(place)
    key = signer(str(place / "out"))
    with Journal(path, key), pytest.raises(VidrestoreError, match=f"in use by process {os.getpid()}"):
        Journal(path, key)
