"""Several processes train as one, and a dead one costs time and not the training."""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import psutil
import pytest
import ray
import torch

from vidrestore.config import update
from vidrestore.degradation.image.model import DegradationConfig
from vidrestore.errors import ConfigError, InputError, OutputError, TrainingError
from vidrestore.models.checkpoint import load_gfpgan, load_training_state
from vidrestore.runtime.ray.connection import connect
from vidrestore.runtime.ray.training import _check_shared, _Job, train_on_ray
from vidrestore.training.job import TrainingConfig, machine_of, train_restorer

STEPS = 4
CONFIG = update(
    TrainingConfig(),
    {
        "network": {"out_size": 64, "num_style_feat": 16, "channel_multiplier": 1, "num_mlp": 2, "narrow": 1 / 32},
        "restorer": {
            "weights": {"identity": 0.0, "adversarial": 0.0, "component_adversarial": 0.0, "component_style": 0.0},
            "schedule": {"warmup_steps": 0},
            "learning_rate": 4e-5,
            "decoder_learning_rate": 4e-5,
            "fresh_noise": False,
        },
        "run": {"steps": STEPS, "log_every_steps": 1, "checkpoint_every_steps": 2, "keep_checkpoints": 100},
        "batch": 4,
        "held_out_share": 0.3,
        "cache": "memory",
        "precision": "fp32",
        "compile": False,
    },
)
CONFIG = replace(CONFIG, restorer=replace(CONFIG.restorer, degradation=DegradationConfig()))
"""The first steps without anything that a worker draws for itself: all differences are those of arithmetic."""


@pytest.fixture(scope="module")
def faces(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A dozen small faces, none like another."""
    folder = tmp_path_factory.mktemp("faces")
    for index in range(12):
        rng = np.random.default_rng(index)
        face = np.full((64, 64, 3), rng.integers(0, 60, 3), np.uint8)
        cv2.ellipse(face, (32, 34), (24, 29), 0, 0, 360, tuple(map(int, rng.integers(120, 220, 3))), -1)
        for x in (24, 40):
            cv2.circle(face, (x, 30), 4, tuple(map(int, rng.integers(0, 100, 3))), -1)
        assert cv2.imwrite(str(folder / f"face{index:02}.png"), face)
    return folder


@pytest.fixture(scope="module")
def one_ray() -> Iterator[None]:
    """Started once for all of these tests: a Ray that is already there is used and left running."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RAY_TRAIN_HEALTH_CHECK_INTERVAL_S", "0.2")  # how soon an end is noticed; 2 by default
        assert connect(None)
        yield
        ray.shutdown()


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """Tiny tensors gain nothing from threads, which fight with those of Ray's processes."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def network_after(folder: Path, step: int = STEPS) -> Mapping[str, torch.Tensor]:
    state = load_training_state(folder / f"state-{step:08}.pt")
    network: Mapping[str, torch.Tensor] = state["generator"]["networks"][0]
    return network


def distances(one: Mapping[str, torch.Tensor], other: Mapping[str, torch.Tensor]) -> torch.Tensor:
    return torch.cat([(one[name] - other[name]).abs().flatten() for name in one])


@pytest.mark.ray
@pytest.mark.nightly
@pytest.mark.usefixtures("one_ray")
def test_two_workers_reach_the_weights_of_one_process(faces: Path, tmp_path: Path) -> None:
    heard: list[int] = []
    made = train_on_ray(
        CONFIG,
        faces,
        tmp_path / "two",
        what="restorer",
        workers=2,
        gpus_per_worker=0,
        on_log=lambda step, values: heard.append(step) if "total" in values else None,
    )
    load_gfpgan(made)
    assert heard == [1, 2, 3, 4]
    assert not (tmp_path / "two" / "ray").exists()
    train_restorer(CONFIG, faces, tmp_path / "one", machine_of(CONFIG, "cpu"))
    half = replace(CONFIG, batch=2)
    train_restorer(half, faces, tmp_path / "half", machine_of(half, "cpu"))
    one, two, half_weights = (network_after(tmp_path / name) for name in ("one", "two", "half"))
    arithmetic, method = distances(one, two), distances(one, half_weights)
    assert arithmetic.max() < 1e-4  # Adam gives a gradient of nothing but rounding a whole step
    assert arithmetic.mean() < method.mean() / 50


@pytest.mark.ray
@pytest.mark.nightly
@pytest.mark.usefixtures("one_ray")
def test_a_worker_that_dies_is_replaced_and_the_training_resumes(faces: Path, tmp_path: Path) -> None:
    config = update(CONFIG, {"run": {"steps": 16}})
    first = tmp_path / "state-00000002.pt"
    written: list[int] = []

    def kill_one(step: int, _values: Mapping[str, float]) -> None:
        if written or not first.is_file():
            return
        written.append(first.stat().st_mtime_ns)
        workers = [child for child in psutil.Process().children(recursive=True) if "TrainWorker" in child.name()]
        assert len(workers) == 2, step
        workers[-1].kill()

    made = train_on_ray(
        config, faces, tmp_path, what="restorer", workers=2, gpus_per_worker=0, retries=1, on_log=kill_one
    )
    assert made.is_file()
    assert written == [first.stat().st_mtime_ns], "the group began from nothing instead of its checkpoint"
    assert (tmp_path / "state-00000016.pt").is_file()


@pytest.mark.ray
@pytest.mark.nightly
@pytest.mark.usefixtures("one_ray")
def test_a_diverged_training_is_not_retried_and_tells_its_own_error(faces: Path, tmp_path: Path) -> None:
    config = update(CONFIG, {"restorer": {"learning_rate": 1e30, "clip": 1e30}, "run": {"steps": 40}})
    with pytest.raises(TrainingError, match="training diverged at step"):
        train_on_ray(config, faces, tmp_path, what="restorer", workers=1, gpus_per_worker=0)
    assert not (tmp_path / "ray").exists()


def test_folders_that_a_worker_does_not_see_are_named(faces: Path, tmp_path: Path) -> None:
    job = _Job(CONFIG, faces, tmp_path, "prior", 1, 0.0, None, None, 0)
    with pytest.raises(OutputError, match="put it on a file system that all hosts share"):
        _check_shared(job)
    (tmp_path / "ray").mkdir()
    _check_shared(job)
    with pytest.raises(InputError, match="on a file system that all hosts share"):
        _check_shared(replace(job, faces=tmp_path / "none"))


@pytest.mark.parametrize(
    ("options", "complaint"),
    [({"workers": 3}, "cannot share evenly"), ({"workers": 0}, "give at least 1"), ({"retries": -1}, "give at least")],
)
def test_impossible_wishes_are_refused_before_anything_starts(
    options: dict[str, int], complaint: str, faces: Path, tmp_path: Path
) -> None:
    with pytest.raises(ConfigError, match=complaint):
        train_on_ray(CONFIG, faces, tmp_path / "out", what="prior", **({"workers": 1} | options))
    assert not (tmp_path / "out").exists()
