"""The command: exit codes, one-line reasons, and nothing left behind."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import cv2
import pytest
from skimage.data import astronaut

pytestmark = pytest.mark.integration

MakeVideo = Callable[..., Path]
Run = Callable[..., tuple[int, str, str]]
COMMAND = (sys.executable, "-c", "from vidrestore.cli import main; main()")


def a_missing_file(folder: Path) -> Path:
    return folder / "none.mp4"


def a_folder(folder: Path) -> Path:
    path = folder / "folder.mp4"
    path.mkdir()
    return path


def a_text(folder: Path) -> Path:
    path = folder / "text.mp4"
    path.write_text("Dear diary, today I restored a film.\n" * 50)
    return path


def nothing(folder: Path) -> Path:
    path = folder / "empty.mp4"
    path.touch()
    return path


@pytest.mark.parametrize(
    ("make", "reason"),
    [
        (a_missing_file, "does not exist"),
        (a_folder, "is a folder"),
        (a_text, "is a text file"),
        (nothing, "is empty"),
    ],
)
def test_what_is_no_video_is_refused_in_one_line(
    run: Run, tmp_path: Path, make: Callable[[Path], Path], reason: str
) -> None:
    source = make(tmp_path)
    before = set(tmp_path.iterdir())
    code, out, err = run("restore", source, tmp_path / "out.mp4", "--runtime", "local")
    assert code == 1
    assert reason in err
    assert err.count("\n") == 1
    assert out == ""
    assert set(tmp_path.iterdir()) == before


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (["--model", "gfpgan-v1.5"], "did you mean"),
        (["--codec", "libx263"], "did you mean 'libx26"),
        (["--crf", "99"], "crf is 99"),
        (["--strength", "2"], "restore.compositor.strength is 2.0; use 0 to 1"),
        (["--preset", "quick"], "preset 'quick' is unknown"),
        (["--set", "tracker.lookahead=3"], "unknown option tracker"),
        (["--set", "restore.tracker.lokahead=3"], "did you mean 'lookahead'"),
        (["--config", "none.toml"], "cannot read the configuration"),
        (["--device", "cuda:7"], "cuda"),
        (["--runtime", "cloud"], "runtime is 'cloud'; use auto, ray or local"),
    ],
)
def test_an_impossible_wish_is_refused_in_one_line(
    run: Run, make_portrait_video: MakeVideo, tmp_path: Path, arguments: list[str], reason: str
) -> None:
    given = arguments if "--runtime" in arguments else [*arguments, "--runtime", "local"]
    code, _, err = run("restore", make_portrait_video(), tmp_path / "out.mp4", *given)
    assert code == 1
    assert reason in err
    assert err.count("\n") == 1
    assert list(tmp_path.iterdir()) == []


def test_corrupt_weights_are_refused(run: Run, make_portrait_video: MakeVideo, tmp_path: Path) -> None:
    weights = tmp_path / "weights.pth"
    weights.write_bytes(os.urandom(5000))
    code, _, err = run("restore", make_portrait_video(), tmp_path / "out.mp4", "--model", weights, "--runtime", "local")
    assert code == 1
    assert "weights.pth" in err
    assert list(tmp_path.iterdir()) == [weights]


def test_an_output_that_cannot_be_is_refused(run: Run, make_portrait_video: MakeVideo, tmp_path: Path) -> None:
    source = make_portrait_video()
    there = tmp_path / "there.mp4"
    there.write_bytes(b"precious")
    cases = {
        str(source): "is the source itself",
        str(tmp_path / "no" / "out.mp4"): "does not exist",
        str(tmp_path): "is a folder",
        str(tmp_path / "out.doc"): "names no known container",
        str(there): "--overwrite",
        "/proc/out.mp4": "out.mp4",
    }
    for destination, reason in cases.items():
        code, _, err = run("restore", source, destination, "--runtime", "local")
        assert code == 1, destination
        assert reason in err
        assert err.count("\n") == 1
    assert there.read_bytes() == b"precious"


@pytest.mark.parametrize(
    "arguments",
    [
        ["restore"],
        ["restore", "a.mp4"],
        ["rstore"],
        ["restore", "a", "b", "--faces", "few"],
        ["restore", "a", "b", "--nonsense"],
        ["models", "list", "x"],
    ],
)
def test_wrong_usage_ends_with_two(run: Run, arguments: list[str]) -> None:
    code, _, err = run(*arguments)
    assert code == 2
    assert "Usage" in err


def test_a_restored_video_a_report_and_a_summary(run: Run, make_portrait_video: MakeVideo, tmp_path: Path) -> None:
    destination, report = tmp_path / "out.mp4", tmp_path / "report.json"
    code, out, _ = run(
        "restore", make_portrait_video(), destination, "--runtime", "local", "--report", report, "--faces", "largest",
        "--strength", "0.8", "--min-face", "10", "--preset", "ultrafast",
    )  # fmt: skip
    assert code == 0
    assert "12 frames, 12 faces in 1 tracks" in out
    written = json.loads(report.read_text())
    assert written["frames_written"] == 12
    assert written["config"]["restore"]["compositor"]["strength"] == 0.8
    assert written["config"]["restore"]["selection"]["max_faces"] == 1
    assert len(written["model_sha256"]) == 64
    assert {"decode", "detect", "track", "align", "restore", "composite", "encode"} <= written[
        "seconds_per_stage"
    ].keys()


def test_quiet_prints_nothing(run: Run, make_portrait_video: MakeVideo, tmp_path: Path) -> None:
    code, out, err = run(
        "restore", make_portrait_video(frames=3), tmp_path / "out.mp4", "--runtime", "local", "--quiet"
    )
    assert (code, out, err) == (0, "", "")


def test_a_configuration_file_is_heard_and_the_command_line_has_the_last_word(
    run: Run, make_portrait_video: MakeVideo, tmp_path: Path
) -> None:
    config, report = tmp_path / "job.toml", tmp_path / "report.json"
    config.write_text('runtime = "local"\n[restore.encode]\ncrf = 30\npreset = "ultrafast"\n')
    code, _, _ = run(
        "restore",
        make_portrait_video(frames=3),
        tmp_path / "out.mp4",
        "--config",
        config,
        "--crf",
        "25",
        "--report",
        report,
    )
    assert code == 0
    encode = json.loads(report.read_text())["config"]["restore"]["encode"]
    assert (encode["crf"], encode["preset"]) == (25, "ultrafast")


def test_probe_describes_a_video(run: Run, make_portrait_video: MakeVideo) -> None:
    code, out, _ = run("probe", make_portrait_video(), "--json")
    described = json.loads(out)
    assert code == 0
    assert (described["width"], described["height"], described["frames"]) == (320, 240, 12)
    assert [stream["type"] for stream in described["streams"]] == ["video", "audio"]
    code, out, _ = run("probe", make_portrait_video())
    assert code == 0
    assert re.search(r"width\s+320", out)


def test_models_are_listed_and_verified(run: Run) -> None:
    code, out, _ = run("models", "list")
    assert code == 0
    assert "embedded" in out
    code, out, _ = run("models", "verify", "embedded")
    assert code == 0
    assert "sha256 matches" in out
    code, _, err = run("models", "fetch", "gfpgan")
    assert code == 1
    assert "gfpgan-v1.4" in err


def start(*arguments: object) -> subprocess.Popen[str]:
    return subprocess.Popen([*COMMAND, *map(str, arguments)], stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


@pytest.mark.parametrize(
    ("runtime", "stop"),
    [("local", signal.SIGINT), pytest.param("ray", signal.SIGTERM, marks=[pytest.mark.ray, pytest.mark.nightly])],
)
def test_a_stopped_run_leaves_nothing_and_says_so(
    make_portrait_video: MakeVideo, tmp_path: Path, stop: signal.Signals, runtime: str
) -> None:
    process = start("restore", make_portrait_video(frames=400), tmp_path / "out.mp4", "--runtime", runtime, "--quiet")
    deadline = time.monotonic() + 240
    while not any(tmp_path.glob(".*/parts/*")):  # a segment is being written
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < deadline
        time.sleep(0.1)
    process.send_signal(stop)
    out, err = process.communicate(timeout=60)
    assert process.returncode == 1
    assert out == ""
    assert re.fullmatch(r"vidrestore: interrupted.*\n", err), err
    assert list(tmp_path.iterdir()) == []


def test_a_disk_that_takes_no_more_ends_the_run_cleanly(make_portrait_video: MakeVideo, tmp_path: Path) -> None:
    limited = "import resource; resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000)); "
    limited += "import signal; signal.signal(signal.SIGXFSZ, signal.SIG_IGN); "
    program = limited + COMMAND[2]
    arguments = ["restore", str(make_portrait_video(frames=12)), str(tmp_path / "out.mkv")]
    done = subprocess.run(
        [sys.executable, "-c", program, *arguments, "--lossless", "--runtime", "local", "--quiet"],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 1
    assert "could not be written" in done.stderr
    assert done.stderr.count("\n") == 1
    assert list(tmp_path.iterdir()) == []


def test_photographs_become_aligned_faces_in_one_line(run: Run, tmp_path: Path) -> None:
    photographs, faces = tmp_path / "photographs", tmp_path / "faces"
    photographs.mkdir()
    assert cv2.imwrite(str(photographs / "astronaut.png"), astronaut()[..., ::-1])
    (photographs / "torn.jpg").touch()
    code, out, err = run("build-faces", photographs, faces, "--size", "64", "--device", "cpu", "--format", "jpg")
    assert code == 0
    assert "1 faces of 2 photographs (0 without a face, 1 unusable; faces skipped: none)" in out
    assert out.count("\n") == 1
    assert "torn.jpg cannot be decoded" in err
    assert {path.name for path in faces.iterdir()} == {"astronaut_png_0.jpg", "landmarks.csv", "report.json"}
    code, out, err = run("build-faces", faces, faces, "--keep", "--quiet", "--device", "cpu")
    assert (code, out) == (1, "")
    assert "use another folder" in err
    code, out, err = run("build-faces", tmp_path / "none", faces)
    assert (code, out) == (1, "")
    assert "does not exist" in err


@pytest.mark.parametrize("report", ["film.mp4", "./film.mp4", "out.mp4", "link.mp4", "notes.json"])
@pytest.mark.parametrize("overwrite", [False, True])
def test_a_report_replaces_no_video(
    run: Run, make_portrait_video: MakeVideo, tmp_path: Path, report: str, *, overwrite: bool
) -> None:
    video = tmp_path / "film.mp4"
    video.write_bytes(make_portrait_video().read_bytes())
    (tmp_path / "link.mp4").symlink_to(video)
    (tmp_path / "notes.json").write_text("{}")
    if overwrite and report == "notes.json":
        return
    before = {path: path.read_bytes() for path in tmp_path.iterdir()}
    for command in (["restore", "--runtime", "local"], ["degrade"]):
        arguments = [*command, *["--overwrite"] * overwrite, "--report", tmp_path / report]
        code, _, err = run(arguments[0], video, tmp_path / "out.mp4", *arguments[1:])
        assert code == 1
        assert "another file for the report" in err
        assert {path: path.read_bytes() for path in tmp_path.iterdir()} == before


@pytest.mark.parametrize("report", ["film.mp4", "rec.mp4", "hls/stream.m3u8", "notes.json"])
def test_a_streams_report_replaces_no_source_and_no_output(
    run: Run, make_portrait_video: MakeVideo, tmp_path: Path, report: str
) -> None:
    video = tmp_path / "film.mp4"
    video.write_bytes(make_portrait_video().read_bytes())
    (tmp_path / "notes.json").write_text("{}")
    (tmp_path / "hls").mkdir()
    code, _, err = run("stream", video, tmp_path / "rec.mp4", f"{tmp_path}/hls/", "--report", tmp_path / report)
    assert code == 1
    assert "another file for the report" in err
    assert video.read_bytes() == make_portrait_video().read_bytes()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["film.mp4", "hls", "notes.json"]
