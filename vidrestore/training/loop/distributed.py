"""Where a training runs: device, precision, compilation, and the other processes that share it."""

from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Literal, ParamSpec, TypeVar

import torch
from torch import Tensor, distributed, nn
from torch._inductor import list_options
from torch._utils import _flatten_dense_tensors, _unflatten_dense_tensors

P = ParamSpec("P")
R = TypeVar("R")

_MIX_ORDER_REDUCTION = "triton.mix_order_reduction"
_PRIME = 1_000_003
_SEED_RANGE = 2**63 - 1


@dataclass(frozen=True, slots=True)
class DistributedContext:
    """One process of a training. `world` processes hold the same weights and each a share of the batch."""

    device: torch.device
    precision: Literal["bf16", "fp32"] = "bf16"
    """Precision of the networks' arithmetic; weights, losses and optimisers are float32."""
    compile: bool = True
    """Let torch.compile fuse the networks; the first steps then take a minute or so."""
    rank: int = 0
    world: int = 1

    def autocast(self) -> AbstractContextManager[object]:
        """Return the autocast context of the networks' precision."""
        return torch.autocast(self.device.type, dtype=torch.bfloat16, enabled=self.precision == "bf16")

    def compiled(self, function: Callable[P, R]) -> Callable[P, R]:
        """Return the function (or a module's method), compiled for fixed shapes if `compile` is on.

        Not for what is differentiated twice (R1, path length): compiled functions cannot be.
        """
        if not self.compile:
            return function
        compiled: Callable[P, R] = torch.compile(function, dynamic=False, options=_compiler_options())
        return compiled

    def generator(self, seed: int, step: int, purpose: int) -> torch.Generator:
        """Return the generator of a step, purpose and rank; it depends on these alone: a resume needs no state."""
        mixed = ((seed * _PRIME + step) * _PRIME + purpose) * _PRIME + self.rank
        return torch.Generator(self.device).manual_seed(mixed % _SEED_RANGE)

    def average_gradients(self, parameters: Iterable[nn.Parameter]) -> None:
        """Replace every gradient by its mean over all processes, in one reduction."""
        if self.world == 1:
            return
        gradients = [parameter.grad for parameter in parameters if parameter.grad is not None]
        flat = _flatten_dense_tensors(gradients)  # type: ignore[no-untyped-call]  # torch leaves it untyped
        distributed.all_reduce(flat)
        flat /= self.world
        means = _unflatten_dense_tensors(flat, gradients)  # type: ignore[no-untyped-call]  # torch leaves it untyped
        for gradient, mean in zip(gradients, means, strict=True):
            gradient.copy_(mean)

    def wait(self) -> None:
        """Wait until every process has come here: what the first one wrote is then there for all."""
        if self.world > 1:
            distributed.barrier()

    def mean(self, value: Tensor) -> Tensor:
        """Average a tensor over all processes."""
        if self.world > 1:
            value = value.clone()
            distributed.all_reduce(value)
            value /= self.world
        return value


def _compiler_options() -> dict[str, str | int | bool | Callable[..., object]]:
    """Turn off a fusion that returns wrongly shaped, or silently wrong, gradients of parameters [1, C, 1, 1].

    Seen on torch 2.11 in the decoder's backward; pytorch/pytorch issues 178080, 190796 and 193061. Versions before
    2.10 do not know it.
    """
    return {_MIX_ORDER_REDUCTION: False} if _MIX_ORDER_REDUCTION in list_options() else {}
