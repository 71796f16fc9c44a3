"""One process of several: randomness, means, and a step over two processes that equals the step of one.

The file is its own worker: the two processes run it as a program.
"""

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import distributed, nn

from vidrestore.degradation.image.model import DegradationConfig
from vidrestore.models.gfpgan import GFPGANConfig
from vidrestore.models.identity import IdentityEmbedding, WholeCrop
from vidrestore.models.perceptual import PerceptualFeatures
from vidrestore.training.data.dataset import FaceBatches, open_face_folder
from vidrestore.training.gan.losses import LossWeights
from vidrestore.training.gan.prior import PriorConfig, PriorTrainer
from vidrestore.training.gan.trainer import RestorerConfig, RestorerTrainer
from vidrestore.training.gan.validation import LossModels
from vidrestore.training.loop.distributed import DistributedContext
from vidrestore.training.loop.run import _any_process

pytestmark = pytest.mark.integration

CPU = torch.device("cpu")
TINY = GFPGANConfig(out_size=64, num_style_feat=16, channel_multiplier=1, num_mlp=2, narrow=1 / 32)
L1_ALONE = LossWeights(
    l1=1, pyramid=1, perceptual=0, identity=0, adversarial=0, component_adversarial=0, component_style=0
)
SHARED_BATCH = 4


def test_randomness_is_a_function_of_seed_step_purpose_and_rank() -> None:
    def draw(seed: int, step: int, purpose: int, rank: int = 0) -> float:
        generator = DistributedContext(CPU, rank=rank, world=4).generator(seed, step, purpose)
        return float(torch.rand(1, generator=generator))

    assert draw(0, 5, 1) == draw(0, 5, 1)
    chosen = [
        (seed, step, purpose, rank) for seed in (0, 1) for step in (0, 1) for purpose in (1, 2) for rank in (0, 1)
    ]
    assert len({draw(*numbers) for numbers in chosen}) == len(chosen)
    assert 0 <= draw(2**40, 10**9, 21, 3) < 1  # seeds of any size are taken


def test_autocast_is_on_for_bf16_alone() -> None:
    layer = nn.Linear(2, 2)
    with DistributedContext(CPU, precision="bf16").autocast():
        assert layer(torch.ones(1, 2)).dtype == torch.bfloat16
    with DistributedContext(CPU, precision="fp32").autocast():
        assert layer(torch.ones(1, 2)).dtype == torch.float32


def test_functions_are_compiled_for_fixed_shapes_or_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    def plain(value: float) -> float:
        return value

    asked = []
    monkeypatch.setattr(torch, "compile", lambda function, **options: asked.append((function, options)) or abs)
    assert DistributedContext(CPU, compile=False).compiled(plain) is plain
    assert DistributedContext(CPU, compile=True).compiled(plain) is abs
    assert [function for function, _ in asked] == [plain]
    assert asked[0][1]["dynamic"] is False
    assert not any(asked[0][1]["options"].values()), "the fusion that breaks gradients is off where there is one"


def test_a_lone_process_averages_with_nobody() -> None:
    machine, layer = DistributedContext(CPU), nn.Linear(1, 1)
    layer(torch.ones(1, 1)).sum().backward()
    machine.average_gradients(layer.parameters())
    assert layer.weight.grad is not None
    assert layer.weight.grad.item() == 1
    value = torch.tensor(3.0)
    assert machine.mean(value) is value


def restorer_step(machine: DistributedContext, faces: Path) -> dict[str, Any]:
    """One step with no randomness but the order of faces: what it told, the gradients and the weights."""
    torch.manual_seed(5)
    perceptual = PerceptualFeatures(nn.Sequential(nn.Conv2d(3, 2, 1)), layers=(0,), scales=(1.0,), weights=(1.0,))
    judges = LossModels(perceptual, IdentityEmbedding(nn.Flatten(), WholeCrop(8)))
    config = RestorerConfig(weights=L1_ALONE, degradation=DegradationConfig(), fresh_noise=False, betas=(0.9, 0.99))
    share = SHARED_BATCH // machine.world
    folder = open_face_folder(faces, size=64, held_out_share=0)
    batches = FaceBatches(folder, batch=share, seed=0, device="cpu", rank=machine.rank, world=machine.world)
    trainer = RestorerTrainer(TINY, config, batches, judges, machine)
    told = trainer.step()
    return {
        "images": trainer.images_per_step,
        "gradient": told["gradient"],
        "gradients": {name: p.grad for name, p in trainer.network.named_parameters() if p.grad is not None},
        "weights": trainer.network.state_dict(),
    }


def prior_step(machine: DistributedContext, faces: Path) -> dict[str, Any]:
    folder = open_face_folder(faces, size=64, held_out_share=0)
    batches = FaceBatches(folder, batch=2, seed=0, device="cpu", rank=machine.rank, world=machine.world)
    trainer = PriorTrainer(TINY, PriorConfig(r1_every_steps=2, path_every_steps=2), batches, machine)
    for _ in range(2):
        trainer.step()
    return trainer.state_dict()


def work(rank: int, folder: Path, faces: Path) -> None:
    """What each of the two processes does; its findings go to a file."""
    torch.set_num_threads(1)
    distributed.init_process_group("gloo", init_method=f"file://{folder / 'store'}", rank=rank, world_size=2)
    machine = DistributedContext(CPU, precision="fp32", compile=False, rank=rank, world=2)
    layer, idle = nn.Linear(3, 2), nn.Linear(2, 2)
    layer.weight.grad = torch.full((2, 3), float(rank + 1))
    layer.bias.grad = torch.tensor([10.0 * rank, -1.0])
    machine.average_gradients([*layer.parameters(), *idle.parameters()])
    own = torch.tensor([float(rank), 4.0])
    found = {
        "weight": layer.weight.grad,
        "bias": layer.bias.grad,
        "idle": idle.weight.grad is None,
        "mean": machine.mean(own),
        "own": own,
        "any": (_any_process(machine, rank == 1), _any_process(machine, mine=False)),
        "restorer": restorer_step(machine, faces),
        "prior": prior_step(machine, faces),
    }
    torch.save(found, folder / f"found-{rank}.pt")
    distributed.destroy_process_group()


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory, face_pictures: Path) -> list[dict[str, Any]]:
    """What two processes found, one after the other."""
    folder = tmp_path_factory.mktemp("processes")
    environment = {**os.environ, "GLOO_SOCKET_IFNAME": "lo", "OMP_NUM_THREADS": "1"}
    workers = [
        subprocess.Popen(
            [sys.executable, __file__, str(rank), str(folder), str(face_pictures)],
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        for rank in range(2)
    ]
    try:
        for worker in workers:
            told, _ = worker.communicate(timeout=120)
            assert worker.returncode == 0, told
    finally:
        for worker in workers:
            worker.kill()
    return [torch.load(folder / f"found-{rank}.pt", weights_only=True) for rank in range(2)]


def test_gradients_become_their_mean_over_the_processes_on_each(found: list[dict[str, Any]]) -> None:
    for one in found:
        assert torch.equal(one["weight"], torch.full((2, 3), 1.5))
        assert torch.equal(one["bias"], torch.tensor([5.0, -1.0]))
        assert one["idle"]


def test_means_are_taken_over_the_processes_and_leave_the_value_alone(found: list[dict[str, Any]]) -> None:
    for rank, one in enumerate(found):
        assert torch.equal(one["mean"], torch.tensor([0.5, 4.0]))
        assert torch.equal(one["own"], torch.tensor([float(rank), 4.0]))


def test_all_processes_stop_when_one_wants_to(found: list[dict[str, Any]]) -> None:
    assert [one["any"] for one in found] == [(True, False), (True, False)]


def test_two_processes_with_half_the_batch_step_as_one_with_all_of_it(
    found: list[dict[str, Any]], face_pictures: Path
) -> None:
    alone = restorer_step(DistributedContext(CPU, precision="fp32", compile=False), face_pictures)
    shares = [one["restorer"] for one in found]
    for share in shares:
        assert share["images"] == alone["images"] == SHARED_BATCH
        assert share["gradient"].item() == pytest.approx(alone["gradient"].item(), rel=1e-5)
        assert share["gradients"].keys() == alone["gradients"].keys()
        for name, gradient in alone["gradients"].items():
            torch.testing.assert_close(share["gradients"][name], gradient, rtol=0, atol=1e-5)
        for name, weights in alone["weights"].items():
            # Adam's first step is the gradient's sign times the rate: where the gradient is rounding, so is the sign.
            clear = (
                alone["gradients"][name].abs() > 1e-5 if name in alone["gradients"] else torch.ones_like(weights) > 0
            )
            torch.testing.assert_close(share["weights"][name][clear], weights[clear], rtol=0, atol=1e-5)
    assert all(torch.equal(shares[0]["weights"][name], shares[1]["weights"][name]) for name in shares[0]["weights"])


def test_a_prior_is_the_same_on_both_processes_though_their_randomness_is_not(
    found: list[dict[str, Any]], differences: Any
) -> None:
    assert not differences(found[0]["prior"], found[1]["prior"])


if __name__ == "__main__":
    work(int(sys.argv[1]), Path(sys.argv[2]), Path(sys.argv[3]))
