"""Host and code of a benchmark: the processor, its matrix units, memory, GPU, and the commit of the code."""

import os
import platform
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

import psutil
import torch

_BF16_FLAGS = ("avx512_bf16", "amx_tile", "amx_bf16")


@dataclass(frozen=True, slots=True)
class Host:
    """One computer, as far as timings depend on it."""

    cpu: str
    cores: int
    """Number of cores that this process may use."""
    bf16_flags: tuple[str, ...]
    """Flags among `avx512_bf16`, `amx_tile` and `amx_bf16` that the processor has."""
    torch_capability: str
    """The instruction set that torch chose."""
    torch_threads: int
    """Threads of one operation in this process."""
    memory_bytes: int
    gpus: tuple[str, ...]
    system: str


@dataclass(frozen=True, slots=True)
class Checkout:
    """The code that ran."""

    commit: str
    """`unknown` outside a git checkout."""
    dirty: bool


def describe_machine() -> Host:
    """Describe this computer."""
    flags = _cpuinfo("flags").split()
    return Host(
        cpu=_cpuinfo("model name") or platform.processor() or platform.machine(),
        cores=len(os.sched_getaffinity(0)),
        bf16_flags=tuple(flag for flag in _BF16_FLAGS if flag in flags),
        torch_capability=torch.backends.cpu.get_cpu_capability(),
        torch_threads=torch.get_num_threads(),
        memory_bytes=psutil.virtual_memory().total,
        gpus=tuple(torch.cuda.get_device_name(index) for index in range(torch.cuda.device_count())),
        system=platform.platform(),
    )


def describe_checkout() -> Checkout:
    """Name the commit of the checkout that holds this file."""
    commit = _git("rev-parse", "HEAD")
    if commit is None:
        return Checkout("unknown", dirty=False)
    return Checkout(commit, dirty=bool(_git("status", "--porcelain")))


def _cpuinfo(field: str) -> str:
    """Return the first value of a field in Linux's description of the processors; empty where there is none."""
    path = Path("/proc/cpuinfo")
    lines = path.read_text(encoding="utf-8").splitlines() if path.is_file() else []
    pairs = (line.partition(":") for line in lines)
    return next((value.strip() for name, _, value in pairs if name.strip() == field), "")


def _git(*arguments: str) -> str | None:
    program = shutil.which("git")
    if program is None:
        return None
    done = subprocess.run(  # noqa: S603  fixed arguments, no shell
        [program, *arguments], cwd=Path(__file__).parent, capture_output=True, text=True, check=False
    )
    return done.stdout.strip() if done.returncode == 0 else None
