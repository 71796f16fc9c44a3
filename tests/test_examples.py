"""Every example runs as its first line says."""

import runpy
import sys
from collections.abc import Callable
from pathlib import Path

import av
import cv2
import pytest
from skimage.data import astronaut

from vidrestore.config import read_toml
from vidrestore.jobs.config import JobConfig
from vidrestore.server.settings import read_settings

pytestmark = pytest.mark.integration

EXAMPLES = Path(__file__).parents[1] / "examples"
MakeVideo = Callable[..., Path]
Run = Callable[..., str]


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Callable[..., str]:
    """Run an example as a script, in this process: a process of its own would import for seconds."""

    def call(script: str, *arguments: object) -> str:
        monkeypatch.setattr(sys, "argv", [script, *map(str, arguments)])
        runpy.run_path(str(EXAMPLES / script), run_name="__main__")
        return capsys.readouterr().out

    return call


def frames_in(path: Path) -> int:
    with av.open(str(path)) as container:
        return sum(1 for _ in container.decode(video=0))


def test_restore_a_video(run: Run, make_portrait_video: MakeVideo, tmp_path: Path) -> None:
    printed = run("restore_a_video.py", make_portrait_video(), tmp_path / "new.mp4")
    assert "12 frames" in printed
    assert "complete: True" in printed
    assert frames_in(tmp_path / "new.mp4") == 12


def test_restore_a_photo(run: Run, tmp_path: Path) -> None:
    before, after = tmp_path / "old.png", tmp_path / "new.png"
    picture = cv2.resize(astronaut()[:256, 96:352], (128, 128), interpolation=cv2.INTER_AREA)[..., ::-1]
    cv2.imwrite(str(before), picture)
    run("restore_a_photo.py", before, after)
    restored = cv2.imread(str(after))
    assert restored is not None
    assert restored.shape == picture.shape
    assert (restored != picture).any()
    assert (restored[-8:] == picture[-8:]).all(), "away from the face nothing changes"


def test_frames_in_memory(run: Run, make_portrait_video: MakeVideo) -> None:
    lines = run("frames_in_memory.py", make_portrait_video()).splitlines()
    assert len(lines) == 12
    assert lines[0].startswith("0.000 s: uint8 (240, 320, 3)")


def test_degrade_and_compare(run: Run, make_portrait_video: MakeVideo, tmp_path: Path) -> None:
    roles = [
        line.partition(":")[0] for line in run("degrade_and_compare.py", make_portrait_video(), tmp_path).splitlines()
    ]
    assert roles == ["reference", "input", "test"]


def test_track_faces(run: Run, make_portrait_video: MakeVideo) -> None:
    header, *rows = run("track_faces.py", make_portrait_video()).splitlines()
    assert header == "seconds,face,x,y,side,score"
    assert len(rows) == 12
    assert len({row.split(",")[1] for row in rows}) == 1
    moved = float(rows[-1].split(",")[2]) - float(rows[0].split(",")[2])
    assert moved == pytest.approx(11, abs=2), "the film drifts a pixel a frame"


def test_own_model(run: Run, make_portrait_video: MakeVideo, tmp_path: Path) -> None:
    assert "12 faces sharpened" in run("own_model.py", make_portrait_video(), tmp_path / "sharper.mp4")
    assert frames_in(tmp_path / "sharper.mp4") == 12


def test_the_configuration_file_is_valid() -> None:
    job = read_toml(JobConfig(), EXAMPLES / "gentle.toml")
    assert job.restore.compositor.strength == 0.6
    assert job.restore.encode.codec == "libx265"


def test_watch_a_camera(run: Run, make_portrait_video: MakeVideo, tmp_path: Path) -> None:
    printed = run("watch_a_camera.py", make_portrait_video(frames=50), tmp_path / "live.mkv", 20)
    assert "frames in" in printed
    (recorded,) = tmp_path.glob("live-*.mkv")
    assert frames_in(recorded) > 3


def test_the_file_of_streams_is_valid(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PORCH_PASSWORD", "x")
    found = read_settings(EXAMPLES.parent / "deploy" / "streams.toml")
    assert [spec.name for spec in found.streams] == ["porch", "lobby"]
    assert found.streams[0].config.restore.lag == 2
