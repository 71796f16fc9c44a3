"""Counts, timings and the report."""

import json
import os
from pathlib import Path

import pytest

from vidrestore.errors import OutputError
from vidrestore.report import Counts, Recorder, RestoreReport, check_report, installed_versions


def a_report(**changes: object) -> RestoreReport:
    values: dict[str, object] = {
        "source": "a.mp4",
        "destination": "b.mp4",
        "frames_read": 100,
        "frames_written": 100,
        "frames_missing": 0,
        "packets_undecodable": 0,
        "frames_damaged": 0,
        "frames_with_faces": 50,
        "faces_restored": 60,
        "tracks": 2,
        "shots": 1,
        "narrowest_face_searched": 16.0,
        "seconds": 4.0,
        "seconds_per_stage": {"decode": 1.0},
        "model": "embedded",
        "model_sha256": "00",
        "runtime": "local",
        "retries": 0,
        "streams": {"copied": ["audio"]},
        "warnings": [],
        "counts": Counts(detector_runs=7),
        "config": {},
    }
    return RestoreReport(**{**values, **changes})  # type: ignore[arg-type]


def test_a_stage_is_charged_only_for_its_own_time(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 100.0
    monkeypatch.setattr("vidrestore.report.time.perf_counter", lambda: now)
    recorder = Recorder()

    def slow_source() -> object:
        nonlocal now
        for item in range(3):
            now += 2
            yield item

    inner = recorder.timed("inner", slow_source())

    def outer() -> object:
        nonlocal now
        for item in inner:
            now += 1
            yield item

    assert list(recorder.timed("outer", outer())) == [0, 1, 2]
    assert recorder.seconds == {"inner": 6, "outer": 3}


def test_time_is_charged_when_the_stage_fails_too() -> None:
    recorder = Recorder()
    with pytest.raises(ZeroDivisionError), recorder.timing("broken"):
        raise ZeroDivisionError
    assert "broken" in recorder.seconds
    with recorder.timing("next"):
        pass
    assert recorder.seconds["next"] >= 0


def test_the_report_says_what_a_machine_needs_to_know(tmp_path: Path) -> None:
    path = tmp_path / "report.json"
    a_report().save(path)
    written = json.loads(path.read_text())
    assert written["frames_per_second"] == 25.0
    assert written["complete"] is True
    assert list(tmp_path.iterdir()) == [path]


def test_a_lost_frame_makes_a_run_incomplete() -> None:
    assert not a_report(frames_missing=1).complete
    assert not a_report(packets_undecodable=1).complete
    assert not a_report(frames_written=99).complete
    assert not a_report(frames_damaged=1).complete


def test_a_report_that_cannot_be_written_is_refused_and_leaves_nothing(tmp_path: Path) -> None:
    for path in (tmp_path, tmp_path / "none" / "report.json"):
        with pytest.raises(OutputError, match="cannot be written"):
            check_report(path)
    with pytest.raises(OutputError, match="could not be written"):
        a_report().save(tmp_path / "none" / "report.json")
    check_report(tmp_path / "report.json")
    assert list(tmp_path.iterdir()) == []


def test_a_report_replaces_nothing_but_a_report(tmp_path: Path) -> None:
    report, video = tmp_path / "report.json", tmp_path / "film.mp4"
    video.write_bytes(b"film")
    others = {"empty": "", "own": a_report(versions=installed_versions()).to_json()}
    for content in (others["empty"], others["own"], '{"streams": [], "problems": {}}'):
        report.write_text(content)
        check_report(report)
    for content in (
        "{}",
        "[1]",
        "text",
        '{"versions": 3}',
        '{"versions": {"python": "3"}}',
        "[" * 100_000,
        '{"streams": 1, "problems": 2, "more": 3}',
    ):
        report.write_text(content)
        with pytest.raises(OutputError, match="is no report of vidrestore"):
            check_report(report)
        check_report(report, overwrite=True)
    for protected in (video, tmp_path / "link", tmp_path / "dst.mp4", tmp_path / "hard"):
        if protected.name == "link":
            protected.symlink_to(video)
        if protected.name == "hard":
            protected.hardlink_to(video)
        with pytest.raises(OutputError, match=r"would replace|is no report"):
            check_report(protected, apart_from=(video, tmp_path / "dst.mp4"))
        with pytest.raises(OutputError, match="would replace"):
            check_report(protected, apart_from=(video, tmp_path / "dst.mp4"), overwrite=True)
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(OutputError, match="is no report"):
        check_report(tmp_path / "pipe")


def test_versions_of_the_important_parts_are_known() -> None:
    assert {"python", "torch", "av", "numpy"} <= installed_versions().keys()


def test_counts_add_up_and_are_read_by_their_former_names() -> None:
    one = Counts.from_names({"looks": 3, "faces": 2, "of_a_later_version": 1})
    assert one == Counts(detector_runs=3, faces=2)
    assert one + Counts(faces=5, tracks=1) == Counts(detector_runs=3, faces=7, tracks=1)
    assert one["looks"] == one["detector_runs"] == 3
    with pytest.raises(KeyError):
        one["face"]


def test_a_report_has_the_former_names_of_its_counts_too() -> None:
    counts = json.loads(a_report().to_json())["counts"]
    assert counts["looks"] == counts["detector_runs"] == 7
    assert counts["faces"] == 0
