"""How a network learns: Adam, its learning rates, and the moving average of the weights.

The rate goes over a training from a warm-up to a plateau, and down by a half cosine to zero; StyleGAN's layers have
equalised rates. The average is the network that is evaluated and shipped.
"""

import copy
import math
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Annotated, Any, TypeVar

import torch
from pydantic import Field
from torch import Tensor, nn

from vidrestore.config import Options
from vidrestore.training.loop.distributed import DistributedContext

_MODULATED_DIMENSIONS = 5
"""Dimensions of a modulated convolution's weight, [1, O, I, k, k]."""
_MAPPING_MULTIPLIER = 0.01
"""The mapping network learns at this share of the rate (StyleGAN2, appendix B)."""
N = TypeVar("N", bound=nn.Module)


class OptimizerStep:
    """Adam over parameter groups of one or more networks.

    Args:
        networks: The networks that learn; parameters in no group stay as they are.
        groups: Parameter groups with `params` and `lr`; the rates are those at scale 1.
        betas: Adam's betas. StyleGAN trains with (0, 0.99).
        clip: Gradients are scaled down to this norm; infinite to leave them.
        machine: Averages the gradients over its processes.
    """

    def __init__(
        self,
        networks: list[nn.Module],
        groups: list[dict[str, Any]],
        *,
        betas: tuple[float, float],
        clip: float,
        machine: DistributedContext,
    ) -> None:
        self._networks = networks
        self._machine = machine
        self._clip = clip
        self._groups = [group | {"base_lr": group["lr"]} for group in groups]
        self.parameters = [parameter for group in groups for parameter in group["params"]]
        fused = machine.device.type == "cuda"
        self._optimizer = torch.optim.Adam(self._groups, betas=betas, eps=1e-8, fused=fused)

    def learn(self, loss: Tensor, *, rate: float = 1.0) -> Tensor:
        """Do one step against a loss, at `rate` times the groups' learning rates; return the gradient's norm."""
        self._optimizer.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]  # torch leaves it untyped
        self._machine.average_gradients(self.parameters)
        norm = torch.nn.utils.clip_grad_norm_(self.parameters, self._clip)
        for group in self._optimizer.param_groups:
            group["lr"] = group["base_lr"] * rate
        self._optimizer.step()
        return norm

    @contextmanager
    def frozen(self) -> Iterator[None]:
        """Freeze the networks while another one learns through them: gradients pass, none are kept here."""
        for parameter in self.parameters:
            parameter.requires_grad_(requires_grad=False)
        try:
            yield
        finally:
            for parameter in self.parameters:
                parameter.requires_grad_(requires_grad=True)

    def state_dict(self) -> dict[str, Any]:
        """Return the state of networks and optimiser, for an exact resume."""
        return {
            "networks": [network.state_dict() for network in self._networks],
            "optimizer": self._optimizer.state_dict(),
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Load a saved state."""
        for network, saved in zip(self._networks, state["networks"], strict=True):
            network.load_state_dict(saved)
        self._optimizer.load_state_dict(state["optimizer"])


@dataclass(frozen=True, slots=True)
class ScheduleConfig(Options):
    """Learning rate as a share of the full rate, by step.

    Raises:
        ConfigError: A value is out of its range.
    """

    steps: Annotated[
        int, Field(ge=1, description="Steps of the whole training, so that it ends where the rate does.")
    ] = 10_000
    warmup_steps: Annotated[int, Field(ge=0)] = 300
    decay_share: Annotated[
        float, Field(ge=0, le=1, description="Share of the steps, at the end, over which the rate falls.")
    ] = 0.3

    def rate(self, step: int) -> float:
        """Return the factor of learning rates at a step, in (0, 1]."""
        warm = min(1.0, (step + 1) / (self.warmup_steps + 1))
        falling = self.steps * self.decay_share
        progress = (step - (self.steps - falling)) / falling if falling else 0.0
        return warm * max(1e-3, 0.5 * (1 + math.cos(math.pi * min(max(progress, 0.0), 1.0))))


def equalized_groups(network: nn.Module, *, learning_rate: float) -> list[dict[str, Any]]:
    """Make groups for Adam: each weight matrix at `learning_rate / sqrt(fan-in)`, all else at `learning_rate`.

    StyleGAN keeps unit-variance weights and multiplies each layer's by c = 1 / sqrt(fan-in) at run time (Karras et al.
    2018, section 4.1). Adam's step does not depend on the gradient's scale, so the same training is had from weights
    that hold c already and a learning rate of c times the base: no layer needs a scale, and checkpoints hold plain
    weights.

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
