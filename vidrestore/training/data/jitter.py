"""Small changes of the true faces: a few thousand pictures then last for more epochs before the network overfits.

The truth is changed before it is damaged, so damaged and true face agree. Unlike what the discriminator's augmentation
does, the result must still be an aligned face in natural colours: it is what the network learns to draw.
"""

import math
from dataclasses import dataclass
from typing import Annotated, NamedTuple

import torch
import torch.nn.functional as F  # noqa: N812  the name that every reader of network code expects
from pydantic import Field
from torch import Tensor

from vidrestore.config import Options
from vidrestore.degradation.image.model import LUMA


@dataclass(frozen=True, slots=True, kw_only=True)
class JitterConfig(Options):
    """Amounts by which faces are changed; each amount is uniform up to its bound, in both directions.

    Raises:
        ConfigError: A value is out of its range.
    """

    probability: Annotated[
        float,
        Field(
            ge=0,
            le=1,
            description="Share of faces that are moved, and, drawn independently, share of those that are recoloured.",
        ),
    ] = 0.5
    faded_probability: Annotated[
        float,
        Field(
            ge=0,
            le=1,
            description="Share of faces that are shown as in old film: half of these in black and white, a "
            "quarter toned, a quarter with faded colours. The truth is the same: a restorer is to keep "
            "such colours, not to invent others.",
        ),
    ] = 0.0
    turn_degrees: Annotated[float, Field(ge=0, le=45)] = 5.0
    shift: Annotated[
        float, Field(ge=0, le=0.25, description="Largest shift as a share of the side, along x and y.")
    ] = 0.03
    zoom_octaves: Annotated[float, Field(ge=0, le=1, description="Largest magnification as a power of two.")] = 0.12
    brightness_octaves: Annotated[float, Field(ge=0, le=1)] = 0.25
    tint_octaves: Annotated[
        float, Field(ge=0, le=1, description="Largest change of each channel as a power of two.")
    ] = 0.08
    saturation_octaves: Annotated[float, Field(ge=0, le=2)] = 0.4


_GREY_BELOW, _TONED_BELOW = 0.5, 0.75
"""Kinds of faded faces, by a uniform draw: black and white, toned, and from there on with a part of their colours."""
_TONE_OCTAVES = 0.25
"""Change of each channel of a toned or faded face, as a power of two."""
_MOST = {
    "turn_degrees": 45,
    "shift": 0.25,
    "zoom_octaves": 1,
    "brightness_octaves": 1,
    "tint_octaves": 1,
    "saturation_octaves": 2,
}


class JitteredFaces(NamedTuple):
    """Changed faces and their landmarks."""

    images: Tensor
    """float32 [B, 3, H, W], RGB in [0, 1]."""
    landmarks: Tensor
    """float32 [B, 5, 2], pixels (x, y)."""


@torch.no_grad()
def jitter(
    images_B3HW: Tensor, landmarks_B52: Tensor, config: JitterConfig, generator: torch.Generator
) -> JitteredFaces:
    """Move and recolour some of the faces.

    A face that is not moved keeps its pixels exactly; a moved one is resampled bicubically, with its border mirrored.

    Args:
        images_B3HW: float32, square, RGB in [0, 1].
        landmarks_B52: float32, pixels (x, y) with centres at integers.
        config: Amounts of change.
        generator: A generator of the images' device.
    """
    batch, side = len(images_B3HW), images_B3HW.shape[-1]
    drawn = iter(torch.rand((11, batch), generator=generator, device=images_B3HW.device).unbind())
    moved, recoloured = next(drawn) < config.probability, next(drawn) < config.probability

    def amount(most: float, hit: Tensor) -> Tensor:
        return torch.where(hit, (2 * next(drawn) - 1) * most, 0.0)

    angle = amount(math.radians(config.turn_degrees), moved)
    zoom = torch.exp2(amount(config.zoom_octaves, moved))
    shift_B2 = torch.stack((amount(config.shift, moved), amount(config.shift, moved)), dim=1) * 2
    cosine, sine = angle.cos(), angle.sin()
    # In units where the picture spans [-1, 1]: where a point of the face goes, and (for sampling) where it came from.
    turn_B22 = torch.stack((cosine, -sine, sine, cosine), dim=1).reshape(-1, 2, 2)
    places = (landmarks_B52 + 0.5) * (2 / side) - 1
    places = places @ (zoom[:, None, None] * turn_B22).mT + shift_B2[:, None]
    back_B22 = turn_B22.mT / zoom[:, None, None]
    back_B23 = torch.cat((back_B22, -back_B22 @ shift_B2[:, :, None]), dim=2)
    grid = F.affine_grid(back_B23, list(images_B3HW.shape), align_corners=False)
    placed = F.grid_sample(images_B3HW, grid, mode="bicubic", padding_mode="reflection", align_corners=False)
    images = torch.where(moved[:, None, None, None], placed, images_B3HW)

    brightness = amount(config.brightness_octaves, recoloured)
    tint_B3 = torch.stack([amount(config.tint_octaves, recoloured) for _ in range(3)], dim=1)
    saturation = torch.exp2(amount(config.saturation_octaves, recoloured))[:, None, None, None]
    tinted = images * torch.exp2(brightness[:, None] + tint_B3)[:, :, None, None]
    grey = torch.einsum("c,bchw->bhw", tinted.new_tensor(LUMA), tinted)[:, None]
    changed = (grey + saturation * (tinted - grey)).clamp(0, 1)
    images = torch.where(recoloured[:, None, None, None], changed, images.clamp(0, 1))
    if config.faded_probability:
        images = _faded(images, config.faded_probability, generator)
    return JitteredFaces(images, (places + 1) * (side / 2) - 0.5)


def _faded(images_B3HW: Tensor, probability: float, generator: torch.Generator) -> Tensor:
    """Turn some of the images black and white, toned (sepia, blue), or faded as dyes fade, red last."""
    drawn = torch.rand((6, len(images_B3HW)), generator=generator, device=images_B3HW.device)
    hit, kind, left, tone_B3 = drawn[0] < probability, drawn[1], drawn[2], drawn[3:].mT
    grey = torch.einsum("c,bchw->bhw", images_B3HW.new_tensor(LUMA), images_B3HW)[:, None]
    keeps_colour, is_toned = kind >= _TONED_BELOW, kind >= _GREY_BELOW
    colour = torch.where(keeps_colour, 0.6 * left, 0.0)[:, None, None, None]
    tone = torch.where(is_toned[:, None], (2 * tone_B3 - 1) * _TONE_OCTAVES, 0.0)
    shown = (grey + colour * (images_B3HW - grey)) * torch.exp2(tone)[:, :, None, None]
    return torch.where(hit[:, None, None, None], shown.clamp(0, 1), images_B3HW)
