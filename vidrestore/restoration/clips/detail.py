"""The gain of fine detail of `restoration.temporal.detail`, for many faces at once."""

import torch
from torch import Tensor

from vidrestore.restoration.clips import ops
from vidrestore.restoration.temporal.detail import CELL, FLOOR, KEPT, SIGMA, TAPS, WINDOW


def match_detail(mean_B3SS: Tensor, own_B3SS: Tensor, *, most_gain: float) -> Tensor:
    """Give means float32 [B, 3, S, S] the energy of fine luma detail that the crops `own` have."""
    band = _band(mean_B3SS)
    grey = ops.grey(band)
    inner = _band(grey)
    missing = (KEPT * _energy(_band(ops.grey(own_B3SS)).square()) - _energy(grey.square())).clamp(min=0)
    cross, square = _energy(grey * inner).clamp(min=0), _energy(inner.square()) + FLOOR
    share = (torch.sqrt(cross * cross + square * missing) - cross) / square
    return mean_B3SS + ops.enlarge(share.clamp(max=most_gain), mean_B3SS.shape[-1]) * band


def _band(images: Tensor) -> Tensor:
    return images - ops.gaussian_blur(images, SIGMA, taps=TAPS)


def _energy(products: Tensor) -> Tensor:
    return ops.box_blur(ops.shrink(products, max(1, products.shape[-1] // CELL)), WINDOW)
