"""The moving average of weights, by hand."""

import pytest
import torch
from torch import nn

from vidrestore.models.stylegan2 import StoredNoise
from vidrestore.training.loop.ema import average_into, averaged_copy, decay_of_half_life


def test_the_average_moves_by_its_share_towards_the_network() -> None:
    network = nn.Linear(1, 1)
    nn.init.constant_(network.weight, 2.0)
    nn.init.constant_(network.bias, -1.0)
    averaged = averaged_copy(network)
    nn.init.constant_(network.weight, 6.0)
    nn.init.constant_(network.bias, 0.0)
    average_into(averaged, network, 0.75)
    assert averaged.weight.item() == pytest.approx(0.75 * 2 + 0.25 * 6)
    assert averaged.bias.item() == pytest.approx(0.75 * -1)
    assert network.weight.item() == 6.0


def test_what_does_not_move_is_averaged_to_the_same_bits() -> None:
    network = nn.Linear(50, 50)
    averaged = averaged_copy(network)
    for _ in range(3):
        average_into(averaged, network, 0.9987)
    assert torch.equal(averaged.weight, network.weight)


def test_buffers_are_copied_not_averaged() -> None:
    network = nn.Sequential(nn.Linear(1, 1), StoredNoise(log_size=3))
    averaged = averaged_copy(network)
    network[1].noise1.add_(1)
    average_into(averaged, network, 0.999)
    assert torch.equal(averaged[1].noise1, network[1].noise1)
    assert averaged[1].noise1.data_ptr() != network[1].noise1.data_ptr()


def test_the_averaged_copy_is_frozen_and_in_evaluation_mode() -> None:
    network = nn.Sequential(nn.Linear(2, 2), nn.Dropout()).train()
    averaged = averaged_copy(network)
    assert not averaged.training
    assert not any(parameter.requires_grad for parameter in averaged.parameters())
    assert network.training
    assert all(parameter.requires_grad for parameter in network.parameters())
    average_into(averaged, network, 0.5)
    assert not any(parameter.requires_grad for parameter in averaged.parameters())


@pytest.mark.parametrize("images_per_step", [1, 8, 1000])
def test_after_the_half_life_half_of_the_start_is_left(images_per_step: int) -> None:
    decay = decay_of_half_life(2000, images_per_step)
    assert decay ** (2000 / images_per_step) == pytest.approx(0.5)
