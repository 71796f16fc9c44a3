"""Faces with something in front of them, and the truth about where: what the visibility network learns from.

Half of the pictures stay free. What belongs to a face, glasses, a fringe, a hat, and whatever light does to it, is
drawn too and counts as the face. Occluders are out of focus, moving or sharp like the face itself, and the
damage comes after them, so that only their content gives them away.

Shape suffixes: B batch, S side of a picture.
"""

import math
from dataclasses import dataclass
from typing import Annotated, NamedTuple

import torch
from pydantic import Field
from torch import Tensor

from vidrestore.config import Options
from vidrestore.degradation.image.blur_kernels import blur, window_radius
from vidrestore.faces.alignment import FACE_CENTRE, FACE_RADII
from vidrestore.training.occluders.relighting import StageLight
from vidrestore.training.occluders.sprite_bank import Paint, SpriteBank
from vidrestore.training.occluders.sprite_placing import Draw, Placed, moved, place, sampled, sampling_matrix, softened

"""The ellipse, in crop sides, outside of which the compositor shows nothing of a restored face."""
_DROP_SIGMA_PIXELS = 6.0
_LEAST_HIDDEN_TURN = 1.9
"""Radians: heads and curtains come from below or aside; from above they would be a face's own hair."""


@dataclass(frozen=True, slots=True, kw_only=True)
class OccluderConfig(Options):
    """Frequency and extent of occlusions.

    Raises:
        ConfigError: A value is out of its range.
    """

    probability: Annotated[float, Field(ge=0, le=1, description="Share of pictures with an occluder.")] = 0.5
    second_probability: Annotated[
        float, Field(ge=0, le=1, description="Share of those pictures that get a second occluder.")
    ] = 0.25
    accessory_probability: Annotated[
        float, Field(ge=0, le=1, description="Share of all pictures with drawn glasses, fringe or hat.")
    ] = 0.3
    light_probability: Annotated[float, Field(ge=0, le=1, description="Share of all pictures in another light.")] = 0.7
    smallest_octaves: Annotated[
        float, Field(description="Smallest size of a sprite over that of the crop, as a power of two.")
    ] = -1.0
    largest_octaves: float = 0.8
    motion_probability: float = 0.25
    motion_pixels: Annotated[float, Field(description="Standard deviation of the longest motion blur.")] = 6.0
    largest_share: Annotated[
        float, Field(description="Largest hidden share of the face's ellipse; what would hide more is left out.")
    ] = 0.7

    def check_together(self) -> None:
        """Check that the smallest sprite is no larger than the largest."""
        if self.smallest_octaves > self.largest_octaves:
            self.refuse("smallest_octaves", f"use largest_octaves ({self.largest_octaves}) or less")


class Occluded(NamedTuple):
    """Pictures and the visible part of the face in them."""

    images: Tensor
    """float32 [B, 3, S, S], RGB in [0, 1]."""
    visible: Tensor
    """float32 [B, 1, S, S], 0..1."""


def dress(faces_B3SS: Tensor, accessories: SpriteBank, config: OccluderConfig, generator: torch.Generator) -> Tensor:
    """Put glasses, fringes and hats on some faces, which still lie as they were aligned; RGB in [0, 1]."""
    drawn = Draw(len(faces_B3SS), generator)
    centre = torch.stack((drawn.uniform(-0.04, 0.04), drawn.uniform(-0.04, 0.04)), dim=1)
    matrix = sampling_matrix(
        centre,
        drawn.uniform(0.92, 1.12),
        drawn.uniform(-0.07, 0.07),
        mirrored_B=drawn.happens(0.5),
        slimness_B=drawn.uniform(0.92, 1.08),
    )
    worn = place(accessories, drawn.index(len(accessories)), matrix, faces_B3SS, drawn, gain_octaves=0.5)
    soft = softened(torch.cat(worn, dim=1), drawn, motion_probability=0, motion_pixels=0)
    chosen = drawn.happens(config.accessory_probability).float()[:, None, None, None]
    return _over(faces_B3SS, Placed(soft[:, :3] * chosen, soft[:, 3:] * chosen))


def occlude(faces_B3SS: Tensor, bank: SpriteBank, config: OccluderConfig, generator: torch.Generator) -> Occluded:
    """Put occluders in front of some of the faces, RGB in [0, 1], and light them."""
    drawn = Draw(len(faces_B3SS), generator)
    side = faces_B3SS.shape[-1]
    light = StageLight(bank, side, drawn)
    lit, on_all = drawn.happens(config.light_probability), drawn.happens(0.5)
    images = torch.where(_each(lit & ~on_all), light.on(faces_B3SS), faces_B3SS)
    visible = torch.ones_like(images[:, :1])
    hit = drawn.happens(config.probability)
    for chosen in (hit, hit & drawn.happens(config.second_probability)):
        images, seen = _behind(images, faces_B3SS, bank, config, chosen, drawn)
        visible = visible * seen
    return Occluded(torch.where(_each(lit & on_all), light.on(images), images), visible)


def face_ellipse(side: int, *, device: torch.device | str = "cpu") -> Tensor:
    """Return the pixels whose centre lies in the face's ellipse, bool [side, side]."""
    axis = (torch.arange(side, device=device) + 0.5) / side
    across, down = (axis - FACE_CENTRE[0]) / FACE_RADII[0], (axis - FACE_CENTRE[1]) / FACE_RADII[1]
    return torch.hypot(across[None, :], down[:, None]) < 1


def _behind(
    images: Tensor, faces: Tensor, bank: SpriteBank, config: OccluderConfig, chosen_B: Tensor, drawn: Draw
) -> Occluded:
    """Put one more occluder in front of the chosen pictures; skin tones are those of `faces`."""
    side = images.shape[-1]
    index = drawn.index(len(bank))
    matrix = _somewhere(bank.paints[index], config, drawn)
    placed = place(bank, index, matrix, faces, drawn, gain_octaves=0.7)
    soft = softened(
        torch.cat(placed, dim=1),
        drawn,
        motion_probability=config.motion_probability,
        motion_pixels=config.motion_pixels,
    )
    # An occluder that hides too much of the ellipse is multiplied by zero, together with its shadow.
    share = (soft[:, 3] * face_ellipse(side, device=images.device)).sum((1, 2)) / face_ellipse(side).sum().item()
    shown = _each(chosen_B & (share < config.largest_share)).float()
    shadow = _drop_shadow(bank, index, matrix, side, drawn) * shown
    over = Placed(soft[:, :3] * shown, (soft[:, 3:] * shown).clamp(0, 1))
    return Occluded(_over(images * (1 - shadow), over), 1 - over.cover)


def _somewhere(paints_B: Tensor, config: OccluderConfig, drawn: Draw) -> Tensor:
    """Draw sampling matrices [B, 2, 3] that put a sprite's middle on or near the face, in any direction and size."""
    turn, reach = drawn.uniform(-math.pi, math.pi), drawn.uniform(0, 1).sqrt() * 1.15
    across = FACE_CENTRE[0] + reach * turn.cos() * FACE_RADII[0]
    down = FACE_CENTRE[1] + reach * turn.sin() * FACE_RADII[1]
    centre = 2 * torch.stack((across, down), dim=1) - 1
    angle = drawn.uniform(-1, 1) * torch.where(paints_B == Paint.CLOTH, _LEAST_HIDDEN_TURN, math.pi)
    return sampling_matrix(
        centre,
        torch.exp2(drawn.uniform(config.smallest_octaves, config.largest_octaves)),
        angle,
        mirrored_B=drawn.happens(0.5),
        slimness_B=drawn.uniform(0.65, 1.1),
    )


def _drop_shadow(bank: SpriteBank, index_B: Tensor, matrix_B23: Tensor, side: int, drawn: Draw) -> Tensor:
    """Compute an occluder's shadow on the face behind it, [B, 1, S, S], 0..1; none on half of the pictures."""
    offset = torch.stack((drawn.uniform(-0.1, 0.1), drawn.uniform(-0.06, 0.14)), dim=1)
    cover = sampled(bank.sprites[index_B, 3:].float() / 255, moved(matrix_B23, offset), side)
    sigma = drawn.uniform(0.7, _DROP_SIGMA_PIXELS)
    soft = blur(cover, sigma, sigma, torch.zeros_like(sigma), radius=window_radius(_DROP_SIGMA_PIXELS)).clamp(0, 1)
    strength = torch.where(drawn.happens(0.55), drawn.uniform(0.1, 0.7), 0.0)
    return soft * _each(strength)


def _over(images: Tensor, placed: Placed) -> Tensor:
    return (images * (1 - placed.cover) + placed.colours).clamp(0, 1)


def _each(values_B: Tensor) -> Tensor:
    """Reshape [B] to [B, 1, 1, 1]."""
    return values_B[:, None, None, None]
