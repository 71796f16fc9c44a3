"""The temporal blend of `restoration.temporal.blend`, for many frames at once.

What is compared and how it is weighed is described there; this is the same arithmetic on tensors. Shape suffixes: B
frames of a pass, S side of the images, G side of the grid.
"""

from typing import NamedTuple

import torch
from torch import Tensor

from vidrestore.restoration.clips import ops
from vidrestore.restoration.clips.colour import low_frequencies
from vidrestore.restoration.temporal.blend import (
    COLOUR_SIGMA,
    MOST_NOISE_LEVELS,
    NOISE_FACTOR,
    PATTERN_SIGMAS,
    PATTERN_WINDOW,
)
from vidrestore.restoration.temporal.flow import grid_side


class Views(NamedTuple):
    """Features of images of faces, as in `restoration.temporal.blend.BlendView`; K x B of them for neighbours."""

    images: Tensor
    """uint8 [B, 3, S, S] RGB, the images to average."""
    low: Tensor
    """float32 [B, 3, 32, 32]."""
    traits: Tensor
    """float32 [B, 4, G, G]: three planes of colour and one of the video's pattern."""

    def at(self, frames: Tensor) -> "Views":
        """Return those of some frames, int64 [B] or [K, B]."""
        return Views(self.images[frames], self.low[frames], self.traits[frames])


class Window(NamedTuple):
    """The neighbours of B frames at K distances in time, those before first and the nearest first."""

    frames: Tensor
    """int64 [K, B], index of each neighbour; any where there is none."""
    weight: Tensor
    """float32 [K, B, 1, 1, 1]: the temporal weight; 0 where there is none."""
    shift: Tensor
    """float32 [K, B, 2, g, g], grid pixels, flow to the neighbour."""
    confidence: Tensor
    """float32 [K, B, 1, g, g], 0..1."""


def views_of(images: Tensor, originals: Tensor) -> Views:
    """Compute the features of images and of the original crops that they come from, both uint8 [B, 3, S, S]."""
    grid = grid_side(images.shape[-1])
    levels = ops.shrink(ops.grey(originals.float()), grid)
    finer, coarser = (ops.gaussian_blur(levels, sigma) for sigma in PATTERN_SIGMAS)
    low = low_frequencies(images.float())
    level = ops.shrink(images.float(), grid) - ops.enlarge(low, grid)
    return Views(images, low, torch.cat([ops.gaussian_blur(level, COLOUR_SIGMA), finer - coarser], dim=1))


def blend(own: Views, others: Views, window: Window, texture_tolerance: float, colour_tolerance: float) -> Tensor:
    """Return the mean images over time, float32 [B, 3, S, S].

    Args:
        own: the features of B frames.
        others: those of their neighbours, [K, B, ...].
        window: where the neighbours are.
        texture_tolerance: see `restoration.temporal.blend.Blender`.
        colour_tolerance: see there.
    """
    structure, side = _structure(own.images, own.low), own.images.shape[-1]
    change, total = torch.zeros_like(structure), torch.ones_like(structure[:, :1])
    for images, low, traits, weight, shift, confidence in zip(
        *others, window.weight, window.shift, window.confidence, strict=True
    ):
        agreement = _agreement(own.traits, traits, shift, texture_tolerance, colour_tolerance)
        weights = ops.enlarge(agreement * ops.shrink(confidence, agreement.shape[-1]) * weight, side)
        moved = ops.warp(_structure(images, low), ops.positions(shift, side), replicate=True)
        change = change + (moved - structure) * weights
        total = total + weights
    return own.images.float() + change / total


def _structure(images: Tensor, low: Tensor) -> Tensor:
    """Return images [B, 3, S, S] without their low frequencies."""
    return images.float() - ops.enlarge(low, images.shape[-1])


def _agreement(own: Tensor, other: Tensor, shift: Tensor, texture_tolerance: float, colour_tolerance: float) -> Tensor:
    """Return how far a neighbour shows the same, float32 [B, 1, G, G], 0..1."""
    difference = (ops.warp(other, ops.positions(shift, own.shape[-1])) - own).abs()
    pattern = ops.box_blur(difference[:, 3:], PATTERN_WINDOW)
    noise = (
        NOISE_FACTOR * ops.median(pattern[:, :, ::4, ::4].flatten(1)).clamp(max=MOST_NOISE_LEVELS)[:, None, None, None]
    )
    pattern = (pattern - noise).clamp(min=0) / texture_tolerance
    colour = difference[:, :3].amax(dim=1, keepdim=True) / colour_tolerance
    return torch.exp(-(pattern.square() + colour.square()))
