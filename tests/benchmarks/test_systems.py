"""Our command and the reference flow as processes of their own, on a few frames and the smallest network."""

from collections.abc import Callable
from pathlib import Path

import pytest

from benchmarks.checks import frame_times
from benchmarks.reference_networks import write_random_weights
from benchmarks.results import REST
from benchmarks.systems import SYSTEMS, Setting
from benchmarks.usage import NoGpu, gpu_sampler
from vidrestore.models.gfpgan import GFPGANConfig

pytestmark = pytest.mark.integration


@pytest.fixture
def setting(tiny: GFPGANConfig, tmp_path: Path) -> Setting:
    write_random_weights(tmp_path / "tiny.safetensors", tiny)
    return Setting("cpu", tmp_path / "tiny.safetensors", 2)


@pytest.mark.nightly
@pytest.mark.parametrize(("name", "frames"), [("veryfast", 4), ("reference", 2), ("as-shipped", 2), ("best", 2)])
def test_every_system_restores_a_video_in_its_own_process(
    name: str, frames: int, setting: Setting, make_portrait_video: Callable[..., Path], tmp_path: Path
) -> None:
    source, destination = make_portrait_video(frames=4), tmp_path / "restored.mp4"
    run, used = SYSTEMS[name].run(source, destination, setting)
    assert (run.frames, run.faces) == (frames, frames)
    assert frame_times(destination) == frame_times(source)[:frames]
    assert {"decode", "detect", "encode", REST} <= run.stage_seconds.keys()
    assert used.host_peak_bytes > 50_000_000
    assert used.gpu_busy_percent is None


def test_the_cpu_is_measured_without_watching_a_gpu() -> None:
    assert isinstance(gpu_sampler("cpu"), NoGpu)
