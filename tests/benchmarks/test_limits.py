from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from benchmarks import limits
from benchmarks.limits import DECODE, FaceWork, codec_limits, device_limits, face_work
from benchmarks.reference_networks import write_random_weights
from vidrestore.models.gfpgan import GFPGANConfig

pytestmark = pytest.mark.integration


@pytest.fixture
def weights(tiny: GFPGANConfig, tmp_path: Path) -> Path:
    write_random_weights(tmp_path / "tiny.safetensors", tiny)
    return tmp_path / "tiny.safetensors"


@pytest.fixture(autouse=True)
def brief(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "_SECONDS", 0.05)


def test_each_part_of_a_device_has_a_rate(weights: Path) -> None:
    found = {limit.name: limit for limit in device_limits("cpu", weights, "tiny", batches=(1, 2))}
    network = [name for name in found if name.startswith("network alone, eager")]
    assert len(network) == 2
    assert all(limit.rates.lower > 0 for limit in found.values())
    assert {limit.unit for limit in found.values()} == {"FLOP", "bytes", "faces"}
    assert limits.ARITHMETIC in found
    assert limits.TEMPORAL in found


def test_codecs_are_measured_alone(make_portrait_video: Callable[..., Path]) -> None:
    found = list(codec_limits(make_portrait_video(frames=12), "320x240-1", ("ultrafast",)))
    assert [limit.name for limit in found] == [DECODE, "x264 ultrafast alone"]
    assert {(limit.clip, limit.unit) for limit in found} == {("320x240-1", "frames")}
    assert all(limit.rates.median > 0 for limit in found)


def test_operations_and_bytes_are_counted() -> None:
    with limits._Traffic() as traffic:
        one = torch.zeros(8, 8)
        moved = traffic.bytes
        one.t()
        assert traffic.bytes == moved
        one + one
        assert traffic.bytes == moved + 3 * one.nbytes


def test_the_work_of_a_face_grows_with_the_network(weights: Path) -> None:
    cpu = torch.device("cpu")
    small = face_work(weights, cpu, torch.float32)
    assert isinstance(small, FaceWork)
    assert small.flop > 10**7
    assert small.moved_bytes > 10**6
