"""Journals of earlier versions still count, line by line."""

import json
from fractions import Fraction
from pathlib import Path

import pytest

from vidrestore.jobs.entries import (
    AttemptFailed,
    PartsInvalidated,
    SegmentDone,
    VideoDone,
    VideoFailed,
    VideoPlanned,
    replay,
)
from vidrestore.jobs.journal import Journal, _header, read_entries, read_journal
from vidrestore.jobs.journal_schema import FORMAT, from_line_values, to_line_values
from vidrestore.jobs.segment import SegmentReport
from vidrestore.jobs.signing import Signer
from vidrestore.jobs.tasks import PartReport
from vidrestore.media.reader import ReadStatistics
from vidrestore.report import Counts

SIGNER = Signer("/out", b"a key of the user")
FORMAT_2 = Path(__file__).with_name("journal-format-2.jsonl")
"""As version 0.1 wrote it, before the schema had names of its own."""


def test_a_journal_of_format_2_is_read(tmp_path: Path) -> None:
    path = tmp_path / "journal.jsonl"
    path.write_bytes(FORMAT_2.read_bytes())
    with Journal(path, SIGNER) as journal:
        entries = list(journal.entries)
        assert (journal.repaired, journal.foreign) == (0, 0)
    planned, attempt, first, passed, invalidated, again, done = entries
    assert isinstance(planned, VideoPlanned)
    assert (planned.fingerprint, planned.plan.frames_in_spans, planned.plan.notes) == (
        "12 bytes, 5 ns",
        (30, 30),
        ("a note: café €",),
    )
    assert [(span.begin, span.start, span.stop, span.end, span.seek) for span in planned.plan.spans] == [
        (None, None, 900, 1200, None),
        (700, 900, None, None, 512),
    ]
    assert isinstance(attempt, AttemptFailed)
    assert (attempt.task_name, attempt.worker_lost) == ("segment 1", True)
    assert isinstance(first, SegmentDone)
    assert first.report.part.endswith(planned.part_name(0, passthrough=False)), "parts keep their names"
    assert isinstance(passed, SegmentDone)
    assert passed.report.part.endswith(planned.part_name(1, passthrough=True))
    assert isinstance(invalidated, PartsInvalidated)
    assert invalidated.indices == (1,)
    assert isinstance(again, SegmentDone)
    assert isinstance(done, VideoDone)
    assert (done.muxed.report.retimed_packets, done.muxed.report.shift) == (3, Fraction(1, 25))
    (record,) = replay(entries).values()
    assert (record.state, record.failed_attempts, record.impossible, sorted(record.made_of)) == ("done", 1, 0, [0, 1])


def test_an_old_journal_is_marked_as_one_of_the_new_format(tmp_path: Path) -> None:
    """An older version would take the lines that are added for damage."""
    path = tmp_path / "journal.jsonl"
    path.write_bytes(FORMAT_2.read_bytes())
    for _ in range(2):
        with Journal(path, SIGNER) as journal:
            journal.write(VideoFailed("c.mp4", "it is empty"))
    data = path.read_bytes()
    assert data.startswith(_header(SIGNER))
    assert data.count(f'"format":{FORMAT}'.encode()) == 1
    assert read_entries(data, path, SIGNER).format == FORMAT
    assert len(read_journal(path)) == 9


def test_no_class_of_the_package_is_named_on_disk(tmp_path: Path) -> None:
    for entry in read_entries(FORMAT_2.read_bytes(), tmp_path, SIGNER).entries:
        line = json.dumps(to_line_values(entry))
        assert not {"SegmentRange", "FilmPlan", "VideoPlan", "PartReport"} & set(line.replace('"', " ").split())
        assert from_line_values(json.loads(line)) == entry


def test_counts_are_read_by_the_names_of_their_time_and_written_by_todays() -> None:
    segment = SegmentReport(3, ReadStatistics(3), Counts(detector_runs=2, faces=3), {})
    done = SegmentDone("a.mp4", "k", 0, PartReport("p.mp4", "ab" * 32, 5, segment), 1.0, 1, passthrough=False)
    values = to_line_values(done)
    assert values["entry"]["counts"]["detector_runs"] == 2
    assert "looks" not in values["entry"]["counts"]
    assert from_line_values(values) == done
    values["entry"]["counts"] = {"looks": 2, "faces": 3, "of_a_later_version": 1}
    assert from_line_values(values) == done


@pytest.mark.parametrize(
    "values",
    [
        {},
        {"kind": "Planned"},
        {"kind": "Planned", "entry": []},
        {"kind": ["Planned"], "entry": {}},
        {"kind": "PartDone", "entry": {"report": {"segment": 3}}},
        {"kind": "Finished", "entry": {"joined": {"report": {"shift": "1/0"}}}},
        {"kind": "video_done", "entry": {"shift": "1/0"}},
        {"kind": "segment_done", "entry": None},
    ],
)
def test_what_no_version_wrote_is_no_entry(values: dict[str, object]) -> None:
    assert from_line_values(values) is None
