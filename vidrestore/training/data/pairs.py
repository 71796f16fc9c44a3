"""Pairs of damaged and true faces, as a restorer in training sees them."""

from typing import NamedTuple

import torch
from torch import Tensor

from vidrestore.degradation.image.model import Degradation, DegradationConfig, Pair
from vidrestore.training.data.dataset import FaceBatch, FaceBatches
from vidrestore.training.data.jitter import JitterConfig, jitter
from vidrestore.training.loop.distributed import DistributedContext


class TrainingPair(NamedTuple):
    """One batch, RGB in [-1, 1], channels last."""

    damaged: Tensor
    """[B, 3, S, S], in whole grey levels."""
    truth: Tensor
    """[B, 3, S, S]."""
    landmarks: Tensor
    """float32 [B, 5, 2], pixels."""


class TrainingPairs:
    """Draws pairs of a folder of faces.

    Args:
        faces: batches of real faces, some perhaps with twins that have video damage.
        degradation: damage of the others.
        jitter_config: changes of the true faces before the damage; None: as they are.
        machine: device and processes of the training.
    """

    def __init__(
        self,
        faces: FaceBatches,
        degradation: DegradationConfig,
        jitter_config: JitterConfig | None,
        machine: DistributedContext,
    ) -> None:
        self._faces = faces
        self._jitter = jitter_config
        self._degrade = Degradation(degradation)
        self._degrade.damage = machine.compiled(self._degrade.damage)  # type: ignore[method-assign]

    def at(self, step: int, random: torch.Generator) -> TrainingPair:
        """Draw the pair of a step; `random` is used up by it."""
        batch = self._faces.batch_at(step)
        images, landmarks = batch.images.float() / 255, batch.landmarks
        if self._jitter is not None:
            images, landmarks = jitter(images, landmarks, self._jitter, random)
        pair = self._degrade(images, random)
        if batch.twins is not None:  # video damage of the first faces, as they were before the jitter
            pair, landmarks = _with_twins(pair, landmarks, batch)
        damaged = (pair.degraded * 255).round() / 127.5 - 1  # videos and cameras have 8 bits
        layout = torch.channels_last
        return TrainingPair(
            damaged.contiguous(memory_format=layout), (pair.target * 2 - 1).contiguous(memory_format=layout), landmarks
        )


def _with_twins(pair: Pair, landmarks: Tensor, batch: FaceBatch) -> tuple[Pair, Tensor]:
    """Replace the batch's first faces, and their landmarks, by their twins with video damage."""
    assert batch.twins is not None  # noqa: S101  the caller's condition
    count = len(batch.twins)
    true = batch.images[:count].float() / 255
    degraded = torch.cat((batch.twins.float() / 255, pair.degraded[count:]))
    return Pair(degraded, torch.cat((true, pair.target[count:]))), torch.cat(
        (batch.landmarks[:count], landmarks[count:])
    )
