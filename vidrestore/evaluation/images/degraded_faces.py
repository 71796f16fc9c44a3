"""The damage that every candidate gets to see: drawn once for each face, and quantised to 8 bits as in a video."""

import hashlib
from collections.abc import Callable, Sequence

import numpy as np
import torch
from torch import Tensor

from vidrestore.degradation.image.model import Degradation, preset
from vidrestore.degradation.medium.clip import MEDIA, degrade_still, medium_preset
from vidrestore.errors import ConfigError

Degrade = Callable[[Tensor, torch.Generator], tuple[Tensor, Tensor]]
"""Float [1, 3, S, S] RGB in [0, 1] and its random generator -> degraded and target, both like the input."""


def degrade_as(strength: str) -> Degrade:
    """Return the damage that training knows by the name of `strength`: a preset of equation 8, or a medium.

    Raises:
        ConfigError: there is no such strength.
    """
    if strength in MEDIA:
        return _as_medium(strength)
    try:
        degradation = Degradation(preset(strength))
    except ConfigError as error:
        raise ConfigError(f"{error}; or a medium: {', '.join(MEDIA)}") from error

    def degrade(images_BCHW: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        pair = degradation(images_BCHW, generator)
        return pair.degraded, pair.target

    return degrade


def _as_medium(medium: str) -> Degrade:
    """Damage a face as one frame of a short video of that medium, through its codec."""
    config = medium_preset(medium)

    def degrade(images_BCHW: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        (picture,) = _to_uint8(images_BCHW).permute(0, 2, 3, 1).numpy()
        twin = degrade_still(np.ascontiguousarray(picture), config, np.random.default_rng(generator.initial_seed()))
        return torch.from_numpy(twin).permute(2, 0, 1)[None].float() / 255, images_BCHW

    return degrade


def damage(
    truth_BCHW: Tensor, names: Sequence[str], *, strength: str, seed: int, degrade: Degrade
) -> tuple[Tensor, Tensor]:
    """Damage faces; return them and what they should become, uint8 [B, 3, S, S] RGB each.

    A face's damage is a function of its name, the strength and the seed: it does not depend on the other faces, and,
    being drawn on the CPU one by one, not on the device that restores either.

    Args:
        truth_BCHW: uint8 [B, 3, S, S] RGB on the CPU.
        names: names of the B faces.
        strength: the name of the damage.
        seed: other damage of the same strength.
        degrade: a result of `degrade_as`.
    """
    pairs = [
        degrade(face[None].float() / 255, _generator(f"{seed}/{strength}/{name}"))
        for face, name in zip(truth_BCHW, names, strict=True)
    ]
    damaged, targets = (torch.cat(list(side)) for side in zip(*pairs, strict=True))
    return _to_uint8(damaged), _to_uint8(targets)


def _generator(text: str) -> torch.Generator:
    seed = int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big") >> 1  # torch takes 63 bits
    return torch.Generator().manual_seed(seed)


def _to_uint8(images_BCHW: Tensor) -> Tensor:
    return (images_BCHW.detach().clamp(0, 1) * 255).round().to(torch.uint8)
