"""Samples for the visibility network: faces dressed, moved, lit, occluded and damaged, each with the truth.

Everything random is a function of seed and step.

Shape suffixes: B batch, H and W space.
"""

from dataclasses import dataclass, field, replace
from typing import Annotated, Final

import torch
import torch.nn.functional as F  # noqa: N812  the name that every reader of network code expects
from pydantic import Field
from torch import Tensor

from vidrestore.config import Options
from vidrestore.degradation.image.model import Degradation, DegradationConfig
from vidrestore.models.visibility import CROP_SIDE, MASK_SIDE
from vidrestore.training.data.dataset import FaceBatch
from vidrestore.training.data.jitter import JitterConfig, jitter
from vidrestore.training.loop.distributed import DistributedContext
from vidrestore.training.occluders.occlude import OccluderConfig, dress, occlude
from vidrestore.training.occluders.sprite_bank import Paint, SpriteBank, draw_bank

_SAMPLES, _DAMAGE = 0, 1
"""Indices of a step's random streams, by purpose."""

VIDEO_DAMAGE: Final = DegradationConfig(
    blur_sigma_pixels=(0.05, 2.5),
    downscale_ratio=(1, 5),
    downscale_modes=("bilinear", "bicubic", "area"),
    upscale_modes=("bilinear", "bicubic"),
    noise_sigma_grey_levels=(0, 18),
    grey_noise_probability=0.3,
    jpeg_quality=(25, 100),
    shift_probability=0.2,
    jitter_probability=0.3,
    brightness=(0.6, 1.4),
    contrast=(0.6, 1.4),
    saturation=(0.2, 1.5),
    hue_turns=(-0.04, 0.04),
    grey_probability=0.12,
    clean_probability=0.15,
)
"""Damage of a face in a video, in pixels of a crop of 128: half of what the restorer is trained on at 256."""


@dataclass(frozen=True, slots=True, kw_only=True)
class VisibilityConfig(Options):
    """Options of the visibility network's training.

    Raises:
        ConfigError: A value is out of its range.
    """

    steps: Annotated[int, Field(ge=1)] = 20_000
    batch: Annotated[int, Field(ge=1)] = 128
    seed: int = 0
    learning_rate: float = 2e-3
    weight_decay: float = 0.01
    clip: Annotated[float, Field(description="Largest norm of the gradients of a step.")] = 1.0
    average_decay: Annotated[
        float, Field(ge=0, lt=1, description="Decay per step of the moving average of the weights, which is shipped.")
    ] = 0.999
    outside_weight: Annotated[
        float, Field(description="Weight in the loss of a pixel outside of the face's ellipse; one inside has 1.")
    ] = 0.15
    border_weight: Annotated[float, Field(description="Additional weight of pixels at an occluder's border.")] = 2.0
    dice_weight: float = 0.5
    held_out_share: float = 0.08
    sprites: Annotated[int, Field(ge=1)] = 8_000
    accessories: Annotated[int, Field(ge=1)] = 2_000
    stop_after_seconds: Annotated[
        float,
        Field(
            description="Time limit; where it is short the learning rate falls with time, so that the result depends "
            "on the clock."
        ),
    ] = float("inf")
    occluders: OccluderConfig = field(default_factory=OccluderConfig)
    damage: DegradationConfig = VIDEO_DAMAGE
    jitter: JitterConfig = field(
        default_factory=lambda: JitterConfig(
            probability=0.85,
            turn_degrees=10,
            shift=0.08,
            zoom_octaves=0.17,
            brightness_octaves=0.4,
            tint_octaves=0.1,
            saturation_octaves=0.5,
        )
    )
    """Jitter within the tracker's errors."""


@dataclass(frozen=True, slots=True, eq=False)
class Samples:
    """A batch to learn from or to be judged with, on the device."""

    images: Tensor = field(repr=False)
    """float32 [B, 3, 128, 128], RGB in [-1, 1]."""
    visible: Tensor = field(repr=False)
    """float32 [B, 1, 64, 64], 0..1: how much of the face is seen."""


class SampleMaker:
    """Makes samples of faces of 128 px, on the machine's device.

    Args:
        config: the recipe.
        machine: device, and its random streams.
        seed: seed of everything, sprites included.
        processes: processes that draw sprites; None for as many as there are processors, 0 for none.
    """

    def __init__(
        self, config: VisibilityConfig, machine: DistributedContext, *, seed: int, processes: int | None
    ) -> None:
        self._config = config
        self._machine = machine
        self._seed = seed
        device = machine.device
        self._occluders = draw_bank("occluders", config.sprites, seed=seed, device=device, processes=processes)
        self._accessories = draw_bank("accessories", config.accessories, seed=seed, device=device, processes=processes)
        self._degradation = Degradation(config.damage)

    @torch.no_grad()
    def samples(
        self, faces: FaceBatch, step: int, *, occluders: OccluderConfig | None = None, paint: Paint | None = None
    ) -> Samples:
        """Make the samples of a batch at a step.

        Args:
            faces: faces of 128 px.
            step: number of the step, from 0.
            occluders: options that replace the configuration's.
            paint: if given, only sprites of this paint are put in front of the faces.
        """
        recipe = occluders or self._config.occluders
        generator = self._machine.generator(self._seed, step, _SAMPLES)
        images = dress(faces.images.float() / 255, self._accessories, recipe, generator)
        images = jitter(images, faces.landmarks, self._config.jitter, generator).images
        images, visible = occlude(images, self._bank(paint), recipe, generator)
        damaged = self._degradation(images, self._machine.generator(self._seed, step, _DAMAGE)).degraded
        return Samples(damaged * 2 - 1, F.avg_pool2d(visible, CROP_SIDE // MASK_SIDE))

    def _bank(self, paint: Paint | None) -> SpriteBank:
        if paint is None:
            return self._occluders
        chosen = self._occluders.paints == paint
        return replace(self._occluders, sprites=self._occluders.sprites[chosen], paints=self._occluders.paints[chosen])
