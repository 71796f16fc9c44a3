"""Sprites of a bank put into a batch of pictures: placed, painted and blurred, where the batch lives.

Shape suffixes: B batch, S side of a picture, P side of a sprite; sampling matrices [B, 2, 3] take places of the
picture, (x, y) from -1 to 1 between its edges, to places of the sprite.
"""

import math
from functools import lru_cache
from typing import NamedTuple

import torch
import torch.nn.functional as F  # noqa: N812  the name that every reader of network code expects
from torch import Tensor

from vidrestore.degradation.image.blur_kernels import blur, window_radius
from vidrestore.training.occluders.sprite_bank import Paint, SpriteBank

_TONES = ((0.34, 0.62), (0.66, 0.62), (0.5, 0.34), (0.5, 0.57))
"""Places of skin in an aligned face of unit side: cheeks, forehead, nose."""
_HAIR = (0.5, 0.1)
_PATCH = 0.03
"""Half the side of the patch over which a skin tone is averaged."""


class Draw:
    """Numbers for each picture of a batch, all from one generator of the pictures' device."""

    def __init__(self, batch: int, generator: torch.Generator) -> None:
        self.batch = batch
        self.generator = generator
        self.device = generator.device

    def uniform(self, low: float, high: float) -> Tensor:
        """Draw uniform numbers, float32 [B]."""
        return low + (high - low) * torch.rand(self.batch, generator=self.generator, device=self.device)

    def happens(self, probability: float) -> Tensor:
        """Draw events, bool [B]."""
        return self.uniform(0, 1) < probability

    def index(self, count: int) -> Tensor:
        """Draw indices, int64 [B], 0 to count - 1."""
        return torch.randint(count, (self.batch,), generator=self.generator, device=self.device)

    def tint(self, octaves: float) -> Tensor:
        """Draw factors about one, float32 [B, 3, 1, 1]."""
        rows = torch.stack([self.uniform(-octaves, octaves) for _ in range(3)], dim=1)
        return torch.exp2(rows)[:, :, None, None]

    def colour(self) -> Tensor:
        """Draw colours from grey to vivid, dark ones more often: float32 [B, 3, 1, 1]."""
        vivid = self.uniform(0, 1).square()[:, None]
        channels = torch.stack([self.uniform(0, 1) for _ in range(3)], dim=1)
        value = self.uniform(0.03, 1)[:, None]
        return (value * (1 - vivid + vivid * channels))[:, :, None, None]


class Placed(NamedTuple):
    """One sprite in each picture."""

    colours: Tensor
    """float32 [B, 3, S, S], RGB times cover."""
    cover: Tensor
    """float32 [B, 1, S, S], 0..1."""


def sampling_matrix(
    centre_B2: Tensor, size_B: Tensor, angle_B: Tensor, *, mirrored_B: Tensor, slimness_B: Tensor
) -> Tensor:
    """Return matrices from picture to sprite, float32 [B, 2, 3].

    Args:
        centre_B2: where the sprite's middle goes, (x, y) from -1 to 1.
        size_B: side of the sprite over side of the picture.
        angle_B: rotation in radians, from x towards y; at 0 the sprite's bottom is down.
        mirrored_B: bool, whether it is mirrored.
        slimness_B: width as a share of the drawn width.
    """
    cosine, sine = angle_B.cos() / size_B, angle_B.sin() / size_B
    across = torch.where(mirrored_B, -1.0, 1.0) / slimness_B
    turn_B22 = torch.stack((cosine * across, sine * across, -sine, cosine), dim=1).reshape(-1, 2, 2)
    return torch.cat((turn_B22, -turn_B22 @ centre_B2[:, :, None]), dim=2)


def moved(matrix_B23: Tensor, offset_B2: Tensor) -> Tensor:
    """Return the matrix that draws the same sprite further right and down by this much."""
    shift_B21 = matrix_B23[:, :, :2] @ offset_B2[:, :, None]
    return torch.cat((matrix_B23[:, :, :2], matrix_B23[:, :, 2:] - shift_B21), dim=2)


def sampled(planes_BCPP: Tensor, matrix_B23: Tensor, side: int) -> Tensor:
    """Sample planes through a matrix, [B, C, S, S]; beyond a sprite its border is repeated."""
    grid = F.affine_grid(matrix_B23, [len(planes_BCPP), 1, side, side], align_corners=False)
    return F.grid_sample(planes_BCPP, grid, mode="bilinear", padding_mode="border", align_corners=False)


def place(
    bank: SpriteBank, index_B: Tensor, matrix_B23: Tensor, pictures_B3SS: Tensor, drawn: Draw, *, gain_octaves: float
) -> Placed:
    """Draw sprites by their index in pictures, RGB in [0, 1], in fitting paints; `gain_octaves` varies their light."""
    side = pictures_B3SS.shape[-1]
    sprites = sampled(bank.sprites[index_B].float() / 255, matrix_B23, side)
    colours, cover = sprites[:, :3], sprites[:, 3:]
    painted = 2 * colours * paint(bank.paints[index_B], pictures_B3SS, drawn)
    skin_coloured = drawn.happens(0.12)[:, None, None, None]
    grey = 1.6 * colours.mean(dim=1, keepdim=True) * skin_tone(pictures_B3SS, drawn)
    own = torch.where(skin_coloured, grey, colours)
    is_own = (bank.paints[index_B] == Paint.OWN)[:, None, None, None]
    gain = torch.exp2(drawn.uniform(-gain_octaves, 0.7 * gain_octaves))[:, None, None, None]
    return Placed((torch.where(is_own, own, painted) * gain).clamp(0, 1) * cover, cover)


def paint(paints_B: Tensor, pictures_B3SS: Tensor, drawn: Draw) -> Tensor:
    """Return the factors of painted sprites, float32 [B, 3, S, S] RGB."""
    tone, others_tone = skin_tone(pictures_B3SS, drawn), skin_tone(pictures_B3SS.roll(1, 0), drawn)
    plain = drawn.colour()
    cloth = _cloth(pictures_B3SS, drawn)
    lot = drawn.uniform(0, 1)[:, None, None, None]
    skin = torch.where(lot < 0.6, tone, torch.where(lot < 0.92, others_tone, plain))  # noqa: PLR2004  gloves
    stuff = torch.where(lot < 0.5, cloth, torch.where(lot < 0.85, plain, others_tone))  # noqa: PLR2004  bare shoulders
    kind = paints_B[:, None, None, None]
    hair = _mean_colour(pictures_B3SS, _places(drawn.device)[:1].expand(drawn.batch, 2))
    return torch.where(kind == Paint.SKIN, skin, torch.where(kind == Paint.HAIR, hair, stuff)).expand_as(cloth)


def skin_tone(pictures_B3SS: Tensor, drawn: Draw) -> Tensor:
    """Return the colour of some patch of skin of each face, a little changed: float32 [B, 3, 1, 1]."""
    centres_B2 = _places(drawn.device)[1:][drawn.index(len(_TONES))]
    brightness = torch.exp2(drawn.uniform(-0.5, 0.4))[:, None, None, None]
    return _mean_colour(pictures_B3SS, centres_B2) * brightness * drawn.tint(0.08)


def softened(planes_BCSS: Tensor, drawn: Draw, *, motion_probability: float, motion_pixels: float) -> Tensor:
    """Blur sprites by defocus, some by motion too: no edge is sharper than the face's on all samples."""
    focus = torch.where(drawn.happens(0.25), drawn.uniform(0.8, 3), drawn.uniform(0.25, 0.8))
    motion = torch.where(drawn.happens(motion_probability), drawn.uniform(0, motion_pixels), 0.0)
    angle = drawn.uniform(-math.pi, math.pi)
    radius = window_radius(math.hypot(3, motion_pixels))
    return blur(planes_BCSS, torch.hypot(focus, motion), focus, angle, radius=radius)


def _cloth(pictures_B3SS: Tensor, drawn: Draw) -> Tensor:
    """Return a magnified corner of the next picture, mostly hair or background: [B, 3, S, S]."""
    corner = torch.stack((drawn.uniform(0.55, 0.9), drawn.uniform(0.55, 0.9)), dim=1)
    signs = torch.stack((drawn.happens(0.5), drawn.happens(0.5)), dim=1)
    matrix = sampling_matrix(
        torch.zeros_like(corner),
        1 / drawn.uniform(0.15, 0.5),
        drawn.uniform(-math.pi, math.pi),
        mirrored_B=drawn.happens(0.5),
        slimness_B=torch.ones_like(corner[:, 0]),
    )
    matrix = torch.cat((matrix[:, :, :2], torch.where(signs, corner, -corner)[:, :, None]), dim=2)
    side = pictures_B3SS.shape[-1]
    grid = F.affine_grid(matrix, [len(matrix), 1, side, side], align_corners=False)
    return F.grid_sample(pictures_B3SS.roll(1, 0), grid, padding_mode="reflection", align_corners=False)


@lru_cache(maxsize=4)
def _places(device: torch.device) -> Tensor:
    """Return places of hair, then tones, float32 [5, 2]; kept on the device, as a copy in each step would wait."""
    return torch.tensor([_HAIR, *_TONES], device=device)


def _mean_colour(pictures_B3SS: Tensor, centres_B2: Tensor) -> Tensor:
    """Return the mean colour [B, 3, 1, 1] of a patch around places (x, y), 0 to 1."""
    axis = torch.linspace(-_PATCH, _PATCH, 5, device=centres_B2.device)
    offset = torch.stack(torch.meshgrid(axis, axis, indexing="xy"), dim=-1)
    grid = 2 * (centres_B2[:, None, None] + offset) - 1
    patch = F.grid_sample(pictures_B3SS, grid, padding_mode="border", align_corners=False)
    return patch.mean(dim=(2, 3), keepdim=True)
