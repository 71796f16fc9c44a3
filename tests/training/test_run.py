"""Running any trainer: log, checkpoints, time, and a stop before a diverged step is kept."""

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from vidrestore.errors import ConfigError, ModelError, TrainingError
from vidrestore.training.loop import log as journal_module
from vidrestore.training.loop import run as run_module
from vidrestore.training.loop.distributed import DistributedContext
from vidrestore.training.loop.run import Checkpoints, LossWatch, RunConfig, _differing, _first_broken, run
from vidrestore.types import UInt8

ONE_PROCESS = DistributedContext(torch.device("cpu"), compile=False, precision="fp32")


@pytest.fixture(autouse=True)
def without_board(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(journal_module, "_open_board", lambda folder, step: None)  # noqa: ARG005


class Counter:
    """A trainer whose one weight counts its steps."""

    images_per_step = 2

    def __init__(
        self, machine: DistributedContext, *, losses: dict[int, float] | None = None, kind: str = "counter"
    ) -> None:
        self.machine, self.kind = machine, kind
        self.step_number = 0
        self.weight = torch.zeros(())
        self.losses = losses or {}
        """Of chosen steps; those of others are 1 / step."""
        self.evaluated: list[int] = []

    def step(self) -> dict[str, Tensor]:
        self.step_number += 1
        self.weight += 1
        loss = self.losses.get(self.step_number, 1 / self.step_number)
        return {"l1": torch.tensor(0.5), "total": torch.tensor(loss)}

    def evaluate(self) -> dict[str, float]:
        self.evaluated.append(self.step_number)
        return {"psnr": float(self.step_number)}

    def picture(self) -> UInt8:
        return np.zeros((4, 4, 3), np.uint8)

    def state_dict(self) -> dict[str, Any]:
        return {"signature": {"kind": self.kind, "rates": (0.1, None)}, "nested": [{"weight": self.weight.clone()}]}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.weight.copy_(state["nested"][0]["weight"])


def refuse(constant: str) -> float:
    raise AssertionError(f"{constant} is no JSON")


def lines_of(folder: Path) -> list[dict[str, float]]:
    path = folder / "metrics.jsonl"
    text = path.read_text() if path.is_file() else ""
    return [json.loads(line, parse_constant=refuse) for line in text.splitlines()]


def states_in(folder: Path) -> list[str]:
    return [path.name for path in Checkpoints(folder, keep=1).paths()]


def test_a_run_logs_evaluates_and_saves_at_its_intervals_and_at_the_end(
    tmp_path: Path, machine: DistributedContext
) -> None:
    trainer = Counter(machine)
    config = RunConfig(steps=7, log_every_steps=2, evaluate_every_steps=3, checkpoint_every_steps=5)
    assert run(trainer, config, tmp_path) == 7
    logged = [line["step"] for line in lines_of(tmp_path) if "total" in line]
    assert logged == [2, 4, 6, 7]
    assert trainer.evaluated == [3, 6, 7]
    assert [(line["step"], line["evaluation/psnr"]) for line in lines_of(tmp_path) if "total" not in line] == [
        (3, 3.0),
        (6, 6.0),
        (7, 7.0),
    ]
    assert states_in(tmp_path) == ["state-00000005.pt", "state-00000007.pt"]
    assert sorted(path.name for path in (tmp_path / "pictures").iterdir()) == [
        f"faces-{step:08}.png" for step in (3, 6, 7)
    ]


def test_a_logged_line_holds_means_since_the_line_before_and_images(
    tmp_path: Path, machine: DistributedContext
) -> None:
    run(Counter(machine), RunConfig(steps=4, log_every_steps=2), tmp_path)
    first, second = (line for line in lines_of(tmp_path) if "total" in line)
    assert first["total"] == pytest.approx((1 + 1 / 2) / 2)
    assert second["total"] == pytest.approx((1 / 3 + 1 / 4) / 2)
    assert (first["images"], second["images"]) == (4, 8)
    assert second["images_per_second"] > 0


def test_looking_does_not_count_as_slowness(
    tmp_path: Path, machine: DistributedContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = 0.0

    class Slow(Counter):
        def step(self) -> dict[str, Tensor]:
            nonlocal now
            now += 1.0
            return super().step()

        def evaluate(self) -> dict[str, float]:
            nonlocal now
            now += 100.0
            return super().evaluate()

    monkeypatch.setattr(run_module.time, "perf_counter", lambda: now)
    run(Slow(machine), RunConfig(steps=6, log_every_steps=2, evaluate_every_steps=3), tmp_path)
    assert [line["images_per_second"] for line in lines_of(tmp_path) if "total" in line] == [2.0, 2.0, 2.0]


def test_a_run_goes_on_where_the_folder_ends(tmp_path: Path, machine: DistributedContext) -> None:
    run(Counter(machine), RunConfig(steps=4, log_every_steps=1), tmp_path)
    trainer = Counter(machine)
    assert run(trainer, RunConfig(steps=6, log_every_steps=1), tmp_path) == 6
    assert trainer.weight == 6
    assert [line["step"] for line in lines_of(tmp_path) if "total" in line] == [1, 2, 3, 4, 5, 6]


def test_a_crash_between_checkpoints_repeats_the_steps_and_their_lines(
    tmp_path: Path, machine: DistributedContext
) -> None:
    class Crashing(Counter):
        def step(self) -> dict[str, Tensor]:
            if self.step_number == 6:
                raise RuntimeError("power cut")
            return super().step()

    config = RunConfig(steps=8, log_every_steps=1, checkpoint_every_steps=4)
    with pytest.raises(RuntimeError, match="power cut"):
        run(Crashing(machine), config, tmp_path)
    with (tmp_path / "metrics.jsonl").open("a") as file:
        file.write('{"step": 7, "tot')
    trainer = Counter(machine)
    run(trainer, config, tmp_path)
    assert trainer.weight == 8
    assert [line["step"] for line in lines_of(tmp_path) if "total" in line] == list(range(1, 9))


def test_a_run_that_is_done_does_nothing(tmp_path: Path, machine: DistributedContext) -> None:
    run(Counter(machine), RunConfig(steps=3), tmp_path)
    before = (tmp_path / "metrics.jsonl").read_text()
    trainer = Counter(machine)
    assert run(trainer, RunConfig(steps=3), tmp_path) == 3
    assert trainer.weight == 3
    assert (tmp_path / "metrics.jsonl").read_text() == before


def test_time_that_is_up_leaves_a_checkpoint_and_returns_early(
    tmp_path: Path, machine: DistributedContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = iter(range(1000))
    monkeypatch.setattr(run_module.time, "perf_counter", lambda: float(next(clock)))
    trainer = Counter(machine)
    done = run(trainer, RunConfig(steps=1000, stop_after_seconds=10), tmp_path)
    assert 0 < done < 20
    assert states_in(tmp_path) == [f"state-{done:08}.pt"]
    assert trainer.evaluated == [done]
    assert lines_of(tmp_path)[0]["step"] == done
    assert run(Counter(machine), RunConfig(steps=done + 1), tmp_path) == done + 1


def test_only_the_newest_checkpoints_are_kept(tmp_path: Path, machine: DistributedContext) -> None:
    run(Counter(machine), RunConfig(steps=5, checkpoint_every_steps=1, keep_checkpoints=3), tmp_path)
    assert states_in(tmp_path) == [f"state-{step:08}.pt" for step in (3, 4, 5)]


@pytest.mark.parametrize("value", [math.nan, math.inf])
@pytest.mark.parametrize("log_every", [1, 4, 50])
def test_a_loss_that_is_not_finite_stops_the_run(
    tmp_path: Path, machine: DistributedContext, log_every: int, value: float
) -> None:
    config = RunConfig(steps=50, log_every_steps=log_every, checkpoint_every_steps=4)
    with pytest.raises(TrainingError, match=r"diverged at step 6: total is (nan|inf) .*one step before") as caught:
        run(Counter(machine, losses={6: value, 7: value}), config, tmp_path)
    assert "resume from it with a lower learning rate" in caught.value.message
    assert states_in(tmp_path) == ["state-00000004.pt"]
    assert all(line["step"] < 6 for line in lines_of(tmp_path))
    trainer = Counter(machine)
    run(trainer, config, tmp_path)  # with the loss mended
    assert trainer.weight == 50


def test_a_loss_that_breaks_at_a_checkpoint_keeps_that_one_out(tmp_path: Path, machine: DistributedContext) -> None:
    with pytest.raises(TrainingError, match="diverged at step 8"):
        run(Counter(machine, losses={8: math.nan}), RunConfig(steps=50, checkpoint_every_steps=4), tmp_path)
    assert states_in(tmp_path) == ["state-00000004.pt"]


def test_weights_that_break_under_finite_losses_are_not_kept(tmp_path: Path, machine: DistributedContext) -> None:
    class Breaking(Counter):
        def step(self) -> dict[str, Tensor]:
            told = super().step()
            if self.step_number == 8:
                self.weight.fill_(math.nan)
            return told

    with pytest.raises(TrainingError, match=r"diverged up to step 8: state\.nested\.0\.weight is no longer finite"):
        run(Breaking(machine), RunConfig(steps=50, checkpoint_every_steps=4), tmp_path)
    assert states_in(tmp_path) == ["state-00000004.pt"]


def test_a_folder_of_another_run_is_refused_and_left_as_it_is(tmp_path: Path, machine: DistributedContext) -> None:
    run(Counter(machine), RunConfig(steps=2), tmp_path)
    with pytest.raises(TrainingError, match=r"is of another run \(kind: found counter, wanted other\); give"):
        run(Counter(machine, kind="other"), RunConfig(steps=4), tmp_path)
    assert states_in(tmp_path) == ["state-00000002.pt"]
    assert lines_of(tmp_path)[-1]["step"] == 2


def test_another_runs_configuration_is_told_by_the_entries_that_differ() -> None:
    found = {"kind": "a", "config": {"rate": 0.1, "betas": (0, 1), "old": None}, "faces": 3}
    wanted = {"kind": "a", "config": {"rate": 0.2, "betas": (0, 1), "new": None}, "faces": 3}
    assert list(_differing(found, wanted)) == [
        "config.rate: found 0.1, wanted 0.2",
    ]  # an option that came or went since, and is None, changes nothing
    assert not list(_differing(wanted, wanted))


def test_a_checkpoint_of_the_release_before_is_read_by_its_former_names(
    tmp_path: Path, machine: DistributedContext
) -> None:
    class Mixed(Counter):
        def state_dict(self) -> dict[str, Any]:
            return super().state_dict() | {"signature": {self.kind: {"share": 0.15}}}

    run(Mixed(machine, kind="films"), RunConfig(steps=1), tmp_path)
    run(Mixed(machine, kind="medium_mix"), RunConfig(steps=2), tmp_path)
    assert lines_of(tmp_path)[-1]["step"] == 2


def test_of_many_entries_that_differ_the_first_are_named_and_the_rest_counted(
    tmp_path: Path, machine: DistributedContext
) -> None:
    class Many(Counter):
        def state_dict(self) -> dict[str, Any]:
            return super().state_dict() | {"signature": {f"option{index}": self.kind for index in range(7)}}

    run(Many(machine, kind="old"), RunConfig(steps=1), tmp_path)
    with pytest.raises(TrainingError, match=r"option4: found old, wanted new; and 2 more\); give another folder"):
        run(Many(machine, kind="new"), RunConfig(steps=2), tmp_path)


def test_a_device_is_asked_once_whether_all_of_a_sound_state_is_finite(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[Tensor] = []
    monkeypatch.setattr(Tensor, "__bool__", lambda self: asked.append(self) or self.item() != 0)
    state = {"weights": [torch.ones(2), torch.zeros(0), torch.ones(3, dtype=torch.uint8)], "step": torch.tensor(4)}
    assert _first_broken(state) is None
    assert len(asked) == 1
    assert _first_broken({"plain": [1.0, "text"]}) is None
    state["weights"].append(torch.tensor([1.0, math.inf]))
    assert _first_broken(state) == "state.weights.3"


@pytest.mark.parametrize("share", [0.0, 0.5, 0.99])
def test_a_damaged_newest_checkpoint_says_what_to_do_and_doing_it_helps(
    tmp_path: Path, machine: DistributedContext, share: float
) -> None:
    config = RunConfig(steps=4, checkpoint_every_steps=2, log_every_steps=1)
    run(Counter(machine), config, tmp_path)
    newest = tmp_path / "state-00000004.pt"
    content = newest.read_bytes()
    newest.write_bytes(content[: int(share * len(content))])
    with pytest.raises(ModelError, match=r"state-00000004\.pt.*remove the file to go on from the checkpoint before it"):
        run(Counter(machine), config, tmp_path)
    newest.unlink()
    trainer = Counter(machine)
    assert run(trainer, config, tmp_path) == 4
    assert trainer.weight == 4


def test_what_is_half_written_is_no_checkpoint(tmp_path: Path, machine: DistributedContext) -> None:
    (tmp_path / "state-00000009.pt.1234.part").write_bytes(b"half")
    assert run(Counter(machine), RunConfig(steps=2), tmp_path) == 2


def test_only_the_first_process_writes(tmp_path: Path) -> None:
    second = DistributedContext(torch.device("cpu"), precision="fp32", compile=False, rank=1)
    trainer = Counter(second)
    assert run(trainer, RunConfig(steps=3, checkpoint_every_steps=1), tmp_path) == 3
    assert not list(tmp_path.iterdir())
    assert not trainer.evaluated


def test_the_watch_names_the_first_loss_that_broke_and_what_came_before() -> None:
    watch = LossWatch(ONE_PROCESS)
    watch.add(4, {"l1": torch.tensor(1.0), "total": torch.tensor(2.0)})
    watch.add(5, {"l1": torch.tensor(3.0), "total": torch.tensor(4.0)})
    watch.add(6, {"l1": torch.tensor(math.nan), "total": torch.tensor(math.nan)})
    with pytest.raises(TrainingError, match=r"step 6: l1 is nan \(one step before: {'l1': 3.0, 'total': 4.0}\)"):
        watch.check()


def test_the_watch_gives_means_once_and_then_the_last_ones() -> None:
    watch = LossWatch(ONE_PROCESS)
    assert watch.check() == {}
    watch.add(0, {"l1": torch.tensor(1.0)})
    watch.add(1, {"l1": torch.tensor(2.0)})
    assert watch.check() == watch.check() == {"l1": 1.5}
    watch.add(2, {"l1": torch.tensor(8.0)})
    assert watch.check() == {"l1": 8.0}


@pytest.mark.parametrize(
    "options",
    [
        {"steps": 0},
        {"log_every_steps": 0},
        {"evaluate_every_steps": 0},
        {"checkpoint_every_steps": 0},
        {"keep_checkpoints": 0},
        {"stop_after_seconds": 0.0},
        {"stop_after_seconds": math.nan},
    ],
)
def test_impossible_runs_are_refused(options: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match=next(iter(options))):
        RunConfig(**options)


def test_a_loss_that_broke_in_another_process_stops_this_one_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(DistributedContext, "mean", lambda self, value: value + 0.5)  # noqa: ARG005  the other one says yes
    watch = LossWatch(DistributedContext(torch.device("cpu"), compile=False, rank=1, world=2))
    watch.add(7, {"l1": torch.tensor(1.0)})
    with pytest.raises(TrainingError, match="in another process by step 7"):
        watch.check()
