"""What a command takes of its machine: time, memory of its processes, and the GPU's time and memory.

The GPU is watched from outside, through `nvidia-smi`, so that our command and the reference flow are measured alike,
with all processes that either starts. Nothing else should use that GPU meanwhile.
"""

import csv
import shutil
import subprocess
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryFile
from types import TracebackType
from typing import Protocol, Self

import psutil

from vidrestore.errors import RestorationError

_QUERY = ("--query-gpu=utilization.gpu,memory.used", "--format=csv,noheader,nounits", "-lms", "100")
_MEBIBYTE = 2**20
_FIRST_SAMPLE_SECONDS = 10.0
_MEMORY_INTERVAL_SECONDS = 0.5


@dataclass(frozen=True, slots=True)
class Usage:
    """What one run took of its machine."""

    gpu_busy_percent: float | None
    """Mean share of time in which a kernel ran, in percent; None where no GPU was watched."""
    gpu_peak_bytes: int | None
    """Most GPU memory in use, less what was in use before the command started; None where no GPU was watched."""
    host_peak_bytes: int
    """Most memory of the command and its descendants; a page that several of them map counts once (Linux's PSS)."""


@dataclass(frozen=True, slots=True)
class GpuSample:
    """One look at a GPU."""

    at: float
    """`time.monotonic()`."""
    busy_percent: float
    """Share of the last moments in which a kernel ran, 0 to 100."""
    memory_bytes: int
    """Memory in use by all processes."""


class GpuSampler(Protocol):
    """Samples a GPU while its context is entered: the first sample is there when `__enter__` returns."""

    @property
    def samples(self) -> Sequence[GpuSample]:
        """Samples so far, in the order of their times."""
        ...

    def __enter__(self) -> Self: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...


class NoGpu:
    """No GPU: there are no samples."""

    samples: Sequence[GpuSample] = ()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        pass


class NvidiaSmi:
    """Samples a GPU ten times a second in a child process.

    Args:
        index: number of the GPU.
        program: the command, without its query.
    """

    def __init__(self, index: int = 0, *, program: Sequence[str] = ("nvidia-smi",)) -> None:
        self._command = [*program, f"--id={index}", *_QUERY]
        self._samples: list[GpuSample] = []
        self._sampled = threading.Event()

    @property
    def samples(self) -> Sequence[GpuSample]:
        """Samples so far, in the order of their times."""
        return tuple(self._samples)

    def __enter__(self) -> Self:
        self._process = subprocess.Popen(self._command, stdout=subprocess.PIPE, text=True)  # noqa: S603  no shell
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()
        if not self._sampled.wait(_FIRST_SAMPLE_SECONDS) or not self._samples:
            self._stop()
            raise RestorationError(f"{self._command[0]} gives no samples of the GPU; run it by hand to see why")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop()

    def _stop(self) -> None:
        self._process.terminate()
        self._process.wait()
        self._reader.join()

    def _read(self) -> None:
        assert self._process.stdout, "opened as a pipe"  # noqa: S101
        with self._process.stdout as lines:
            for busy, memory in csv.reader(lines, skipinitialspace=True):
                self._samples.append(GpuSample(time.monotonic(), float(busy), int(memory) * _MEBIBYTE))
                self._sampled.set()
        self._sampled.set()


def gpu_sampler(device: str) -> GpuSampler:
    """Return the sampler for runs on a device, `cpu` or `cuda`.

    Raises:
        RestorationError: a GPU cannot be watched here.
    """
    if device == "cpu":
        return NoGpu()
    if shutil.which("nvidia-smi") is None:
        raise RestorationError("nvidia-smi, which tells how busy the GPU is, is not on the PATH; add its folder")
    return NvidiaSmi(int(device.partition(":")[2] or 0))


@dataclass(frozen=True, slots=True)
class Watched:
    """A command that has ended, and the samples of it."""

    started: float
    """`time.monotonic()`."""
    ended: float
    memory: tuple[tuple[float, int], ...]
    """Times and bytes."""
    gpu: tuple[GpuSample, ...]

    @property
    def seconds(self) -> float:
        """Time from the start of the process to its end."""
        return self.ended - self.started

    def usage(self, begin: float | None = None, end: float | None = None) -> Usage:
        """Return what the command took; the GPU's busy share only between two times, memory over all of it."""
        begin, end = begin or self.started, end or self.ended
        busy = [sample.busy_percent for sample in self.gpu if begin <= sample.at <= end]
        memory = [sample.memory_bytes for sample in self.gpu]
        return Usage(
            gpu_busy_percent=sum(busy) / len(busy) if busy else None,
            gpu_peak_bytes=max(memory) - memory[0] if memory else None,
            host_peak_bytes=max((size for _, size in self.memory), default=0),
        )


def watch(
    arguments: Sequence[str], *, sampler: Callable[[], GpuSampler] = NoGpu, environment: dict[str, str] | None = None
) -> Watched:
    """Run a command to its end, sampling the memory of its processes twice a second, and the GPU.

    Raises:
        RestorationError: it failed; the message ends as its stderr does.
    """
    memory: list[tuple[float, int]] = []
    with sampler() as gpu, TemporaryFile("w+", errors="replace") as told:
        started = time.monotonic()
        command = subprocess.Popen(arguments, stdout=told, stderr=told, env=environment)  # noqa: S603  no shell
        try:
            ended = _sample_until_end(command, memory)
        finally:
            command.terminate()  # an interrupted benchmark leaves nothing behind; what has ended is not touched
            command.wait()
        if command.returncode:
            told.seek(0)
            said = " ".join(told.read().split())[-1000:]
            raise RestorationError(f"{Path(arguments[0]).name} ... {' '.join(arguments[-8:])} failed: {said}")
        return Watched(started, ended, tuple(memory), tuple(gpu.samples))


def _sample_until_end(command: "subprocess.Popen[bytes]", memory: list[tuple[float, int]]) -> float:
    """Wait for the command, sample its memory meanwhile, and return `time.monotonic()` of its end."""
    over = threading.Event()

    def sample() -> None:
        while not over.is_set():
            memory.append((time.monotonic(), tree_bytes(command.pid)))
            over.wait(_MEMORY_INTERVAL_SECONDS)

    thread = threading.Thread(target=sample, daemon=True)
    thread.start()
    try:
        command.wait()
        return time.monotonic()
    finally:
        over.set()
        thread.join()


def tree_bytes(pid: int) -> int:
    """Return the proportional set size of a process and its descendants, in bytes; 0 when it is gone."""
    try:
        parent = psutil.Process(pid)
        processes = [parent, *parent.children(recursive=True)]
    except psutil.NoSuchProcess:
        return 0
    return sum(map(_share, processes))


def _share(process: psutil.Process) -> int:
    try:
        used = process.memory_full_info()
        return int(used.pss or used.rss)  # a sandbox may not tell shares
    except (psutil.NoSuchProcess, psutil.ZombieProcess, psutil.AccessDenied):
        return 0
