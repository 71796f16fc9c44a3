"""Where work runs when nobody says so, and how many segments this process restores at once."""

from pathlib import Path

import pytest

from vidrestore.runtime.choice import Machine, _visible_gpus, choose_runtime, encoder_threads, local_workers
from vidrestore.runtime.config import RayConfig

SMALL, LARGE, MANY_GPUS = Machine(2, 0), Machine(16, 1), Machine(16, 4)
SHORT, LONG = 60.0, 1e6


@pytest.mark.parametrize(
    ("machine", "work", "expected"),
    [
        (SMALL, SHORT, "local"),
        (SMALL, LONG, "local"),
        (SMALL, None, "local"),
        (LARGE, SHORT, "local"),
        (LARGE, LONG, "ray"),
        (LARGE, None, "ray"),
        (MANY_GPUS, SHORT, "local"),
        (MANY_GPUS, LONG, "ray"),
        (Machine(4, 2), LONG, "ray"),
    ],
)
def test_one_process_does_short_work_and_that_of_small_machines(
    machine: Machine, work: float | None, expected: str
) -> None:
    choice = choose_runtime("auto", RayConfig(), machine, work=work)

    assert choice.runtime == expected
    assert choice.reason


@pytest.mark.parametrize("ray", [RayConfig(address="auto"), RayConfig(face_workers=2), RayConfig(placement="pack")])
def test_an_option_of_ray_means_ray(ray: RayConfig) -> None:
    assert choose_runtime("auto", ray, SMALL, work=SHORT).runtime == "ray"


def test_what_is_asked_for_is_done() -> None:
    assert choose_runtime("ray", RayConfig(), SMALL, work=SHORT).runtime == "ray"
    assert choose_runtime("local", RayConfig(address="auto"), MANY_GPUS, work=LONG).runtime == "local"


def test_a_certain_gpu_means_this_process() -> None:
    assert choose_runtime("auto", RayConfig(), MANY_GPUS, device="cuda:1", work=LONG).runtime == "local"


@pytest.mark.parametrize(
    ("machine", "most", "expected"),
    [
        (SMALL, 0, 1),
        (Machine(4, 0), 0, 2),
        (LARGE, 0, 8),
        (LARGE, 3, 3),
        (Machine(1, 1), 0, 1),
        (Machine(128, 1), 0, 8),
    ],
)
def test_threads_follow_the_cores(machine: Machine, most: int, expected: int) -> None:
    assert local_workers(machine, most=most) == expected


@pytest.mark.parametrize(("shown", "expected"), [(None, 2), ("0", 1), ("", 0), ("-1", 0), ("0,1,2", 2)])
def test_gpus_are_counted_without_torch(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, shown: str | None, expected: int
) -> None:
    for name in ("nvidia0", "nvidia1", "nvidiactl", "nvidia-uvm"):
        (tmp_path / name).touch()
    if shown is None:
        monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    else:
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", shown)

    assert _visible_gpus(tmp_path) == expected
    assert _visible_gpus(tmp_path / "none") == 0


@pytest.mark.parametrize(
    ("cores", "at_once", "expected"),
    [(2.0, 1, 2), (16.0, 8, 2), (15.0, 15, 1), (16.0, 1, 8), (0.5, 4, 1), (64.0, 3, 8)],
)
def test_encoders_share_the_cores(cores: float, at_once: int, expected: int) -> None:
    assert encoder_threads(cores, at_once) == expected
