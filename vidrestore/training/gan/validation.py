"""Evaluation of a restorer in training on held-out faces."""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from vidrestore.degradation.image.model import Degradation, preset
from vidrestore.evaluation.metrics.fidelity import mean_psnr, psnr, sharpness_ratio
from vidrestore.models.identity import IdentityEmbedding
from vidrestore.models.perceptual import PerceptualFeatures, feature_distance
from vidrestore.training.data.dataset import FaceBatches
from vidrestore.training.loop.distributed import DistributedContext
from vidrestore.training.loop.log import tiled, to_levels
from vidrestore.types import UInt8

_PURPOSE_DAMAGE = 21
_STRENGTHS = ("protocol", "clean")


@dataclass(frozen=True, slots=True)
class LossModels:
    """Fixed networks that compare faces, on the device of the training; they never learn."""

    perceptual: PerceptualFeatures
    identity: IdentityEmbedding


class Validation:
    """Held-out faces under damage that is the same at every evaluation.

    Args:
        faces: Held-out faces; `steps` batches of them are used, each face once.
        judges: The networks that compare.
        machine: Device and processes of the training.
        seed: Seed of the damage.
        steps: Batches to evaluate; by default as many whole ones as there are.
    """

    def __init__(
        self,
        faces: FaceBatches,
        judges: LossModels,
        machine: DistributedContext,
        *,
        seed: int,
        steps: int | None = None,
    ) -> None:
        self._faces, self._judges, self._machine, self._seed = faces, judges, machine, seed
        self._steps = max(1, len(faces.faces) // faces.batch) if steps is None else steps

    def figures(self, network: nn.Module) -> dict[str, float]:
        """Return `STRENGTH/psnr` in dB, `/feature_distance`, `/identity` (cosine), `/sharpness` (ratio to the truth).

        The input's own are under `input/...` for the strength that damages. `faces` is their number.
        """
        figures = {
            f"{strength}/{name}": value
            for strength in _STRENGTHS
            for name, value in self._of_strength(network, strength).items()
        }
        return {**figures, "faces": float(self._steps * self._faces.batch)}

    def _of_strength(self, network: nn.Module, strength: str) -> dict[str, float]:
        rows: dict[str, list[Tensor]] = {}
        for step in range(self._steps):
            damaged, truth = self._pair(strength, step)
            for prefix, shown in (("", self._restored(network, damaged)), ("input/", damaged)):
                if prefix and strength == "clean":
                    continue
                for name, values in self._compare(shown, truth).items():
                    rows.setdefault(prefix + name, []).append(values)
        return {
            name: mean_psnr(torch.cat(values)) if name.endswith("psnr") else float(torch.cat(values).mean())
            for name, values in rows.items()
        }

    @torch.no_grad()
    def _compare(self, shown: Tensor, truth: Tensor) -> dict[str, Tensor]:
        unit_shown, unit_truth = (shown + 1) / 2, (truth + 1) / 2
        judges = self._judges
        return {
            "psnr": psnr(unit_shown, unit_truth),
            "sharpness": sharpness_ratio(unit_shown, unit_truth),
            "feature_distance": feature_distance(judges.perceptual(shown), judges.perceptual(truth)).double(),
            "identity": torch.cosine_similarity(judges.identity(shown), judges.identity(truth)).double(),
        }

    def picture(self, network: nn.Module) -> UInt8:
        """Draw eight columns; rows of damaged, restored and true faces, then clean faces restored."""
        damaged, truth = self._pair("protocol", 0)
        clean, _ = self._pair("clean", 0)
        rows = [damaged[:16], self._restored(network, damaged[:16]), truth[:16], self._restored(network, clean[:16])]
        levels = [to_levels(row) for row in rows]
        ordered = [levels[row][first : first + 8] for first in (0, 8) for row in range(4) if len(levels[row]) > first]
        return tiled(np.concatenate(ordered), columns=8)

    def _pair(self, strength: str, step: int) -> tuple[Tensor, Tensor]:
        """Return damaged and true faces in [-1, 1], whole grey levels both."""
        random = self._machine.generator(self._seed, step, _PURPOSE_DAMAGE)
        truth = self._faces.batch_at(step, twins=False).images.float() / 255
        pair = Degradation(preset(strength))(truth, random)
        return (pair.degraded * 255).round() / 127.5 - 1, pair.target * 2 - 1

    @torch.no_grad()
    def _restored(self, network: nn.Module, damaged: Tensor) -> Tensor:
        with self._machine.autocast():
            restored: Tensor = network(damaged)
        return ((restored.float().clamp(-1, 1) + 1) * 127.5).round() / 127.5 - 1
