"""The light restorer learns what its teacher draws, and goes on where it stopped."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from vidrestore.degradation.image.model import DegradationConfig
from vidrestore.models.light import LightConfig
from vidrestore.training.data.dataset import FaceBatches
from vidrestore.training.distillation import DistillationConfig, DistillationTrainer
from vidrestore.training.gan.validation import LossModels
from vidrestore.training.loop.distributed import DistributedContext

from .conftest import unequal

SMALL = LightConfig(out_size=64, channels=(8, 8, 16, 16, 16))
Make = Callable[..., DistillationTrainer]


class Negative(nn.Module):
    """A teacher whose faces no truth can be taken for."""

    def forward(self, faces: Tensor) -> Tensor:
        return -faces


@pytest.fixture
def make(batches: FaceBatches, judges: LossModels, machine: DistributedContext) -> Make:
    def build(**options: Any) -> DistillationTrainer:
        config = DistillationConfig(degradation=DegradationConfig(noise_sigma_grey_levels=(0, 5)), **options)
        return DistillationTrainer(
            SMALL,
            config,
            Negative(),
            batches,
            judges,
            machine,
            held_out=batches,  # type: ignore[arg-type]
        )

    return build


def drawn(trainer: DistillationTrainer, batches: FaceBatches) -> tuple[Tensor, Tensor]:
    faces = batches.batch_at(0).images.float() / 127.5 - 1
    with torch.no_grad():
        return trainer.network(faces), faces


@pytest.mark.parametrize(("truth_share", "wanted"), [(0.0, -1), (1.0, 1)])
def test_the_goal_is_the_teachers_face_or_the_true_one(
    make: Make, batches: FaceBatches, truth_share: float, wanted: int
) -> None:
    alone = {"perceptual": 0, "identity": 0, "chroma": 0, "component_chroma": 0}
    trainer = make(
        truth_share=truth_share,
        learning_rate=1e-2,
        schedule=replace(DistillationConfig().schedule, warmup_steps=0),
        **alone,
    )
    before, faces = drawn(trainer, batches)
    for _ in range(25):
        losses = trainer.step()
    after, _ = drawn(trainer, batches)
    assert set(losses) >= {"l1", "perceptual", "identity", "total", "gradient"}
    distance = [(image - wanted * faces).abs().mean() for image in (before, after)]
    assert distance[1] < (0.6 * distance[0] if wanted < 0 else 0.2)


def test_an_untrained_light_restorer_returns_about_what_it_is_given(make: Make, batches: FaceBatches) -> None:
    before, faces = drawn(make(), batches)
    assert (before - faces).abs().mean() < 0.1


def test_it_goes_on_bit_for_bit(make: Make) -> None:
    whole, first, second = make(), make(), make()
    for _ in range(4):
        whole.step()
    for _ in range(2):
        first.step()
    second.load_state_dict(first.state_dict())
    second.step_number = 2
    for _ in range(2):
        second.step()
    assert not unequal(whole.state_dict(), second.state_dict())


def test_held_out_faces_are_measured_and_shown(make: Make) -> None:
    trainer = make()
    assert {"protocol/psnr", "protocol/identity", "clean/psnr"} <= set(trainer.evaluate())
    assert trainer.picture().shape[1] == 8 * 64
