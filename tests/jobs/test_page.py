"""The report as a page: foreign text on it is text."""

import unicodedata

from vidrestore.jobs.entries import AttemptFailed
from vidrestore.jobs.report import JobReport, VideoReport
from vidrestore.jobs.report_files import render_html

HOSTILE = "<script>alert(1)</script>\"'&\n\u202egpj\u2066\x1b]0;x\x07\udcff\u05d0"


def a_report(*, left_out: tuple[str, ...] = (), notes: tuple[str, ...] = (), **of_video: object) -> JobReport:
    trouble = AttemptFailed(HOSTILE, HOSTILE, 1, HOSTILE, worker_lost=False, node=HOSTILE, seconds=1.0)
    video = {
        "source": HOSTILE, "destination": HOSTILE, "state": "failed", "error": HOSTILE, "resumed": False, "frames": 1,
        "unrestored_frames": 0, "segments": 1, "segments_resumed": 0, "unsplittable_reason": None, "faces": 0,
        "frames_with_faces": 0, "shots": 0, "tracks": 0, "narrowest_face_searched": 16.0,
        "worker_seconds": 0.0, "seconds_per_stage": {},
        "retries": (trouble,), "warnings": (), "streams": {}, "sha256": None,
        "bytes": 0,
    }  # fmt: skip
    return JobReport(
        ended=HOSTILE, seconds=1.0, videos=(VideoReport(**video | of_video),), done=0, failed=1, frames=1,
        frames_of_this_run=1, frames_per_second=1.0, retries=1, unrestored_frames=0, ignored=(),
        left_out=left_out, journal_notes=notes, journal_lines_repaired=0, runtime=HOSTILE, model=HOSTILE,
        model_sha256=HOSTILE, samples=(), config={},
    )  # fmt: skip


def test_names_and_messages_neither_act_nor_turn_what_stands_around_them() -> None:
    written = render_html(a_report())
    written.encode()
    assert "<script>" not in written
    assert not {unicodedata.category(one) for one in written if one != "\n"} & {"Cc", "Cf", "Cs"}
    shown = (
        "<bdi>&lt;script&gt;alert(1)&lt;/script&gt;&quot;&#x27;&amp;"
        r"\n\u202egpj\u2066\x1b]0;x\x07\udcff" + "\u05d0</bdi>"
    )
    assert f"<tr><td>{shown}</td>" in written


def test_a_video_with_thousands_of_warnings_does_not_fill_the_page() -> None:
    written = render_html(a_report(warnings=tuple(f"warning {number}" for number in range(5000))))
    assert "warning 19<" in written
    assert "warning 20<" not in written
    assert "and 4980 more" in written


def test_what_was_left_out_and_not_believed_is_told() -> None:
    written = render_html(
        a_report(notes=("7 lines <b>",), left_out=tuple(f"{number} is a link" for number in range(5000)))
    )
    assert "<li><bdi>7 lines &lt;b&gt;</bdi></li>" in written
    assert "19 is a link" in written
    assert "20 is a link" not in written
    assert "and 4980 more" in written
    assert "<li>" not in render_html(a_report())
