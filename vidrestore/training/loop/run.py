"""Running a trainer: steps, log, evaluation, checkpoints, and a stop before a diverged step is kept."""

import logging
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Protocol

import torch
from pydantic import Field
from torch import Tensor

from vidrestore.config import Options
from vidrestore.errors import ModelError, TrainingError
from vidrestore.models.checkpoint import load_training_state, save_training_state
from vidrestore.training.loop.distributed import DistributedContext
from vidrestore.training.loop.log import EVALUATION, TrainingLog
from vidrestore.types import UInt8

_log = logging.getLogger(__name__)

OnLog = Callable[[int, Mapping[str, float]], None]
"""Called with every line of the log: step, and values by name."""

_MOST_DIFFERING = 5
"""Most differing entries of the configuration that a message names."""


class Trainer(Protocol):
    """A state that does steps, such as the restorer's and the prior's trainers."""

    machine: DistributedContext
    step_number: int
    """Number of steps done."""
    images_per_step: int
    """Images of a step, over all processes."""

    def step(self) -> dict[str, Tensor]:
        """Do one step; return scalars by name, on the device."""

    def evaluate(self) -> dict[str, float]:
        """Return figures of the averaged network on held-out faces."""

    def picture(self) -> UInt8:
        """Return a grid of results, uint8 [H, W, 3] RGB."""

    def state_dict(self) -> dict[str, Any]:
        """Return the state that an exact resume needs, `signature` included: what must be equal to resume."""

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Load a saved state."""


@dataclass(frozen=True, slots=True)
class RunConfig(Options):
    """Length of a training, and intervals of its evaluations.

    Raises:
        ConfigError: A value is out of its range.
    """

    steps: Annotated[int, Field(ge=1, description="All steps, those before a resume included.")] = 10_000
    log_every_steps: Annotated[int, Field(ge=1)] = 50
    evaluate_every_steps: Annotated[int, Field(ge=1, description="Steps between evaluations with their pictures.")] = (
        1_000
    )
    checkpoint_every_steps: Annotated[int, Field(ge=1)] = 1_000
    keep_checkpoints: Annotated[int, Field(ge=1)] = 2
    stop_after_seconds: Annotated[
        float,
        Field(
            gt=0,
            description="Stop in good order, with a checkpoint, once this run has taken so long: for hosts "
            "rented by the hour.",
        ),
    ] = float("inf")


def run(trainer: Trainer, config: RunConfig, folder: Path, *, on_log: OnLog | None = None) -> int:
    """Train from the last checkpoint in `folder` (or from the trainer's own state) up to `config.steps`.

    Only the first process of several writes. A crash at any moment leaves the last good checkpoint.

    Returns:
        The steps done: fewer than wanted when the time was up.

    Raises:
        TrainingError: A loss is no longer finite; the message names the step and the loss, and no checkpoint was
            made after it. Or the folder holds another run.
        ModelError: No checkpoint of the folder can be read.
        OutputError: The folder cannot be written.
    """
    checkpoints = Checkpoints(folder, keep=config.keep_checkpoints)
    checkpoints.restore(trainer)
    journal = TrainingLog(folder, step=trainer.step_number) if trainer.machine.rank == 0 else None
    try:
        return _run(trainer, config, checkpoints, journal, on_log)
    finally:
        if journal is not None:
            journal.close()


def _run(
    trainer: Trainer, config: RunConfig, checkpoints: "Checkpoints", journal: TrainingLog | None, on_log: OnLog | None
) -> int:
    watch = LossWatch(trainer.machine)
    _log.info(
        "training from step %d to %d, %d images a step", trainer.step_number, config.steps, trainer.images_per_step
    )
    started = time.perf_counter()
    logged_at, logged_step = started, trainer.step_number

    while trainer.step_number < config.steps:
        losses = trainer.step()
        done = trainer.step_number
        watch.add(done, losses)
        out_of_time = _out_of_time(trainer, config, time.perf_counter() - started)
        last = done == config.steps or out_of_time
        if last or done % config.log_every_steps == 0:
            means = watch.check()
            now = time.perf_counter()
            rate = (done - logged_step) * trainer.images_per_step / max(now - logged_at, 1e-9)
            logged_at, logged_step = now, done
            if journal is not None:
                values = {**means, "images": done * trainer.images_per_step, "images_per_second": rate}
                _note(journal, on_log, done, values)
        if last or done % config.checkpoint_every_steps == 0:
            watch.check()
            checkpoints.save(trainer)
            _log.info("checkpoint of step %d saved", done)
        if last or done % config.evaluate_every_steps == 0:
            watch.check()
            evaluated_at = time.perf_counter()
            if journal is not None:
                figures = {f"{EVALUATION}{name}": value for name, value in trainer.evaluate().items()}
                if figures:
                    _note(journal, on_log, done, figures)
                journal.picture(done, "faces", trainer.picture())
            logged_at += time.perf_counter() - evaluated_at  # evaluating is not training: it must not count as slowness
        if out_of_time:
            break
    return trainer.step_number


def _note(journal: TrainingLog, on_log: OnLog | None, step: int, values: Mapping[str, float]) -> None:
    journal.log(step, values)
    _log.debug("step %d: %s", step, values)
    if on_log is not None:
        on_log(step, values)


def _out_of_time(trainer: Trainer, config: RunConfig, seconds: float) -> bool:
    """Return whether to stop; processes ask each other only where they log, since asking waits for the device."""
    if config.stop_after_seconds == float("inf"):
        return False
    alone = trainer.machine.world == 1
    if not alone and trainer.step_number % config.log_every_steps:
        return False
    return _any_process(trainer.machine, seconds >= config.stop_after_seconds)


def _any_process(machine: DistributedContext, mine: bool) -> bool:  # noqa: FBT001  it is what is asked
    """Return whether it holds on any process: all must leave the loop at the same step."""
    if machine.world == 1:
        return mine
    return bool(machine.mean(torch.tensor(float(mine), device=machine.device)) > 0)


class LossWatch:
    """Finds the first loss that is not finite, without making every step wait for the device."""

    def __init__(self, machine: DistributedContext) -> None:
        self._machine = machine
        self._names: tuple[str, ...] = ()
        self._rows: list[tuple[int, Tensor]] = []
        self._means: dict[str, float] = {}

    def add(self, step: int, losses: dict[str, Tensor]) -> None:
        """Remember one step's scalars; the names are the same at every step."""
        self._names = tuple(losses)
        self._rows.append((step, torch.stack([value.detach().float() for value in losses.values()])))

    def check(self) -> dict[str, float]:
        """Return the means since the last check (those of the last one when nothing came since).

        Raises:
            TrainingError: A value is NaN or infinite, here or in another process: all of them stop.
        """
        if not self._rows:
            return self._means
        table = torch.stack([row for _, row in self._rows]).cpu()
        broken = (~torch.isfinite(table)).nonzero()
        diverged = _any_process(self._machine, len(broken) > 0)
        if diverged and not len(broken):
            step = self._rows[-1][0]
            raise TrainingError(f"training diverged in another process by step {step}; its error says where")
        if diverged:
            row, column = broken[0].tolist()
            before = {name: float(value) for name, value in zip(self._names, table[max(row - 1, 0)], strict=True)}
            raise TrainingError(
                f"training diverged at step {self._rows[row][0]}: {self._names[column]} is "
                f"{float(table[row, column])} (one step before: {before}); the last checkpoint is from before that: "
                "resume from it with a lower learning rate"
            )
        self._rows.clear()
        self._means = {name: float(value) for name, value in zip(self._names, table.mean(dim=0), strict=True)}
        return self._means


class Checkpoints:
    """The saved states of a run, `state-STEP.pt`, newest last."""

    def __init__(self, folder: Path, *, keep: int) -> None:
        self._folder = folder
        self._keep = keep

    def paths(self) -> list[Path]:
        """Return the paths of all states, oldest first."""
        return sorted(self._folder.glob("state-*.pt"))

    def save(self, trainer: Trainer) -> None:
        """Write the state and drop old ones; the first process only.

        Raises:
            TrainingError: The state is no longer finite, as when a gradient broke under a finite loss.
        """
        state = trainer.state_dict() | {"step": trainer.step_number}
        broken = _first_broken(state)
        if broken is not None:  # on every process alike, for all hold the same weights
            raise TrainingError(
                f"training diverged up to step {trainer.step_number}: {broken} is no longer finite though the losses "
                "are; the last checkpoint is from before that: resume from it with a lower learning rate"
            )
        if trainer.machine.rank:
            return
        self._folder.mkdir(parents=True, exist_ok=True)
        save_training_state(state, self._folder / f"state-{trainer.step_number:08d}.pt")
        for old in self.paths()[: -self._keep]:
            old.unlink()

    def restore(self, trainer: Trainer) -> None:
        """Load the newest state, if there is any.

        Raises:
            ModelError: It cannot be read; the message says which file to remove to go on from the one before.
            TrainingError: It is of a run with another configuration.
        """
        paths = self.paths()
        if not paths:
            return
        try:
            state = load_training_state(paths[-1])
        except ModelError as error:
            raise ModelError(f"{error}; remove the file to go on from the checkpoint before it") from error
        signature = state.get("signature", {})
        if "films" in signature:  # its name until this release
            signature["medium_mix"] = signature.pop("films")
        differing = list(_differing(signature, trainer.state_dict()["signature"]))
        if differing:
            more = f"; and {len(differing) - _MOST_DIFFERING} more" if len(differing) > _MOST_DIFFERING else ""
            raise TrainingError(
                f"{paths[-1]} is of another run ({'; '.join(differing[:_MOST_DIFFERING])}{more}); give another folder, "
                "or the same configuration"
            )
        trainer.load_state_dict(state)
        trainer.step_number = int(state["step"])


def _differing(found: object, wanted: object, name: str = "") -> Iterator[str]:
    """List each entry in which two nested configurations differ, by its dotted path."""
    if isinstance(found, dict) and isinstance(wanted, dict):
        for key in wanted | found:
            place = f"{name}.{key}" if name else key
            yield from _differing(found.get(key), wanted.get(key), place)  # an option that is new is None by default
    elif found != wanted:
        yield f"{name}: found {found}, wanted {wanted}"


def _first_broken(state: object) -> str | None:
    """Return the first tensor of a nested state that is not finite, by its place; None where all are.

    Each device answers once for all of its tensors, since every question waits for it.
    """
    tensors = list(_tensors(state))
    finite: defaultdict[torch.device, list[Tensor]] = defaultdict(list)
    for _, tensor in tensors:
        finite[tensor.device].append(torch.isfinite(tensor).all())
    if all(torch.stack(answers).all() for answers in finite.values()):
        return None
    return next(name for name, tensor in tensors if not torch.isfinite(tensor).all())


def _tensors(state: object, name: str = "state") -> Iterator[tuple[str, Tensor]]:
    """Yield every tensor of a nested state with its place in it."""
    if isinstance(state, Tensor):
        yield name, state
    elif isinstance(state, dict | list):
        for key, value in state.items() if isinstance(state, dict) else enumerate(state):
            yield from _tensors(value, f"{name}.{key}")
