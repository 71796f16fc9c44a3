"""One network's optimiser: rates, the cut, freezing and saving."""

import math
from typing import Any

import pytest
import torch
from torch import nn

from vidrestore.training.loop.distributed import DistributedContext
from vidrestore.training.loop.optimizer_step import OptimizerStep


def learner_of(
    network: nn.Module, machine: DistributedContext, *, clip: float = math.inf, rate: float = 0.1
) -> OptimizerStep:
    groups: list[dict[str, Any]] = [{"params": list(network.parameters()), "lr": rate}]
    return OptimizerStep([network], groups, betas=(0.0, 0.99), clip=clip, machine=machine)


def line(weight: float = 1.0) -> nn.Linear:
    network = nn.Linear(1, 1, bias=False)
    nn.init.constant_(network.weight, weight)
    return network


@pytest.mark.parametrize("rate", [1.0, 0.25])
def test_the_first_step_of_adam_is_the_rate_of_the_group_times_that_of_the_step(
    machine: DistributedContext, rate: float
) -> None:
    network = line()
    norm = learner_of(network, machine).learn(3 * network.weight.sum(), rate=rate)
    assert network.weight.item() == pytest.approx(1 - 0.1 * rate)
    assert norm.item() == pytest.approx(3)


def test_rates_of_steps_do_not_pile_up(machine: DistributedContext) -> None:
    network = line()
    learner = learner_of(network, machine)
    for _ in range(3):
        learner.learn(network.weight.sum(), rate=0.5)
    assert network.weight.item() == pytest.approx(1 - 3 * 0.05)


def test_gradients_are_cut_to_a_norm_and_the_norm_before_is_told(machine: DistributedContext) -> None:
    network = nn.Linear(2, 1, bias=False)
    norm = learner_of(network, machine, clip=0.5).learn((network.weight * torch.tensor([[3.0, 4.0]])).sum())
    assert norm.item() == pytest.approx(5)
    assert network.weight.grad is not None
    torch.testing.assert_close(network.weight.grad, torch.tensor([[0.3, 0.4]]))


def test_gradients_of_one_step_are_forgotten_at_the_next(machine: DistributedContext) -> None:
    network = line()
    learner = learner_of(network, machine)
    learner.learn(100 * network.weight.sum())
    assert learner.learn(2 * network.weight.sum()).item() == pytest.approx(2)


def test_frozen_networks_pass_gradients_and_keep_none(machine: DistributedContext) -> None:
    network, faces = line(2.0), torch.ones(1, 1, requires_grad=True)
    learner = learner_of(network, machine)
    with learner.frozen():
        answer = network(faces)
    answer.sum().backward()  # after the block, as training does
    assert faces.grad is not None
    assert faces.grad.item() == 2
    assert network.weight.grad is None
    assert network.weight.requires_grad


def test_a_network_thaws_when_the_block_raises(machine: DistributedContext) -> None:
    network = line()
    with pytest.raises(RuntimeError, match="lost"), learner_of(network, machine).frozen():
        raise RuntimeError("lost")
    assert network.weight.requires_grad


def test_a_saved_learner_goes_on_bit_for_bit(machine: DistributedContext) -> None:
    def steps(learner: OptimizerStep, network: nn.Module, first: int, last: int) -> None:
        for step in range(first, last):
            inputs = torch.randn(4, 3, generator=torch.Generator().manual_seed(step))
            learner.learn(network(inputs).square().mean(), rate=1 / (step + 1))

    torch.manual_seed(0)
    whole = nn.Linear(3, 2)
    halves = nn.Linear(3, 2)
    halves.load_state_dict(whole.state_dict())
    steps(learner_of(whole, machine), whole, 0, 6)
    first = learner_of(halves, machine)
    steps(first, halves, 0, 3)
    state = first.state_dict()
    other = nn.Linear(3, 2)
    second = learner_of(other, machine)
    second.load_state_dict(state)
    steps(second, other, 3, 6)
    assert torch.equal(whole.weight, other.weight)
    assert torch.equal(whole.bias, other.bias)
