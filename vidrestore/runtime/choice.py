"""The choice between this process and Ray, and the number of threads: of this process, and of each encoder."""

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from vidrestore.runtime.config import RayConfig, Runtime

_FEW_CPUS = 4
"""Cores that the threads of one process keep busy: beyond, Python's lock lets processes do more than threads."""
_SHORT_WORK = 3000.0
"""Work, in frames of a very small video, below which the start of Ray and its processes costs more than they save."""
_CPUS_PER_WORKER = 2
"""Cores for each thread next to a GPU: one that decodes, tracks and blends, and one for what it encodes."""
_MOST_WORKERS = 8
"""Threads that Python's lock lets work at once."""
_MOST_ENCODER_THREADS = 8
"""Threads of an encoder beyond which it gains little."""


@dataclass(frozen=True, slots=True)
class Machine:
    """The machine that this process runs on."""

    cpus: int
    gpus: int

    @classmethod
    def here(cls, device: str = "auto") -> "Machine":
        """Count the cores that this process may use, and the GPUs of NVIDIA that networks on `device` could use."""
        return cls(len(os.sched_getaffinity(0)), 0 if device == "cpu" else _visible_gpus())


@dataclass(frozen=True, slots=True)
class Choice:
    """Where work runs, and why."""

    runtime: Literal["local", "ray"]
    reason: str


def choose_runtime(
    wanted: Runtime, ray: RayConfig, machine: Machine, *, device: str = "auto", work: float | None = None
) -> Choice:
    """Choose where work runs; results are the same.

    What the user asks for counts first: a runtime, an option of Ray, or a certain GPU, since Ray deals them out itself.
    Then Ray is chosen where several processes finish earlier than this one with its threads, including their start: a
    process uses one GPU and few cores well, and Ray takes seconds to start. So this process does all short work, and
    any work on a machine with few cores and one GPU at most. Long work on larger machines goes to Ray, which also
    survives the crash of a worker.

    Args:
        wanted: as configured.
        ray: options of Ray.
        machine: where this process runs.
        device: device of the networks, as configured.
        work: estimated work in frames of a very small video; None: unknown, and taken for long.
    """
    if wanted != "auto":
        return Choice(wanted, "as asked for")
    if ray != RayConfig():
        return Choice("ray", "options of Ray are set")
    why_local = (
        (device.startswith("cuda:"), f"Ray deals out GPUs itself, and the device is {device}"),
        (work is not None and work <= _SHORT_WORK, "the work is short"),
        (machine.cpus <= _FEW_CPUS and machine.gpus <= 1, f"one process keeps {machine.cpus} cores busy"),
    )
    for is_so, reason in why_local:
        if is_so:
            return Choice("local", reason)
    return Choice("ray", f"the work is long, for {machine.cpus} cores and {machine.gpus} GPUs")


def local_workers(machine: Machine, *, most: int = 0) -> int:
    """Return the number of threads that restore segments in this process.

    On a CPU the networks use all cores and take most of the time: a second segment, where there are cores for it, fills
    the gaps between their calls. Next to a GPU, the threads decode, track, blend and encode.

    Args:
        machine: where this process runs.
        most: upper limit; 0: none.
    """
    wanted = machine.cpus // _CPUS_PER_WORKER if machine.gpus else machine.cpus // _FEW_CPUS + 1
    return max(1, min(wanted, most or _MOST_WORKERS, _MOST_WORKERS))


def encoder_threads(cores: float, at_once: int) -> int:
    """Return the number of threads of each encoder, where so many segments are encoded at once on these cores.

    Whatever the number, parts fit together: encoders write nothing that depends on it into the header of a stream. With
    more threads than cores, encoding is slower, and frames that threads encode side by side compress worse.
    """
    return max(1, min(_MOST_ENCODER_THREADS, round(cores / at_once)))


def _visible_gpus(devices: Path = Path("/dev")) -> int:
    """Count NVIDIA's GPUs, those of a container alone in one, without asking torch, which takes seconds to import."""
    there = len(list(devices.glob("nvidia[0-9]*")))
    shown = os.environ.get("CUDA_VISIBLE_DEVICES")
    return (
        there if shown is None else min(there, len([one for one in shown.split(",") if one.strip() not in {"", "-1"}]))
    )
