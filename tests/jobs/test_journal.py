"""A journal tells the truth or nothing: whatever happened to its bytes."""

from fractions import Fraction
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from vidrestore.errors import InputError
from vidrestore.jobs.journal import (
    Dropped,
    Entry,
    Finished,
    Journal,
    PartDone,
    Planned,
    Trouble,
    _sealed,
    read_entries,
    read_journal,
)
from vidrestore.runtime.orders import FilmPlan, Joined, PartReport
from vidrestore.runtime.segment import SegmentReport
from vidrestore.video.join import JoinReport
from vidrestore.video.reader import ReadStatistics, Span

SPANS = (Span(None, None, 900, 1200), Span(700, 900, None, None, 512))
PLAN = FilmPlan("ab" * 32, 60, 96, 64, 2.4, SPANS, (30, 30), ("a note: café €",), None)
SEGMENT = SegmentReport(Path("/x/part.mp4"), 30, ReadStatistics(30, read_error=None), {"faces": 30}, {"decode": 0.5})
ENTRIES: list[Entry] = [
    Planned("a/b.mp4", "/films/a/b.mp4", "12 bytes, 5 ns", "cd" * 32, PLAN),
    Trouble("a/b.mp4", "segment 1", 1, "a worker process died: killed", died=True, node="here", seconds=1.5),
    PartDone("a/b.mp4", "k", 0, PartReport("/x/0.mp4", "ef" * 32, 1234, SEGMENT), 2.5, 1, passthrough=False),
    PartDone("a/b.mp4", "k", 1, PartReport("/x/1.mp4", "01" * 32, 1234, SEGMENT), 2.5, 2, passthrough=True),
    Dropped("a/b.mp4", "k", (1,)),
    Finished("a/b.mp4", "k", Joined("9 bytes", "23" * 32, 9, JoinReport(60, (), (), (), shift=Fraction(1, 25))), 30),
]


def written(folder: Path) -> bytes:
    path = folder / "journal.jsonl"
    with Journal(path) as journal:
        for entry in ENTRIES:
            journal.write(entry)
    return path.read_bytes()


def test_what_was_written_is_read(tmp_path: Path) -> None:
    data = written(tmp_path)
    assert read_journal(tmp_path / "journal.jsonl") == ENTRIES
    assert data.count(b"\n") == len(ENTRIES) + 1
    assert "café €".encode() in data, "for people to read"
    with Journal(tmp_path / "journal.jsonl") as journal:
        assert journal.entries == ENTRIES
        assert not journal.repaired


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_a_damaged_journal_never_says_what_was_not_written(tmp_path: Path, data: st.DataObject) -> None:
    whole = tmp_path / "whole"
    good = (whole / "journal.jsonl").read_bytes() if whole.exists() else written(whole)
    damage = data.draw(st.sampled_from(["cut", "flip", "insert", "remove", "swap"]))
    at, other = (data.draw(st.integers(0, len(good) - 1)) for _ in range(2))
    low, high = sorted((at, other))
    junk = data.draw(st.binary(min_size=1, max_size=40))
    bad = {
        "cut": good[:at],
        "flip": good[:at] + bytes([good[at] ^ (1 + junk[0] % 255)]) + good[at + 1 :],
        "insert": good[:at] + junk + good[at:],
        "remove": good[:low] + good[high:],
        "swap": good[high:] + good[:low],
    }[damage]
    path = tmp_path / "bad" / "journal.jsonl"
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(bad)
    try:
        with Journal(path) as journal:
            entries = list(journal.entries)
    except InputError as error:
        assert "begin anew" in error.message  # noqa: PT017  either is right
        return
    assert all(entry in ENTRIES for entry in entries)
    with Journal(path) as again:
        assert again.entries == entries
        assert not again.repaired, "it was mended"
    if bad.count(b"\n") and entries != ENTRIES and bad != good[: len(bad)]:
        assert path.with_suffix(".damaged-1.jsonl").exists() or good.startswith(bad) or damage in {"remove", "swap"}


def test_a_cut_line_is_dropped_and_the_rest_kept(tmp_path: Path) -> None:
    data = written(tmp_path)
    path = tmp_path / "journal.jsonl"
    path.write_bytes(data[:-20])
    with Journal(path) as journal:
        assert journal.repaired == 1
        assert journal.entries == ENTRIES[:-1]
        journal.write(ENTRIES[-1])
    assert read_journal(path) == ENTRIES


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (_sealed({"what": "vidrestore job journal", "format": 2}), "of format 2, this version knows 1"),
        (b"my notes\n", "not a journal"),
        (b"\0" * 500, "not a journal"),
        (b'{"crc":"00000000","what":"vidrestore job journal","format":1}\n', "not a journal"),
    ],
)
def test_what_is_no_journal_of_ours_is_refused(tmp_path: Path, data: bytes, says: str) -> None:
    path = tmp_path / "journal.jsonl"
    path.write_bytes(data)
    with pytest.raises(InputError, match=says):
        Journal(path)
    assert path.read_bytes() == data, "nothing is touched"


def test_two_jobs_do_not_share_a_folder(tmp_path: Path) -> None:
    with Journal(tmp_path / "journal.jsonl"), pytest.raises(InputError, match="in use by process"):
        Journal(tmp_path / "journal.jsonl")


def test_a_line_of_an_unknown_kind_counts_as_damaged(tmp_path: Path) -> None:
    data = written(tmp_path) + _sealed({"kind": "Surprise", "entry": {}})
    entries, damaged = read_entries(data, tmp_path)
    assert entries == ENTRIES
    assert damaged == 1
