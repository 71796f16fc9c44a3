"""Light and shade across a face, which hide nothing: shadows of things out of sight, patches, glints, light aside.

Shape suffixes: B batch, S side of a picture.
"""

import math

import torch
from torch import Tensor

from vidrestore.degradation.image.blur_kernels import blur, window_radius
from vidrestore.training.occluders.sprite_bank import SpriteBank
from vidrestore.training.occluders.sprite_placing import Draw, sampled, sampling_matrix

_SHADOW_SIGMA_PIXELS = 7.0
_GLINTS = 4


class StageLight:
    """One light for each picture of a batch; the same may fall on the face alone or also on what is in front of it.

    Args:
        bank: sprites whose outlines throw the shadows.
        side: side S in pixels.
        drawn: the batch's numbers.
    """

    def __init__(self, bank: SpriteBank, side: int, drawn: Draw) -> None:
        shadow = 1 - _outlines(bank, side, drawn, probability=0.4) * _share(drawn, 0.25, 0.8) * _coolness(drawn)
        patch = 1 + _outlines(bank, side, drawn, probability=0.15) * _share(drawn, 0.2, 1.2) * drawn.tint(0.3)
        self._factor = shadow * patch * _aside(side, drawn)
        self._glints = _glints(side, drawn)

    def on(self, pictures_B3SS: Tensor) -> Tensor:
        """Light the pictures, RGB in [0, 1]."""
        lit = (pictures_B3SS * self._factor).clamp(0, 1)
        return lit + self._glints * (1 - lit)


def _outlines(bank: SpriteBank, side: int, drawn: Draw, *, probability: float) -> Tensor:
    """Draw soft outlines of sprites, somewhere on some of the pictures: [B, 1, S, S], 0..1."""
    centre = torch.stack((drawn.uniform(-0.8, 0.8), drawn.uniform(-0.8, 0.8)), dim=1)
    matrix = sampling_matrix(
        centre,
        torch.exp2(drawn.uniform(-0.8, 1.3)),
        drawn.uniform(-math.pi, math.pi),
        mirrored_B=drawn.happens(0.5),
        slimness_B=drawn.uniform(0.7, 1.5),
    )
    sprites = bank.sprites[drawn.index(len(bank)), 3:].float() / 255
    happens = drawn.happens(probability).float()[:, None, None, None]
    sigma = drawn.uniform(0.5, _SHADOW_SIGMA_PIXELS)
    cover = sampled(sprites, matrix, side) * happens
    return blur(cover, sigma, sigma, torch.zeros_like(sigma), radius=window_radius(_SHADOW_SIGMA_PIXELS)).clamp(0, 1)


def _aside(side: int, drawn: Draw) -> Tensor:
    """Return factors [B, 3, S, S] that put one side of some faces in the dark, or in another colour."""
    axis = torch.linspace(-1, 1, side, device=drawn.device)
    turn = drawn.uniform(-math.pi, math.pi)[:, None, None]
    along = (
        turn.cos() * axis[None, None, :] + turn.sin() * axis[None, :, None] - drawn.uniform(-0.4, 0.4)[:, None, None]
    )
    steepness = torch.exp2(drawn.uniform(0, 4))[:, None, None]
    dark = torch.sigmoid(steepness * along)[:, None]
    return (
        1 - dark * (_share(drawn, 0.2, 0.9) * drawn.tint(0.2)).clamp(max=0.95) * drawn.happens(0.3)[:, None, None, None]
    )


def _glints(side: int, drawn: Draw) -> Tensor:
    """Draw a few bright spots, long or round, on some pictures: [B, 1, S, S], 0..1."""
    axis = torch.linspace(-1, 1, side, device=drawn.device)
    total = torch.zeros(drawn.batch, 1, side, side, device=drawn.device)
    happens = drawn.happens(0.2)
    for _ in range(_GLINTS):
        x, y = drawn.uniform(-0.8, 0.8)[:, None, None], drawn.uniform(-0.8, 0.8)[:, None, None]
        turn, size = drawn.uniform(-math.pi, math.pi)[:, None, None], drawn.uniform(0.01, 0.1)[:, None, None]
        across = (axis[None, None, :] - x) * turn.cos() + (axis[None, :, None] - y) * turn.sin()
        down = (axis[None, :, None] - y) * turn.cos() - (axis[None, None, :] - x) * turn.sin()
        stretch = drawn.uniform(0.15, 1)[:, None, None]
        strength = torch.where(happens & drawn.happens(0.6), drawn.uniform(0.2, 1), 0.0)[:, None, None]
        spot = strength * torch.exp(-(across.square() + (down * stretch).square()) / (2 * size.square()))
        total = torch.maximum(total, spot[:, None])
    return total


def _share(drawn: Draw, low: float, high: float) -> Tensor:
    return drawn.uniform(low, high)[:, None, None, None]


def _coolness(drawn: Draw) -> Tensor:
    """Return the shadows' colour, [B, 3, 1, 1]: they take a little more of the red than of the blue."""
    blue = drawn.uniform(0, 0.15)
    return torch.stack((torch.ones_like(blue), 1 - blue / 2, 1 - blue), dim=1)[:, :, None, None]
