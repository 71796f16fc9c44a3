"""The moving average of a network's weights: the network that is evaluated and shipped."""

import copy
from typing import TypeVar

import torch
from torch import nn

N = TypeVar("N", bound=nn.Module)


def averaged_copy(network: N) -> N:
    """Return a copy in evaluation mode that takes no gradients."""
    copied = copy.deepcopy(network).eval()
    return copied.requires_grad_(requires_grad=False)


@torch.no_grad()
def average_into(averaged: nn.Module, network: nn.Module, decay: float) -> None:
    """Move `averaged` towards `network`: averaged = decay * averaged + (1 - decay) * network; buffers are copied."""
    targets = [parameter.detach() for parameter in averaged.parameters()]
    sources = [parameter.detach() for parameter in network.parameters()]
    torch._foreach_lerp_(targets, sources, 1 - decay)  # one kernel for all, as in torch's own optimisers
    for target, source in zip(averaged.buffers(), network.buffers(), strict=True):
        target.copy_(source)


def decay_of_half_life(half_life_images: float, images_per_step: int) -> float:
    """Return the decay whose memory halves every `half_life_images` images."""
    return float(0.5 ** (images_per_step / half_life_images))
