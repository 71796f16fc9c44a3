"""`vidrestore train`: what it makes, what it writes down, and how it refuses."""

import json
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path

import cv2
import numpy as np
import pytest

from vidrestore.config import apply_settings, read_toml, update
from vidrestore.errors import ConfigError
from vidrestore.models.checkpoint import load_gfpgan
from vidrestore.training.gan.augmentation import AugmentationConfig
from vidrestore.training.job import TrainingConfig
from vidrestore.training.recipes import training_preset

pytestmark = pytest.mark.integration

Run = Callable[..., tuple[int, str, str]]

TINY = """
batch = 2
held_out_share = 0.3
cache = "memory"
precision = "fp32"
compile = false

[network]
out_size = 64
num_style_feat = 16
channel_multiplier = 1
num_mlp = 2
narrow = 0.03125

[run]
log_every_steps = 1
checkpoint_every_steps = 1
"""


@pytest.fixture
def run(run: Run) -> Run:
    """Run `vidrestore train` in this process; gives exit code, stdout and stderr."""
    return partial(run, "train")


@pytest.fixture(scope="module")
def faces(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("faces")
    for index in range(12):
        face = np.random.default_rng(index).integers(0, 255, (64, 64, 3), np.uint8)
        assert cv2.imwrite(str(folder / f"face{index:02}.png"), cv2.GaussianBlur(face, (0, 0), 3))
    return folder


@pytest.fixture
def toml(tmp_path: Path) -> Path:
    path = tmp_path / "tiny.toml"
    path.write_text(TINY)
    return path


def test_two_steps_leave_weights_that_load_and_a_third_resumes(
    run: Run, faces: Path, toml: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    wishes = (faces, "--out", out, "--config", toml, "--device", "cpu", "--set", "restorer.augmentation.initial=0.25")
    code, told, err = run(*wishes, "--set", "run.steps=2")
    assert (code, err) == (0, "")
    assert re.search(r"step 2 of 2: total .* l1 .* images/s", told)
    assert told.splitlines()[-1] == str(out / "gfpgan.safetensors")
    load_gfpgan(out / "gfpgan.safetensors")
    written = json.loads((out / "training.json").read_text())
    wanted = apply_settings(
        read_toml(training_preset("official"), toml), ["run.steps=2", "restorer.augmentation.initial=0.25"]
    )
    assert update(TrainingConfig(), written["config"]) == wanted
    assert wanted.restorer.augmentation == AugmentationConfig(initial=0.25)
    code, told, _ = run(*wishes, "--set", "run.steps=3")
    assert code == 0
    assert "step 3 of 3" in told
    assert "step 1 of" not in told
    code, _, err = run(*wishes, "--set", "restorer.clip=2.0")
    assert code == 1
    assert "is of another run (config.clip: found 1.0, wanted 2.0); give another folder" in err
    assert update(TrainingConfig(), json.loads((out / "training.json").read_text())["config"]).restorer.clip == 1.0
    (out / "training.json").unlink()  # as in a folder that a pipeline made
    assert run(*wishes, "--set", "restorer.clip=2.0")[0] == 1
    assert not (out / "training.json").exists(), "no record of what was refused stays beside another run's states"


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (["--recipe", "tiny"], "take one of official, compact"),
        (["--what", "both"], "take one of restorer, prior"),
        (["--what", "prior", "--prior", "x.pth"], "to continue from a prior with --what prior, use --start DIR"),
        (["--set", "restorer.lerning_rate=1"], "did you mean 'learning_rate'"),
        (["--set", "restorer.augmentation.initail=1"], "did you mean 'initial'"),
        (["--set", "cache=tape"], "cache is 'tape'; use"),
        (["--set", "restorer.clip=-1"], "restorer.clip is -1; use more than 0"),
        (["--config", "none.toml"], "cannot read the configuration"),
        (["--workers", "5"], "cannot share evenly"),
        (["--workers", "2", "--device", "cuda:1"], "Ray chooses the GPU"),
        (["--device", "gpu"], "is no device"),
        (["--prior", "none.pth"], "none.pth"),
        (["--start", "none"], "none"),
    ],
)
def test_an_impossible_wish_is_refused_in_one_line(
    run: Run, faces: Path, toml: Path, tmp_path: Path, arguments: list[str], reason: str
) -> None:
    given = arguments if "--config" in arguments else ["--config", toml, *arguments]
    code, out, err = run(faces, "--out", tmp_path / "out", *given)
    assert code == 1
    assert reason in err
    assert err.count("\n") == 1
    assert out == ""


def test_a_folder_without_faces_is_named(run: Run, toml: Path, tmp_path: Path) -> None:
    code, _, err = run(tmp_path / "none", "--out", tmp_path / "out", "--config", toml, "--device", "cpu")
    assert code == 1
    assert "is no folder" in err
    assert err.count("\n") == 1


def test_an_interrupted_training_tells_what_is_kept(faces: Path, toml: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    program = [sys.executable, "-c", "from vidrestore.cli import main; main()", "train"]
    wishes = [str(faces), "--out", str(out), "--config", str(toml), "--device", "cpu", "--quiet"]
    process = subprocess.Popen([*program, *wishes], stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    deadline = time.monotonic() + 60
    while not list(out.glob("state-*.pt")):
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < deadline
        time.sleep(0.1)
    process.send_signal(signal.SIGINT)
    told, err = process.communicate(timeout=30)
    assert (process.returncode, told) == (1, "")
    assert re.fullmatch(r"vidrestore: interrupted; the checkpoint of step \d+ in .* is kept, and .*\n", err), err


@pytest.mark.ray
@pytest.mark.nightly
def test_two_workers_train_on_ray_from_the_command(run: Run, faces: Path, toml: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    code, told, err = run(
        faces, "--out", out, "--config", toml, "--device", "cpu", "--workers", 2, "--what", "prior",
        "--set", "run.steps=2", "--set", "prior.samples_for_distance=8",
    )  # fmt: skip
    assert (code, err) == (0, "")
    assert told.splitlines()[-1] == str(out / "prior.safetensors")
    assert "step 2 of 2" in told
    assert not (out / "ray").exists()


def test_the_presets_are_those_of_the_paper_and_of_the_embedded_model() -> None:
    official, compact = training_preset("official"), training_preset("compact")
    assert (official.network.out_size, official.batch, official.run.steps) == (512, 12, 800_000)
    assert official.restorer.schedule.rate(600_000) == 1
    assert (compact.network.out_size, compact.batch, compact.cache) == (256, 64, "memory")
    with pytest.raises(ConfigError, match="take one of"):
        training_preset("paper")


def test_every_kind_of_option_can_be_written(tmp_path: Path) -> None:
    path = tmp_path / "kinds.toml"
    path.write_text(
        'cache = "memory"\n[run]\nstop_after_seconds = inf\n[restorer]\nbetas = [0.5, 0.9]\n'
        "[restorer.degradation]\njpeg_quality = [30, 60]\n[restorer.augmentation]\nmaximum = 0.5\n"
    )
    config = read_toml(TrainingConfig(), path)
    assert (config.cache, config.run.stop_after_seconds, config.restorer.betas) == ("memory", float("inf"), (0.5, 0.9))
    assert config.restorer.degradation.jpeg_quality == (30, 60)
    assert config.restorer.augmentation == AugmentationConfig(maximum=0.5)
    again = apply_settings(config, ["restorer.augmentation.initial=0.1", "run.stop_after_seconds=60"])
    assert again.restorer.augmentation == AugmentationConfig(maximum=0.5, initial=0.1)
    assert again.run == replace(config.run, stop_after_seconds=60.0)
