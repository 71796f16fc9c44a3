"""No command imports anything from the folder that it is run in: people run it in folders that they have downloaded."""

import os
import shutil
import socket
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import cv2
import pytest
from skimage.data import astronaut

from support.ports import free_port
from vidrestore.models import zoo
from vidrestore.process import module_command, spawn_context

pytestmark = pytest.mark.integration

MakeVideo = Callable[..., Path]
COMMAND = Path(sys.executable).parent / "vidrestore"
MODULES = (
    "av.py",
    "cv2.py",
    "grpc.py",
    "multiprocessing/__init__.py",
    "numpy.py",
    "pickle.py",
    "psutil.py",
    "ray.py",
    "retinaface/__init__.py",
    "retinaface/weights.py",
    "sitecustomize.py",
    "torch.py",
    "vidrestore/__init__.py",
)


@pytest.fixture
def hostile(tmp_path: Path, make_portrait_video: MakeVideo) -> Path:
    """A folder of a film, weights and Python files that leave a mark and fail when they are imported."""
    folder = tmp_path / "downloaded"
    folder.mkdir()
    for name in MODULES:
        module = folder / name
        module.parent.mkdir(exist_ok=True)
        module.write_text(f"open({str(tmp_path / 'mark')!r}, 'a').write(__file__)\nraise ImportError(__file__)\n")
    shutil.copy(make_portrait_video(), folder / "film.mp4")
    (folder / "own.safetensors").symlink_to(zoo.resolve("embedded"))
    for name in ("embedded", "retinaface-mobile0.25", "mobilenetv2", "mobileface"):
        (folder / name).write_bytes(b"no weights")  # names that weights in the package have
    return folder


def run_in(folder: Path, *arguments: str) -> str:
    """Run the installed command with relative names in a folder, and look whether anything there ran."""
    environment = {name: value for name, value in os.environ.items() if name not in {"PYTHONSAFEPATH", "PYTHONPATH"}}
    (folder / "tmp").mkdir(exist_ok=True)
    done = subprocess.run(
        [COMMAND, *arguments],
        cwd=folder,
        env=environment | {"TMPDIR": "tmp", "VIDRESTORE_CACHE": "cache"},
        capture_output=True,
        text=True,
        check=False,
        timeout=280,
    )
    assert not (folder.parent / "mark").exists(), (folder.parent / "mark").read_text()
    assert done.returncode == 0, done.stderr
    assert not list((folder / "tmp").glob("vidrestore-[!s]*"))
    return done.stdout


@pytest.mark.ray
@pytest.mark.slow
def test_restoring_a_video_on_ray_runs_nothing_of_it(hostile: Path) -> None:
    run_in(hostile, "restore", "film.mp4", "out.mp4", "--model", "own.safetensors", "--report", "report.json")
    assert (hostile / "out.mp4").stat().st_size
    assert (hostile / "report.json").stat().st_size


@pytest.mark.ray
@pytest.mark.nightly  # its workers are begun as those of the two tests beside it
def test_a_batch_on_ray_runs_nothing_of_it(hostile: Path) -> None:
    run_in(hostile, "batch", "film.mp4", "--out", "out", "--model", "own.safetensors", "--work", "work")
    assert (hostile / "out" / "film.mp4").stat().st_size


@pytest.mark.slow
@pytest.mark.parametrize("runtime", ["local", pytest.param("ray", marks=[pytest.mark.nightly, pytest.mark.ray])])
def test_a_stream_runs_nothing_of_it(hostile: Path, runtime: str) -> None:
    targets = [f"udp://127.0.0.1:{free_port(socket.SOCK_DGRAM)}", "wall/", "recordings/cam.mp4"]
    for folder in ("wall", "recordings"):
        (hostile / folder).mkdir()
    run_in(
        hostile, "stream", "film.mp4", *targets, "--retry", "never", "--runtime", runtime, "--model", "own.safetensors"
    )
    assert (hostile / "wall" / "stream.m3u8").exists()
    assert list((hostile / "recordings").glob("*.mp4"))


def test_looking_at_a_video_runs_nothing_of_it(hostile: Path) -> None:
    assert "film.mp4" in run_in(hostile, "probe", "film.mp4", "--json")


LOCAL = (
    (("restore", "film.mp4", "out.mp4", "--runtime", "local", "--model", "own.safetensors"),),
    (("batch", "film.mp4", "--out", "out", "--runtime", "local"), ("jobs", "list")),
    (("build-faces", "photos", "faces", "--size", "64"),),
    (("degrade", "film.mp4", "bad.mp4", "--medium", "vhs"), ("compare", "film.mp4", "bad.mp4", "--out", "told")),
    (("models", "list"), ("models", "verify", "embedded")),
    (
        (
            "evaluate-model",
            "aligned",
            "--all",
            "--damage",
            "clean",
            "--model",
            "own.safetensors",
            "--out",
            "told",
        ),
    ),
    (
        ("train", "aligned", "--out", "trained", "--config", "train.toml", "--steps", "1"),
        ("train", "aligned", "--out", "both", "--config", "train.toml", "--steps", "1", "--workers", "2"),
    ),
    (("demo", "demo"),),
)
TRAINING = """
batch = 4
held_out_share = 0.3
cache = "memory"
precision = "fp32"
compile = false
identity = "mobileface"
network = {out_size = 64, num_style_feat = 16, channel_multiplier = 1, num_mlp = 2, narrow = 0.03125}
medium_mix = {share = 0.5, workers = 1}
"""


@pytest.mark.nightly
@pytest.mark.timeout(1200)
@pytest.mark.parametrize("commands", LOCAL, ids=lambda commands: commands[0][0])
def test_other_commands_run_nothing_of_it(hostile: Path, commands: Sequence[Sequence[str]]) -> None:
    for name, side, count in (("photos", 512, 1), ("aligned", 256, 8)):
        (hostile / name).mkdir()
        for index in range(count):
            picture = cv2.resize(astronaut()[..., ::-1], (side, side))
            assert cv2.imwrite(str(hostile / name / f"{index}.png"), picture + index)
    (hostile / "train.toml").write_text(TRAINING)
    for arguments in commands:
        run_in(hostile, *arguments)


def test_children_of_the_spawn_context_and_of_modules_run_nothing_of_it(
    hostile: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(hostile)
    monkeypatch.delenv("PYTHONSAFEPATH", raising=False)
    with subprocess.Popen(module_command("vidrestore.live.remote_muxer"), stdin=subprocess.PIPE) as muxer:
        assert muxer.stdin is not None
        muxer.stdin.close()
        assert muxer.wait(60) == 0
    child = spawn_context().Process(target=print)
    child.start()
    child.join(60)
    assert child.exitcode == 0
    assert not (hostile.parent / "mark").exists()
