"""The temporal blend of `restoration.temporal.blend`, for many frames at once.

What is compared and how it is weighed is described there; this is the same arithmetic on tensors. Shape suffixes: B
frames of a pass, S side of the images, G side of the grid.
"""

from collections.abc import Iterable
from dataclasses import dataclass

import torch
from torch import Tensor

from vidrestore.restoration.clips import ops
from vidrestore.restoration.clips.colour import enlarge_low, low_frequencies
from vidrestore.restoration.temporal.blend import (
    COLOUR_SIGMA,
    MOST_NOISE_LEVELS,
    NOISE_FACTOR,
    PATTERN_SIGMAS,
    PATTERN_WINDOW,
)
from vidrestore.restoration.temporal.flow import grid_side


@dataclass(frozen=True, slots=True)
class Views:
    """Features of many images of faces, as in `restoration.temporal.blend.BlendView`."""

    images: Tensor
    """uint8 [N, 3, S, S] RGB, the images to average."""
    low: Tensor
    """float32 [N, 3, 32, 32]."""
    traits: Tensor
    """float32 [N, 4, G, G]: three planes of colour and one of the video's pattern."""

    @property
    def side(self) -> int:
        """S."""
        return self.images.shape[-1]

    def structure(self, frames: Tensor) -> Tensor:
        """Return images [B, 3, S, S] without their low frequencies."""
        return self.images[frames].float() - enlarge_low(self.low[frames], self.side)


@dataclass(frozen=True, slots=True)
class Neighbours:
    """The neighbours of many frames at one distance in time."""

    frames: Tensor
    """int64 [B], index of each neighbour; any where there is none."""
    weight: Tensor
    """float32 [B, 1, 1, 1]: the temporal weight; 0 where there is none."""
    shift: Tensor
    """float32 [B, 2, g, g], grid pixels, flow to the neighbour."""
    confidence: Tensor
    """float32 [B, 1, g, g], 0..1."""


def traits_of(images_B3SS: Tensor, low: Tensor, originals_B3SS: Tensor) -> Tensor:
    """Return the traits, float32 [B, 4, G, G], of images and the original crops that they come from, float32."""
    grid = grid_side(images_B3SS.shape[-1])
    levels = ops.shrink(ops.grey(originals_B3SS), grid)
    finer, coarser = (ops.gaussian_blur(levels, sigma) for sigma in PATTERN_SIGMAS)
    level = ops.shrink(images_B3SS, grid) - enlarge_low(low, grid)
    return torch.cat([ops.gaussian_blur(level, COLOUR_SIGMA), finer - coarser], dim=1)


def views_of(images: Tensor, originals: Tensor, *, chunk: int) -> Views:
    """Compute the features of images and their original crops, both uint8 [N, 3, S, S], `chunk` at a time."""
    low, traits = [], []
    for first in range(0, len(images), chunk):
        image = images[first : first + chunk].float()
        low.append(low_frequencies(image))
        traits.append(traits_of(image, low[-1], originals[first : first + chunk].float()))
    return Views(images, torch.cat(low), torch.cat(traits))


def blend(
    views: Views, frames: Tensor, neighbours: Iterable[Neighbours], *, texture_tolerance: float, colour_tolerance: float
) -> Tensor:
    """Return the mean images over time, float32 [B, 3, S, S], of the frames int64 [B]."""
    own, traits, side = views.structure(frames), views.traits[frames], views.side
    change, total = torch.zeros_like(own), torch.ones_like(own[:, :1])
    for near in neighbours:
        weights = _weights(traits, views.traits[near.frames], near, texture_tolerance, colour_tolerance)
        weights = ops.enlarge(weights, side)
        moved = ops.warp(views.structure(near.frames), ops.positions(near.shift, side), replicate=True)
        change += (moved - own) * weights
        total += weights
    return views.images[frames].float() + change / total


def _weights(own: Tensor, other: Tensor, near: Neighbours, texture_tolerance: float, colour_tolerance: float) -> Tensor:
    grid = own.shape[-1]
    difference = (ops.warp(other, ops.positions(near.shift, grid)) - own).abs()
    pattern = ops.box_blur(difference[:, 3:], PATTERN_WINDOW)
    noise = NOISE_FACTOR * _median(pattern[:, :, ::4, ::4]).clamp(max=MOST_NOISE_LEVELS)
    pattern = (pattern - noise).clamp(min=0) / texture_tolerance
    colour = difference[:, :3].amax(dim=1, keepdim=True) / colour_tolerance
    agreement = torch.exp(-(pattern.square() + colour.square()))
    return agreement * ops.shrink(near.confidence, grid) * near.weight


def _median(values_B1HW: Tensor) -> Tensor:
    """Return the median of each image, [B, 1, 1, 1]: the mean of the middle two."""
    ranked = values_B1HW.flatten(1).sort(dim=1).values
    middle = ranked.shape[1] // 2
    return ((ranked[:, middle - 1] + ranked[:, middle]) / 2)[:, None, None, None]
