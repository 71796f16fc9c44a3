"""Training of the light restorer: a GFP-GAN draws what it is to draw, the truth corrects what that one gets wrong.

What a GFP-GAN draws follows from the damaged face alone, so a network that imitates it need not guess, and is sharp
without a discriminator. Whose face it is and which colours it has are compared with the truth. Source of the idea:
Hinton et al., "Distilling the Knowledge in a Neural Network" (2015).
"""

from dataclasses import asdict, dataclass, field, replace
from typing import Annotated, Any

import torch
from pydantic import Field
from torch import Tensor

from vidrestore.config import Options
from vidrestore.degradation.image.model import DegradationConfig, preset
from vidrestore.models.gfpgan import GFPGAN
from vidrestore.models.light import LightConfig, initialised_light
from vidrestore.training.data.dataset import FaceBatches
from vidrestore.training.data.jitter import JitterConfig
from vidrestore.training.data.pairs import TrainingPair, TrainingPairs
from vidrestore.training.gan import losses
from vidrestore.training.gan.components import colour_places
from vidrestore.training.gan.validation import LossModels, Validation
from vidrestore.training.loop.distributed import DistributedContext
from vidrestore.training.loop.optimizer import (
    OptimizerStep,
    ScheduleConfig,
    average_into,
    averaged_copy,
    decay_of_half_life,
)
from vidrestore.types import UInt8

_PURPOSE_STEP = 12
_CLIP = 1.0
"""Norm to which gradients are cut."""


@dataclass(frozen=True, slots=True)
class DistillationConfig(Options):
    """Options of the light restorer's training.

    Raises:
        ConfigError: a value is out of its range.
    """

    seed: int = 0
    degradation: DegradationConfig = field(default_factory=lambda: preset("film"))
    jitter: JitterConfig | None = None
    """Jitter of the true faces, before the damage; for a few thousand faces."""
    schedule: ScheduleConfig = field(default_factory=ScheduleConfig)
    learning_rate: Annotated[float, Field(gt=0)] = 1e-3
    truth_share: Annotated[
        float, Field(ge=0, le=1, description="Share of the truth, next to the teacher's face, in the two losses below.")
    ] = 0.3
    l1: Annotated[float, Field(ge=0, description="Weight of the distance in RGB.")] = 15.0
    component_l1: Annotated[
        float, Field(ge=0, description="How much more irises, lips and teeth weigh in that distance.")
    ] = 3.0
    perceptual: Annotated[float, Field(ge=0, description="Weight of the distance of perceptual features.")] = 1.5
    identity: Annotated[float, Field(ge=0, description="Weight of the distance of identities from the truth.")] = 2.5
    chroma: Annotated[float, Field(ge=0, description="Weight of large areas' colours against the truth.")] = 5.0
    component_chroma: Annotated[
        float, Field(ge=0, description="Weight of the colours of irises, lips and teeth against the truth.")
    ] = 10.0
    average_half_life_images: Annotated[float, Field(gt=0)] = 20_000


class DistillationTrainer:
    """A light restorer that learns from a teacher and from a folder of faces.

    Args:
        network: shape of the network.
        config: options of the training.
        teacher: GFP-GAN for faces of the same size, on the device.
        faces: batches of real faces; they define the batch size.
        judges: the fixed networks that compare: perceptual features and identity.
        machine: device and processes of the training.
        held_out: faces that are never trained on, for `evaluate` and `picture`.
    """

    def __init__(
        self,
        network: LightConfig,
        config: DistillationConfig,
        teacher: GFPGAN,
        faces: FaceBatches,
        judges: LossModels,
        machine: DistributedContext,
        *,
        held_out: FaceBatches | None = None,
    ) -> None:
        self.config, self.machine, self.judges = config, machine, judges
        self.step_number = 0
        self.images_per_step = faces.batch * machine.world
        self._faces = faces
        self._pairs = TrainingPairs(faces, config.degradation, config.jitter, machine)
        self.network = initialised_light(network, seed=config.seed).to(machine.device).to_channels_last()
        self.averaged = averaged_copy(self.network)
        self._holds_out = held_out is not None
        self._validation = Validation(faces if held_out is None else held_out, judges, machine, seed=config.seed)
        groups = [{"params": list(self.network.parameters()), "lr": config.learning_rate}]
        self._optimizer = OptimizerStep([self.network], groups, betas=(0.9, 0.99), clip=_CLIP, machine=machine)
        self._restore = machine.compiled(self.network.forward)
        self._teach = machine.compiled(teacher.eval().requires_grad_(requires_grad=False).forward)
        self._perceive = machine.compiled(judges.perceptual.forward)
        self._recognise = machine.compiled(judges.identity.forward)

    def step(self) -> dict[str, Tensor]:
        """Do one step."""
        config = self.config
        pair = self._pairs.at(self.step_number, self.machine.generator(config.seed, self.step_number, _PURPOSE_STEP))
        with self.machine.autocast():
            restored = self._restore(pair.damaged)
            with torch.no_grad():
                taught = self._teach(pair.damaged)
        logged = self._distances(restored.float(), taught.float().clamp(-1, 1), pair)
        total = losses.total(list(logged.values()))
        norm = self._optimizer.learn(total, rate=config.schedule.rate(self.step_number))
        decay = decay_of_half_life(config.average_half_life_images, self.images_per_step)
        average_into(self.averaged, self.network, decay)
        self.step_number += 1
        return logged | {"total": total.detach(), "gradient": norm}

    def _distances(self, restored: Tensor, taught: Tensor, pair: TrainingPair) -> dict[str, Tensor]:
        config, truth = self.config, pair.truth
        places = colour_places(pair.landmarks, truth.shape[-1])
        weight = 1 + config.component_l1 * places
        weight = weight / weight.mean()
        with self.machine.autocast():
            seen, who = self._perceive(restored), self._recognise(restored)
            with torch.no_grad():
                seen_taught, seen_true = self._perceive(taught), self._perceive(truth)
                wanted_who = self._recognise(truth)
        layers, share = self.judges.perceptual.weights, config.truth_share
        away = (1 - share) * (restored - taught).abs() + share * (restored - truth).abs()
        features = (1 - share) * losses.perceptual(seen, seen_taught, layers)
        features = features + share * losses.perceptual(seen, seen_true, layers)
        coloured = losses.chroma_l1(restored, truth, cell=losses.COMPONENT_CELL, places_B1HW=places)
        return {
            "l1": config.l1 * (away * weight).mean(),
            "perceptual": config.perceptual * features,
            "identity": config.identity * losses.identity(who, wanted_who),
            "chroma": config.chroma * losses.chroma_l1(restored, truth, cell=losses.AREA_CELL),
            "component_chroma": config.component_chroma * coloured,
        }

    def evaluate(self) -> dict[str, float]:
        """Return figures on the held-out faces; none when there are no such faces."""
        return self._validation.figures(self.averaged) if self._holds_out else {}

    def picture(self) -> UInt8:
        """Draw rows of held-out faces (of training faces when none are held out): damaged, restored, truth."""
        return self._validation.picture(self.averaged)

    def state_dict(self) -> dict[str, Any]:
        """Return the state that an exact resume needs."""
        return {
            "signature": {
                "trainer": "light restorer",
                "network": asdict(self.network.config),
                "config": asdict(self.config),
                "faces": len(self._faces.faces),
                # how many workers draw it changes no pixel
                "medium_mix": self._faces.medium_mix and asdict(replace(self._faces.medium_mix, workers=0)),
                "images_per_step": self.images_per_step,
            },
            "optimizer": self._optimizer.state_dict(),
            "averaged": self.averaged.state_dict(),
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Load a saved state."""
        self._optimizer.load_state_dict(state["optimizer"])
        self.averaged.load_state_dict(state["averaged"])
