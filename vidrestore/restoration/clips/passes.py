"""What is done to the frames of one pass: functions of tensors.

Shape suffixes: B frames of a pass, K neighbours of each, S side of the crops.
"""

import torch
from torch import Tensor

from vidrestore.restoration.clips import ops
from vidrestore.restoration.clips.blend import Views, Window, blend
from vidrestore.restoration.clips.colour import mean_over_time, resolved_chroma
from vidrestore.restoration.clips.detail import match_detail
from vidrestore.restoration.config import DenoiserConfig, StabilizerConfig


def denoise(crops: Tensor, own: Views, others: Views, window: Window, config: DenoiserConfig) -> Tensor:
    """Return crops uint8 [B, 3, S, S], averaged with their neighbours.

    Args:
        crops: uint8 [B, 3, S, S].
        own: their features, at their side for work over time.
        others: those of their neighbours, [K, B, ...].
        window: where the neighbours are.
        config: tolerances of the average.
    """
    mean = blend(own, others, window, config.texture_tolerance, config.colour_tolerance)
    return _changed(crops, own.images, mean)


def stabilise(
    crops: Tensor,
    own: Views,
    others: Views,
    window: Window,
    difference: Tensor,
    differences: Tensor,
    originals: Tensor,
    config: StabilizerConfig,
) -> Tensor:
    """Return restored crops uint8 [B, 3, S, S], averaged with their neighbours, in the colours of the video.

    Args:
        crops: uint8 [B, 3, S, S], restored.
        own: their features, at their side for work over time.
        others: those of their neighbours, [K, B, ...].
        window: where the neighbours are.
        difference: float32 [B, 3, 32, 32], low frequencies of the original crops less those of the restored ones.
        differences: those of the neighbours, [K, B, 3, 32, 32].
        originals: uint8 [B, 3, s, s], the original crops at their side for work over time.
        config: see `StabilizerConfig`.
    """
    bias = mean_over_time(difference, differences, window.weight)
    change = config.colour_lock * bias
    result = restored = own.images.float()
    if config.blend:
        result = blend(own, others, window, config.texture_tolerance, config.colour_tolerance)
        if config.max_detail_gain:
            result = match_detail(result, restored, most_gain=config.max_detail_gain)
        change = change + difference - bias
    steady = result + ops.enlarge(change, result.shape[-1])
    if config.colour_lock:
        steady = steady + ops.enlarge(config.colour_lock * resolved_chroma(originals, result), result.shape[-1])
    return _changed(crops, own.images, steady)


def smooth_alphas(own: Tensor, others: Tensor, window: Window) -> Tensor:
    """Return the mean over time of alpha masks, float32 [B, m, m], along the motion; `others` are [K, B, m, m]."""
    own = own[:, None]
    side = own.shape[-1]
    change, total = torch.zeros_like(own), torch.ones_like(own)
    for other, weight, shift, confidence in zip(others, window.weight, window.shift, window.confidence, strict=True):
        share = ops.shrink(confidence, side) * weight
        moved = ops.warp(other[:, None], ops.positions(shift, side), replicate=True)
        change = change + share * (moved - own)
        total = total + share
    return (own + change / total)[:, 0]


def resized(images: Tensor, side: int) -> Tensor:
    """Average images uint8 [B, 3, S, S] down to [B, 3, side, side]."""
    return images if images.shape[-1] == side else _to_uint8(ops.shrink(images.float(), side))


def _changed(crops: Tensor, before: Tensor, after: Tensor) -> Tensor:
    """Apply the change of smaller images to the crops uint8 [B, 3, S, S]; `after` itself where sizes are equal."""
    if before.shape == crops.shape:
        return _to_uint8(after)
    return _to_uint8(crops.float() + ops.enlarge(after - before.float(), crops.shape[-1]))


def _to_uint8(images: Tensor) -> Tensor:
    return images.round().clamp(0, 255).to(torch.uint8)
