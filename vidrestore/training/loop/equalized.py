"""StyleGAN's equalised learning rate, as parameter groups of the optimiser.

StyleGAN keeps unit-variance weights and multiplies each layer's by c = 1 / sqrt(fan-in) at run time. Adam's step does
not depend on the gradient's scale, so the same training is had from weights that hold c already and a learning rate
of c times the base: no layer needs a scale, and checkpoints hold plain weights.

Source: Karras et al., "Progressive Growing of GANs" (2018), section 4.1.
"""

import math
from collections import defaultdict
from typing import Any

from torch import nn

_MODULATED_DIMENSIONS = 5
"""Dimensions of a modulated convolution's weight, [1, O, I, k, k]."""
_MAPPING_MULTIPLIER = 0.01
"""The mapping network learns at this share of the rate (StyleGAN2, appendix B)."""


def equalized_groups(network: nn.Module, *, learning_rate: float) -> list[dict[str, Any]]:
    """Make groups for Adam: each weight matrix at `learning_rate / sqrt(fan-in)`, all else at `learning_rate`.

    The mapping network (`style_mlp`) learns at a hundredth of that. Each group has `params`, `lr` and
    `base_lr` (the same number, for schedules that scale it).
    """
    by_rate: dict[float, list[nn.Parameter]] = defaultdict(list)
    for name, parameter in network.named_parameters():
        mapping = _MAPPING_MULTIPLIER if "style_mlp." in name else 1.0
        by_rate[learning_rate * mapping * _scale(name, parameter)].append(parameter)
    return [{"params": parameters, "lr": rate, "base_lr": rate} for rate, parameters in sorted(by_rate.items())]


def _scale(name: str, parameter: nn.Parameter) -> float:
    """Return the factor c = 1 / sqrt(fan-in) of a weight; 1 for biases, noise strengths and the constant input."""
    if "constant_input" in name or parameter.dim() < 2 or name.endswith("bias"):  # noqa: PLR2004  a vector is no weight matrix
        return 1.0
    fan_in = parameter[0, 0].numel() if parameter.dim() == _MODULATED_DIMENSIONS else parameter[0].numel()
    return 1 / math.sqrt(fan_in)
