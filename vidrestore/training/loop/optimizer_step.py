"""A network that learns: its optimiser, gradient clipping and learning rate."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from vidrestore.training.loop.distributed import DistributedContext


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
