"""Adaptive discriminator augmentation, with which a discriminator can learn from a few thousand faces.

The discriminator sees real and made faces only through random flips, turns, shifts, scalings and colour changes,
each applied with probability p; p rises while the discriminator grows too sure of the real faces and falls when it
does not. Made faces do not take over the changes as long as p stays below about 0.8.

Source: Karras et al., "Training Generative Adversarial Networks with Limited Data" (2020), appendix B for the
transformations (those of its "bgc" set) and section 3 for the control; resampling here is bilinear with mirrored
borders, without the paper's wavelet filters.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, NamedTuple

import torch
import torch.nn.functional as F  # noqa: N812  the name that every reader of network code expects
from pydantic import Field
from torch import Tensor

from vidrestore.config import Options
from vidrestore.training.loop.distributed import DistributedContext

_LUMA = 1 / math.sqrt(3)
"""Each component of the grey axis's unit vector in RGB."""


@dataclass(frozen=True, slots=True)
class AugmentationConfig(Options):
    """Options of the discriminator's augmentation.

    Raises:
        ConfigError: A value is out of its range.
    """

    target: Annotated[
        float, Field(description="Target of the mean sign of real faces' logits: the paper's measure of overfitting.")
    ] = 0.6
    images_to_full: Annotated[int, Field(ge=1, description="Images after which p could have risen from 0 to 1.")] = (
        100_000
    )
    initial: Annotated[float, Field(ge=0, le=1, description="p at the first step.")] = 0.0
    maximum: Annotated[
        float, Field(ge=0, le=1, description="Largest p: beyond, made faces start to look augmented.")
    ] = 0.8
    interval_steps: Annotated[int, Field(ge=1, description="Steps between two changes of p.")] = 4

    def check_together(self) -> None:
        """Check that the start lies below the end."""
        if self.initial > self.maximum:
            self.refuse("initial", f"use maximum ({self.maximum}) or less")


class AdaptiveAugmentation:
    """Changes batches with probability p, and steers p; both live on the device, so no step waits for them."""

    def __init__(self, config: AugmentationConfig, machine: DistributedContext) -> None:
        self.config = config
        self.probability = torch.tensor(config.initial, device=machine.device)
        self._signs = torch.zeros(2, device=machine.device)
        """Sum of the signs of real logits since the last change of p, and their count."""
        self._transform = machine.compiled(transformations)

    def __call__(self, images_B3HW: Tensor, generator: torch.Generator) -> Tensor:
        """Change a batch in about [-1, 1]; differentiable with respect to the images; float32 out."""
        return augment(images_B3HW, self.probability, generator, transform=self._transform)

    def observe(self, mean_sign: Tensor, images: int, step: int) -> None:
        """Record the discriminator's verdict on real faces; p moves every `interval_steps` steps.

        Args:
            mean_sign: Scalar in [-1, 1], the mean sign of the logits of `images` real faces.
            images: Number of judged faces, those of other processes included.
            step: Number of the step, from 0.
        """
        self._signs += torch.stack((mean_sign.detach() * images, torch.full_like(mean_sign, float(images))))
        if (step + 1) % self.config.interval_steps:
            return
        mean, seen = self._signs[0] / self._signs[1], self._signs[1]
        moved = self.probability + torch.sign(mean - self.config.target) * seen / self.config.images_to_full
        self.probability.copy_(moved.clamp(0, self.config.maximum))
        self._signs.zero_()

    def state_dict(self) -> dict[str, Tensor]:
        """Return the state that an exact resume needs."""
        return {"probability": self.probability.clone(), "signs": self._signs.clone()}

    def load_state_dict(self, state: dict[str, Tensor]) -> None:
        """Load a saved state."""
        self.probability.copy_(state["probability"])
        self._signs.copy_(state["signs"])


class Transformations(NamedTuple):
    """Transformations of each image of a batch."""

    geometry: Tensor
    """float32 [B, 3, 3], output -> input in units where the image spans [-1, 1]."""
    colour: Tensor
    """float32 [B, 4, 4], homogeneous RGB in [-1, 1] -> the same."""


def augment(
    images_B3HW: Tensor,
    probability: Tensor,
    generator: torch.Generator,
    *,
    transform: Callable[[Tensor, Tensor, Tensor, int], Transformations] | None = None,
) -> Tensor:
    """Apply every transformation of the set to each image with `probability` (a scalar on the images' device).

    The images are in about [-1, 1]; so is the result, in float32. Images that no transformation hits are only
    resampled at their own pixels. `transform` is `transformations`, perhaps compiled.
    """
    batch, device = len(images_B3HW), images_B3HW.device
    uniforms = torch.rand((_UNIFORMS, batch), generator=generator, device=device)
    normals = torch.randn((_NORMALS, batch), generator=generator, device=device)
    images = images_B3HW.float()
    with torch.autocast(device.type, enabled=False):
        geometry, matrix = (transform or transformations)(uniforms, normals, probability, images.shape[-1])
        placed = _resample(images, geometry)
        mixed = torch.einsum("bij,bjhw->bihw", matrix[:, :3, :3], placed)
        return (mixed + matrix[:, :3, 3, None, None]).contiguous(memory_format=torch.channels_last)


_UNIFORMS = 23
_NORMALS = 7


def transformations(uniforms: Tensor, normals: Tensor, probability: Tensor, side: int) -> Transformations:
    """Make transformations from random numbers; nothing is random here, so that it can be compiled.

    Args:
        uniforms: [23, B] in [0, 1).
        normals: [7, B].
        probability: Scalar, probability of each transformation.
        side: Side of the images in pixels: shifts by whole pixels keep them sharp.
    """
    draw = _Draws(uniforms, normals, probability)
    return Transformations(_geometry(draw, side), _colour(draw))


class _Draws:
    """Random amounts of one batch: neutral unless an image is hit."""

    def __init__(self, uniforms: Tensor, normals: Tensor, probability: Tensor) -> None:
        self.batch, self.device, self.probability = uniforms.shape[1], uniforms.device, probability
        self._uniforms, self._normals = list(uniforms.unbind()), list(normals.unbind())

    def uniform(self) -> Tensor:
        return self._uniforms.pop()

    def normal(self) -> Tensor:
        return self._normals.pop()

    def where_hit(self, amount: Tensor, neutral: float, *, probability: Tensor | None = None) -> Tensor:
        hit = self.uniform() < (self.probability if probability is None else probability)
        return torch.where(hit, amount, torch.full_like(amount, neutral))


def _geometry(draw: _Draws, side: int) -> Tensor:
    mirror = draw.where_hit(1 - 2 * (draw.uniform() < 0.5).float(), 1.0)  # noqa: PLR2004  a fair coin
    quarter = draw.where_hit((draw.uniform() * 4).floor(), 0.0) * (math.pi / 2)
    shift_x = draw.where_hit(((draw.uniform() * 2 - 1) * 0.125 * side).round() * (2 / side), 0.0)
    shift_y = draw.where_hit(((draw.uniform() * 2 - 1) * 0.125 * side).round() * (2 / side), 0.0)
    size = draw.where_hit(torch.exp2(draw.normal() * 0.2), 1.0)
    # Two turns, before and after the stretch, of which one at least is made with probability p.
    turns = 1 - (1 - draw.probability).sqrt()
    before = draw.where_hit((draw.uniform() * 2 - 1) * math.pi, 0.0, probability=turns)
    stretch = draw.where_hit(torch.exp2(draw.normal() * 0.2), 1.0)
    after = draw.where_hit((draw.uniform() * 2 - 1) * math.pi, 0.0, probability=turns)
    drift_x = draw.where_hit(draw.normal() * 0.125, 0.0) * 2
    drift_y = draw.where_hit(draw.normal() * 0.125, 0.0) * 2
    steps = (
        _diagonal(mirror, torch.ones_like(mirror)),
        _turn(quarter),
        _shift(shift_x, shift_y),
        _diagonal(size, size),
        _turn(before),
        _diagonal(stretch, 1 / stretch),
        _turn(after),
        _shift(drift_x, drift_y),
    )
    matrix = steps[0]
    for step in steps[1:]:
        matrix = matrix @ step
    return matrix


def _colour(draw: _Draws) -> Tensor:
    brightness = draw.where_hit(draw.normal() * 0.2, 0.0)
    contrast = draw.where_hit(torch.exp2(draw.normal() * 0.5), 1.0)
    flip = draw.where_hit((draw.uniform() < 0.5).float(), 0.0)  # noqa: PLR2004  a fair coin
    hue = draw.where_hit((draw.uniform() * 2 - 1) * math.pi, 0.0)
    saturation = draw.where_hit(torch.exp2(draw.normal()), 1.0)
    identity = torch.eye(4, device=draw.device).expand(draw.batch, 4, 4)
    grey = torch.zeros(4, 4, device=draw.device)
    grey[:3, :3] = _LUMA * _LUMA
    matrix = identity.clone()
    matrix[:, :3, 3] = brightness[:, None]
    scaled = identity.clone()
    scaled[:, :3, :3] *= contrast[:, None, None]
    matrix = scaled @ matrix
    matrix = (identity - 2 * flip[:, None, None] * grey) @ matrix
    matrix = _hue_turn(hue, identity, grey) @ matrix
    coloured = identity - grey
    return (grey + coloured * saturation[:, None, None] + _keep_homogeneous(saturation, identity)) @ matrix


def _keep_homogeneous(saturation: Tensor, identity: Tensor) -> Tensor:
    """Undo what scaling by saturation does to the homogeneous corner."""
    corner = torch.zeros_like(identity)
    corner[:, 3, 3] = 1 - saturation
    return corner


def _hue_turn(angle: Tensor, identity: Tensor, grey: Tensor) -> Tensor:
    """Turn colours about the grey axis by `angle` (Rodrigues' formula)."""
    cross = torch.zeros(4, 4, device=angle.device)
    cross[0, 1], cross[0, 2], cross[1, 2] = -_LUMA, _LUMA, -_LUMA
    cross = cross - cross.T
    cosine, sine = angle.cos()[:, None, None], angle.sin()[:, None, None]
    turned = identity * cosine + cross * sine + grey * (1 - cosine)
    turned = turned.clone()
    turned[:, 3, 3] = 1
    return turned


def _resample(images_B3HW: Tensor, matrix: Tensor) -> Tensor:
    grid = F.affine_grid(matrix[:, :2], list(images_B3HW.shape), align_corners=False)
    return F.grid_sample(images_B3HW, grid, mode="bilinear", padding_mode="reflection", align_corners=False)


def _diagonal(x: Tensor, y: Tensor) -> Tensor:
    return torch.diag_embed(torch.stack((x, y, torch.ones_like(x)), dim=1))


def _turn(angle: Tensor) -> Tensor:
    cosine, sine, zero, one = angle.cos(), angle.sin(), torch.zeros_like(angle), torch.ones_like(angle)
    rows = (cosine, -sine, zero, sine, cosine, zero, zero, zero, one)
    return torch.stack(rows, dim=1).reshape(-1, 3, 3)


def _shift(x: Tensor, y: Tensor) -> Tensor:
    zero, one = torch.zeros_like(x), torch.ones_like(x)
    return torch.stack((one, zero, x, zero, one, y, zero, zero, one), dim=1).reshape(-1, 3, 3)
