"""The contract of every sampler of a GPU, and what a command is seen to take."""

import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from benchmarks import usage
from benchmarks.usage import GpuSample, GpuSampler, NoGpu, NvidiaSmi, Watched, gpu_sampler, tree_bytes, watch
from vidrestore.errors import RestorationError

pytestmark = pytest.mark.integration

HOLD = "import sys; block = bytearray(b'x') * 100_000_000; print('held', flush=True); sys.stdin.read()"
SMI = """
import itertools, time
for number in itertools.count():
    print(f"{min(100, 10 * number)}, {1000 + number}", flush=True)
    time.sleep(0.01)
"""
SILENT = "raise SystemExit('no devices were found')"


def fake_smi() -> NvidiaSmi:
    return NvidiaSmi(program=(sys.executable, "-c", SMI))


SAMPLERS: dict[str, Callable[[], GpuSampler]] = {"none": NoGpu, "fake": fake_smi}


def wait_for_samples(sampler: GpuSampler, count: int) -> None:
    until = time.monotonic() + 30
    while len(sampler.samples) < count and time.monotonic() < until and not isinstance(sampler, NoGpu):
        time.sleep(0.01)


@pytest.mark.parametrize("make", SAMPLERS.values(), ids=SAMPLERS.keys())
def test_samples_rise_in_time_within_the_context_and_end_with_it(make: Callable[[], GpuSampler]) -> None:
    before = time.monotonic()
    with make() as sampler:
        wait_for_samples(sampler, 3)
    after = time.monotonic()
    times = [sample.at for sample in sampler.samples]
    assert times == sorted(times)
    assert all(before <= at <= after for at in times)
    assert all(0 <= sample.busy_percent <= 100 and sample.memory_bytes >= 0 for sample in sampler.samples)
    count = len(sampler.samples)
    time.sleep(0.05)
    assert len(sampler.samples) == count
    assert bool(count) != isinstance(sampler, NoGpu)


@pytest.mark.gpu
def test_the_real_one_keeps_that_contract(cuda: torch.device) -> None:
    test_samples_rise_in_time_within_the_context_and_end_with_it(lambda: gpu_sampler(str(cuda)))


def test_a_gpu_that_cannot_be_sampled_is_an_error() -> None:
    with pytest.raises(RestorationError, match="no samples"), NvidiaSmi(program=(sys.executable, "-c", SILENT)):
        pass


def test_without_the_program_a_gpu_cannot_be_watched(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    with pytest.raises(RestorationError, match="nvidia-smi"):
        gpu_sampler("cuda")
    assert isinstance(gpu_sampler("cpu"), NoGpu)


def test_busy_counts_between_two_times_and_memory_above_what_was_there() -> None:
    gpu = tuple(GpuSample(float(at), 10.0 * at, 100 + 10 * at) for at in range(10))
    watched = Watched(1.0, 9.0, ((1.0, 5), (2.0, 9), (3.0, 7)), gpu)
    used = watched.usage(4.0, 6.0)
    assert (used.gpu_busy_percent, used.gpu_peak_bytes, used.host_peak_bytes) == (50.0, 90, 9)
    assert watched.usage().gpu_busy_percent == 50.0
    alone = Watched(1.0, 9.0, (), ()).usage()
    assert (alone.gpu_busy_percent, alone.gpu_peak_bytes, alone.host_peak_bytes) == (None, None, 0)


def test_a_command_is_watched_from_its_start_to_its_end(tmp_path: Path) -> None:
    made = tmp_path / "made"
    program = f"block = bytearray(b'x') * 50_000_000; open({str(made)!r}, 'w').close(); import time; time.sleep(1.2)"
    watched = watch([sys.executable, "-c", program], sampler=fake_smi)
    assert made.exists()
    assert watched.seconds > 1.2
    assert watched.usage().host_peak_bytes > 50_000_000
    assert watched.usage().gpu_peak_bytes


def test_a_failed_command_is_an_error_with_its_own_words() -> None:
    with pytest.raises(RestorationError, match="the disk is full"):
        watch([sys.executable, "-c", "raise SystemExit('the disk is full')"])


def test_the_memory_of_a_child_is_counted_and_that_of_a_dead_one_is_not() -> None:
    before = tree_bytes(os.getpid())
    child = subprocess.Popen([sys.executable, "-c", HOLD], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    with child:
        assert child.stdout
        child.stdout.readline()
        assert tree_bytes(os.getpid()) - before > 90_000_000
    assert tree_bytes(child.pid) == 0


def test_a_command_that_is_interrupted_leaves_no_process(monkeypatch: pytest.MonkeyPatch) -> None:
    started: list[subprocess.Popen[bytes]] = []

    def interrupted(command: "subprocess.Popen[bytes]", _memory: object) -> float:
        started.append(command)
        raise KeyboardInterrupt

    monkeypatch.setattr(usage, "_sample_until_end", interrupted)
    with pytest.raises(KeyboardInterrupt):
        watch([sys.executable, "-c", "import time; time.sleep(60)"])
    assert started[0].poll() is not None
