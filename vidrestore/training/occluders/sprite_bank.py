"""A few thousand sprites drawn once, by several processes, and kept where batches are composed."""

import os
from collections.abc import Callable, Mapping
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from enum import IntEnum
from functools import partial
from itertools import chain
from typing import TYPE_CHECKING, Final, Literal

import numpy as np

from vidrestore.process import spawn_context
from vidrestore.training.occluders import accessory_sprites, hand_sprites, object_sprites
from vidrestore.training.occluders.sprite_shapes import SIDE, Sprite
from vidrestore.types import UInt8

if TYPE_CHECKING:
    from torch import Tensor, device

Theme = Literal["occluders", "accessories"]


class Paint(IntEnum):
    """Source of a sprite's colour."""

    OWN = 0
    """The sprite's own colours."""
    SKIN = 1
    """A skin tone, as a rule that of the face behind it."""
    CLOTH = 2
    """A piece of another picture, or one colour."""
    HAIR = 3
    """The hair of the face itself, above its forehead."""


Draw = Callable[[np.random.Generator], Sprite]

_THEMES: Final[Mapping[Theme, tuple[tuple[float, Draw, Paint], ...]]] = {
    "occluders": (
        (0.36, hand_sprites.hand, Paint.SKIN),
        (0.06, hand_sprites.finger, Paint.SKIN),
        (0.06, hand_sprites.arm, Paint.SKIN),
        (0.09, object_sprites.bar, Paint.OWN),
        (0.04, object_sprites.stick, Paint.OWN),
        (0.09, object_sprites.microphone, Paint.OWN),
        (0.05, object_sprites.cup, Paint.OWN),
        (0.07, object_sprites.card, Paint.OWN),
        (0.02, object_sprites.ball, Paint.OWN),
        (0.06, object_sprites.blob, Paint.CLOTH),
        (0.04, object_sprites.curtain, Paint.CLOTH),
        (0.04, object_sprites.head, Paint.CLOTH),
        (0.02, object_sprites.twigs, Paint.OWN),
    ),
    "accessories": (
        (0.5, accessory_sprites.glasses, Paint.OWN),
        (0.25, accessory_sprites.fringe, Paint.HAIR),
        (0.25, accessory_sprites.hat, Paint.OWN),
    ),
}
"""Shares, drawings and paints of each theme."""
_CHUNK: Final = 64
"""Sprites that a process draws at a time."""


@dataclass(frozen=True, slots=True, eq=False)
class SpriteBank:
    """Sprites on a device."""

    sprites: "Tensor" = field(repr=False)
    """uint8 [N, 4, P, P]: RGB, and cover."""
    paints: "Tensor" = field(repr=False)
    """int64 [N], values of `Paint`."""

    def __len__(self) -> int:
        return len(self.paints)


def draw_bank(
    theme: Theme, count: int, *, seed: int, device: "device | str", processes: int | None = None
) -> SpriteBank:
    """Draw `count` sprites; each is a function of theme, seed and its place alone.

    `processes` is the number of drawing processes, None for one on each processor; 0 draws in this process.
    """
    import torch  # noqa: PLC0415  the drawing processes do not need it

    starts = range(0, count, _CHUNK)
    draw = partial(_draw_chunk, theme, seed, count)
    if processes == 0:
        chunks = [draw(start) for start in starts]
    else:
        workers = processes or os.cpu_count() or 1
        with ProcessPoolExecutor(workers, mp_context=spawn_context()) as pool:
            chunks = list(pool.map(draw, starts))
    drawn = list(chain.from_iterable(chunks))
    sprites = torch.from_numpy(np.stack([sprite for sprite, _ in drawn])).to(device)
    paints = torch.tensor([paint for _, paint in drawn]).to(device)
    return SpriteBank(sprites, paints)


def draw_sprite(theme: Theme, seed: int, index: int) -> tuple[UInt8, int]:
    """Draw one sprite, uint8 [4, P, P], and return its paint as well."""
    kinds = _THEMES[theme]
    random = np.random.default_rng([list(_THEMES).index(theme), seed, index])
    shares = np.array([share for share, _, _ in kinds])
    _, draw, paint = kinds[int(random.choice(len(kinds), p=shares / shares.sum()))]
    sprite = draw(random)
    planes = np.concatenate((sprite.colours, sprite.cover[..., None]), axis=-1).transpose(2, 0, 1)
    assert planes.shape == (4, SIDE, SIDE), f"{draw.__name__} drew {planes.shape}"  # noqa: S101  a drawing's bug
    return np.round(planes * 255).clip(0, 255).astype(np.uint8), int(paint)


def _draw_chunk(theme: Theme, seed: int, count: int, start: int) -> list[tuple[UInt8, int]]:
    return [draw_sprite(theme, seed, index) for index in range(start, min(start + _CHUNK, count))]
