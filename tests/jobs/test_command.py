"""`vidrestore batch` and `vidrestore jobs`, as a user runs them."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from vidrestore.jobs import restore
from vidrestore.jobs.restore import restore_videos
from vidrestore.media.reader import VideoReader
from vidrestore.runtime.worker_pool import LocalWorkerPool

pytestmark = pytest.mark.integration

Run = Callable[..., tuple[int, str, str]]
MakeClip = Callable[..., Path]


@pytest.fixture
def videos(make_clip: MakeClip, tmp_path: Path) -> Path:
    for number in range(2):
        make_clip(tmp_path / "films", f"{number}.mp4", frames=10, seed=number)
    return tmp_path / "films"


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch, pool: Callable[[], LocalWorkerPool]) -> None:
    """Networks that take no time, in place of the real ones."""
    monkeypatch.setattr(restore, "_open_configured", lambda *_: pool())


@pytest.mark.usefixtures("quick")
def test_videos_are_restored_listed_shown_and_forgotten(run: Run, videos: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    code, printed, told = run("batch", videos, "--out", out, "--runtime", "local", "--crf", 20)
    assert code == 0, told
    assert "0.mp4: 10 frames" in printed
    assert "2 of 2 videos, 20 frames" in printed
    with VideoReader(out / "0.mp4") as reader:
        assert sum(1 for _ in reader) == 10
    code, printed, _ = run("jobs", "list")
    assert code == 0
    assert "done" in printed
    code, printed, _ = run("jobs", "show", out)
    assert "2 of 2 videos done" in printed
    assert "1.mp4" in printed
    code, printed, _ = run("batch", videos, "--out", out, "--runtime", "local", "--crf", 20)
    assert "0.mp4: done earlier" in printed
    code, printed, _ = run("jobs", "clean", out)
    assert code == 0
    assert "1 jobs cleaned" in printed
    assert not (out / ".vidrestore").exists()
    assert (out / "0.mp4").exists()
    assert run("jobs", "show", out)[0] == 1


@pytest.mark.usefixtures("quick")
def test_a_failed_video_is_told_and_its_job_kept(run: Run, videos: Path, tmp_path: Path) -> None:
    (videos / "bad.mp4").write_bytes(b"\0" * 999)
    out = tmp_path / "out"
    code, printed, told = run("batch", videos, "--out", out, "--runtime", "local")
    assert code == 1
    assert "1 of 3 videos failed" in told
    assert "bad.mp4: failed" in printed
    code, _, told = run("jobs", "clean", out)
    assert code == 1
    assert "not done" in told
    report = json.loads((out / "job_report.json").read_text())
    assert (report["done"], report["failed"]) == (2, 1)


@pytest.mark.usefixtures("quick")
def test_an_unfinished_job_is_not_cleaned_by_mistake(run: Run, videos: Path, tmp_path: Path, pool: Any) -> None:
    out = tmp_path / "out"

    def stop(_: object) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        restore_videos(
            [str(videos)], str(out), on_progress=lambda p: stop(p) if p.segments_done else None, open_pool=pool
        )
    code, printed, _ = run("jobs", "list")
    assert "unfinished" in printed
    code, _, told = run("jobs", "clean", out)
    assert code == 1
    assert "--force" in told
    assert run("jobs", "clean")[1].startswith("0 jobs cleaned")
    assert run("jobs", "clean", out, "--force")[0] == 0
    shutil.rmtree(out)
    assert run("jobs", "list")[0] == 0


@pytest.mark.parametrize(
    ("arguments", "code", "says"),
    [
        (("batch",), 2, "--out"),
        (("batch", "--out", "OUT"), 1, "no video to restore"),
        (("batch", "none.mp4", "--out", "OUT"), 1, "does not exist"),
        (("batch", "none.mp4", "--out", "s3://u:hunter2@b/x"), 1, "holds credentials"),
        (("batch", "--manifest", "none.csv", "--out", "OUT"), 1, "cannot be read"),
        (("batch", "none.mp4", "--out", "OUT", "--on-error", "ignore"), 1, "fail"),
        (("batch", "none.mp4", "--out", "OUT", "--placement", "heap"), 1, "spread"),
        (("jobs", "show", "OUT"), 1, "not the output of a job"),
    ],
)
def test_what_cannot_work_is_said_in_a_line(
    run: Run, tmp_path: Path, arguments: tuple[str, ...], code: int, says: str
) -> None:
    given = [str(tmp_path / "out") if word == "OUT" else word for word in arguments]
    ended, printed, told = run(*given)
    assert ended == code
    assert says in told
    assert "hunter2" not in printed + told


@pytest.mark.usefixtures("quick")
def test_bad_names_and_what_is_left_out_are_told(run: Run, videos: Path, make_clip: MakeClip, tmp_path: Path) -> None:
    odd = ["x\\[b].mp4", "f\udce4rg.mp4", "a::b.mp4", "new\nline.mp4"]
    for name in odd:
        (videos / name).write_bytes((videos / "0.mp4").read_bytes())
    (videos / "bad\udcff.mp4").write_bytes(b"\0" * 999)
    private = make_clip(tmp_path, "private.mp4", frames=10)
    (videos / "link.mp4").symlink_to(private)
    out = tmp_path / "out"
    code, printed, told = run("batch", videos, "--out", out, "--runtime", "local")
    assert code == 1
    assert "1 of 7 videos failed" in told
    assert "6 of 7 videos" in printed
    assert "link that leads out" in told
    assert "internal error" not in told
    made = sorted(path.name for path in out.glob("*.mp4"))
    assert made == sorted(["0.mp4", "1.mp4", "x\\[b].mp4", "f%E4rg.mp4", "a::b.mp4", "new\nline.mp4"])
    report = json.loads((out / "job_report.json").read_text())
    assert [video["source"] for video in report["videos"] if video["state"] == "failed"] == [f"{videos}/bad\\xff.mp4"]
    assert len(report["left_out"]) == 1
    code, printed, _ = run("batch", videos, "--out", out, "--runtime", "local")
    assert printed.count("done earlier") == 6


def test_addresses_that_are_not_opened_are_told(run: Run, tmp_path: Path) -> None:
    manifest = tmp_path / "m.csv"
    manifest.write_text("source\nreference://film.mp4::refs.json\n")
    out = tmp_path / "out"
    for arguments in (("reference://film.mp4::refs.json",), ("simplecache::s3://b/a.mp4",), ("--manifest", manifest)):
        code, _, told = run("batch", *arguments, "--out", out, "--runtime", "local")
        assert code == 1
        assert "is not allowed" in told or "chain of addresses" in told
