"""Speed and memory of a training, damage and every loss included."""

import statistics
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import torch

from benchmarks.machine import Checkout, Host, describe_checkout, describe_machine
from vidrestore.files import replace_text
from vidrestore.process import spawn_context
from vidrestore.report_json import to_json
from vidrestore.training.job import TrainingConfig, machine_of, restorer_trainer

_GIBIBYTE = 2**30


@dataclass(frozen=True, slots=True)
class TrainingSpeed:
    """One way of training, timed."""

    name: str
    images_per_second: float
    """The median over rounds, each as long as the slowest regulariser's interval."""
    quartiles: tuple[float, float]
    start_seconds: float
    """Seconds until the first step was done: compiling included."""
    peak_gibibytes: float
    """Peak of the GPU's memory; 0 on a CPU, where it is not measured."""
    batch: int
    rounds: int
    steps_a_round: int


@dataclass(frozen=True, slots=True)
class TrainingBenchmark:
    """Several ways on one host, with its description."""

    machine: Host
    checkout: Checkout
    torch: str
    speeds: tuple[TrainingSpeed, ...]

    def write(self, path: Path) -> None:
        """Write all of it as JSON.

        Raises:
            OutputError: the folder cannot be written.
        """
        replace_text(path, to_json(self))


def measure_training(
    ways: dict[str, TrainingConfig],
    faces: Path,
    *,
    device: str = "auto",
    rounds: int = 7,
    on_step: Callable[[str], None] | None = None,
) -> TrainingBenchmark:
    """Time the restorer's training in several ways on the same faces.

    Each way does one round unmeasured, then `rounds` of them, each of as many steps as lie between two R1 steps.
    Discriminators take part from the first step. Each way runs in a process of its own: what cuDNN or the compiler
    chose for one way (cuDNN keeps its first choice of kernel) does not affect the next. Nothing is written but the
    result.

    Raises:
        ConfigError, InputError, ModelError: as training raises them.
    """
    found = []
    for name, config in ways.items():
        if on_step is not None:
            on_step(f"timing {name}")
        with ProcessPoolExecutor(1, mp_context=spawn_context()) as process:
            measured = process.submit(partial(_measure, name, config, faces, device=device, rounds=rounds))
            found.append(measured.result())
    return TrainingBenchmark(describe_machine(), describe_checkout(), torch.__version__, tuple(found))


def _measure(name: str, config: TrainingConfig, faces: Path, *, device: str, rounds: int) -> TrainingSpeed:
    config = replace(config, restorer=replace(config.restorer, adversarial_from_step=0))
    machine = machine_of(config, device)
    on_gpu = machine.device.type == "cuda"
    wait = torch.cuda.synchronize if on_gpu else _nothing
    started = time.perf_counter()
    with restorer_trainer(config, faces, machine) as trainer:
        trainer.step()
        wait()
        start_seconds = time.perf_counter() - started
        steps = config.restorer.r1_every_steps
        for _ in range(steps - 1):
            trainer.step()
        if on_gpu:
            torch.cuda.reset_peak_memory_stats()
        rates = []
        for _ in range(rounds):
            wait()
            begun = time.perf_counter()
            for _ in range(steps):
                trainer.step()
            wait()
            rates.append(steps * trainer.images_per_step / (time.perf_counter() - begun))
    low, _, high = statistics.quantiles(rates, n=4) if len(rates) > 1 else (rates[0],) * 3
    peak = torch.cuda.max_memory_allocated() / _GIBIBYTE if on_gpu else 0.0
    return TrainingSpeed(name, statistics.median(rates), (low, high), start_seconds, peak, config.batch, rounds, steps)


def _nothing() -> None:
    """Do nothing: a CPU needs no synchronisation."""
