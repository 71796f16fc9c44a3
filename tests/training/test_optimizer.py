"""One network's optimiser: rates, the cut, freezing and saving."""

import math
from typing import Any

import pytest
import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor, nn

from vidrestore.errors import ConfigError
from vidrestore.models.discriminators import ComponentDiscriminator, StyleDiscriminator
from vidrestore.models.gfpgan import GFPGANConfig
from vidrestore.models.stylegan2 import StoredNoise, StyleDecoder
from vidrestore.training.loop.distributed import DistributedContext
from vidrestore.training.loop.optimizer import (
    OptimizerStep,
    ScheduleConfig,
    average_into,
    averaged_copy,
    decay_of_half_life,
    equalized_groups,
)


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


def test_the_rate_warms_up_stays_and_falls_along_half_a_cosine() -> None:
    schedule = ScheduleConfig(steps=100, warmup_steps=3, decay_share=0.4)
    assert [schedule.rate(step) for step in (0, 1, 2, 3)] == pytest.approx([0.25, 0.5, 0.75, 1.0])
    assert [schedule.rate(step) for step in (4, 30, 60)] == [1.0, 1.0, 1.0]
    quarter = 0.5 * (1 + math.cos(math.pi / 4))
    assert [schedule.rate(step) for step in (70, 80)] == pytest.approx([quarter, 0.5])
    assert schedule.rate(99) == pytest.approx(0.5 * (1 + math.cos(math.pi * 39 / 40)))


def test_the_rate_never_reaches_zero_even_past_the_end() -> None:
    schedule = ScheduleConfig(steps=10, warmup_steps=0, decay_share=1.0)
    assert [schedule.rate(step) for step in (10, 1000)] == pytest.approx([1e-3, 1e-3])
    assert schedule.rate(0) == 1.0


def test_without_decay_and_warm_up_the_rate_stays() -> None:
    schedule = ScheduleConfig(steps=10, warmup_steps=0, decay_share=0.0)
    assert {schedule.rate(step) for step in range(20)} == {1.0}


@pytest.mark.parametrize("options", [{"steps": 0}, {"warmup_steps": -1}, {"decay_share": 1.1}, {"decay_share": -0.1}])
def test_impossible_schedules_are_refused(options: dict[str, float]) -> None:
    with pytest.raises(ConfigError, match=next(iter(options))):
        ScheduleConfig(**options)  # type: ignore[arg-type]  # one wrong value each


RATE = 0.002


def rates_of(network: nn.Module) -> dict[str, float]:
    names = {id(parameter): name for name, parameter in network.named_parameters()}
    groups = equalized_groups(network, learning_rate=RATE)
    return {names[id(parameter)]: group["lr"] for group in groups for parameter in group["params"]}


def decoder_of(config: GFPGANConfig) -> StyleDecoder:
    return StyleDecoder(
        channels=config.channels,
        out_size=config.out_size,
        num_style_feat=config.num_style_feat,
        num_mlp=config.num_mlp,
    )


def test_decoder_layers_learn_at_the_rate_over_the_root_of_fan_in(tiny: GFPGANConfig) -> None:
    rates, channels, codes = rates_of(decoder_of(tiny)), tiny.channels[4], tiny.num_style_feat
    assert rates["style_conv1.modulated_conv.weight"] == pytest.approx(RATE / math.sqrt(channels * 9))
    assert rates["style_conv1.modulated_conv.modulation.weight"] == pytest.approx(RATE / math.sqrt(codes))
    assert rates["to_rgb1.modulated_conv.weight"] == pytest.approx(RATE / math.sqrt(channels))
    for name in ("style_conv1.modulated_conv.modulation.bias", "style_conv1.bias", "style_conv1.weight"):
        assert rates[name] == RATE
    assert rates["to_rgb1.bias"] == rates["constant_input.weight"] == RATE


def test_the_mapping_network_learns_at_a_hundredth(tiny: GFPGANConfig) -> None:
    rates = rates_of(decoder_of(tiny))
    assert rates["style_mlp.1.weight"] == pytest.approx(0.01 * RATE / math.sqrt(tiny.num_style_feat))
    assert rates["style_mlp.1.bias"] == pytest.approx(0.01 * RATE)


def test_layers_of_a_discriminator_likewise(tiny: GFPGANConfig) -> None:
    network = StyleDiscriminator(channels=tiny.channels, out_size=tiny.out_size)
    rates, channels = rates_of(network), tiny.channels[4]
    assert rates["from_rgb.weight"] == pytest.approx(RATE / math.sqrt(3))
    assert rates["final_conv.weight"] == pytest.approx(RATE / math.sqrt((channels + 1) * 9))
    assert rates["final_linear.weight"] == pytest.approx(RATE / math.sqrt(channels * 16))
    assert rates["final_linear.bias"] == RATE


def test_every_parameter_is_in_one_group(tiny: GFPGANConfig) -> None:
    for network in (
        decoder_of(tiny),
        StyleDiscriminator(channels=tiny.channels, out_size=tiny.out_size),
        nn.ModuleDict({"eye": ComponentDiscriminator(8), "mouth": ComponentDiscriminator(8)}),
    ):
        groups = equalized_groups(network, learning_rate=RATE)
        grouped = [id(parameter) for group in groups for parameter in group["params"]]
        assert len(grouped) == len(set(grouped))
        assert set(grouped) == {id(parameter) for parameter in network.parameters()}
        assert all(group["lr"] == group["base_lr"] for group in groups)
        assert len({group["lr"] for group in groups}) == len(groups)


class _Plain(nn.Module):
    """Weights that hold the scale already."""

    def __init__(self, convolution: Tensor, linear: Tensor) -> None:
        super().__init__()
        self.convolution = nn.Conv2d(2, 4, 3, padding=1, dtype=torch.float64)
        self.linear = nn.Linear(64, 3, dtype=torch.float64)
        with torch.no_grad():
            self.convolution.weight.copy_(convolution / math.sqrt(18))
            self.linear.weight.copy_(linear / math.sqrt(64))
            self.convolution.bias.zero_()
            self.linear.bias.zero_()

    def forward(self, images: Tensor) -> Tensor:
        answer: Tensor = self.linear(torch.tanh(self.convolution(images)).flatten(1))
        return answer


class _Scaled(nn.Module):
    """StyleGAN's layers: unit weights, multiplied by c at every use."""

    def __init__(self, convolution: Tensor, linear: Tensor) -> None:
        super().__init__()
        self.convolution, self.linear = nn.Parameter(convolution.clone()), nn.Parameter(linear.clone())
        self.convolution_bias = nn.Parameter(torch.zeros(4, dtype=torch.float64))
        self.linear_bias = nn.Parameter(torch.zeros(3, dtype=torch.float64))

    def forward(self, images: Tensor) -> Tensor:
        weight = self.convolution / math.sqrt(18)
        features = torch.tanh(F.conv2d(images, weight, self.convolution_bias, padding=1))
        return F.linear(features.flatten(1), self.linear / math.sqrt(64), self.linear_bias)


def test_adam_on_the_groups_steps_as_adam_on_explicitly_scaled_layers() -> None:
    generator = torch.Generator().manual_seed(0)
    convolution = torch.randn(4, 2, 3, 3, generator=generator, dtype=torch.float64)
    linear = torch.randn(3, 64, generator=generator, dtype=torch.float64)
    plain, scaled = _Plain(convolution, linear), _Scaled(convolution, linear)
    # A tiny epsilon: Adam's own is the one thing that does depend on the gradient's scale.
    options = {"betas": (0.0, 0.99), "eps": 1e-20}
    ours = torch.optim.Adam(equalized_groups(plain, learning_rate=0.01), **options)
    theirs = torch.optim.Adam(scaled.parameters(), lr=0.01, **options)
    start = plain.linear.weight.detach().clone()
    for _ in range(3):
        images = torch.randn(5, 2, 4, 4, generator=generator, dtype=torch.float64)
        for network, optimizer in ((plain, ours), (scaled, theirs)):
            optimizer.zero_grad()
            (network(images) - 1).square().mean().backward()
            optimizer.step()
        torch.testing.assert_close(plain(images), scaled(images), rtol=1e-10, atol=1e-10)
    torch.testing.assert_close(plain.linear.weight * 8, scaled.linear, rtol=1e-10, atol=1e-10)
    torch.testing.assert_close(plain.convolution.weight * math.sqrt(18), scaled.convolution, rtol=1e-10, atol=1e-10)
    assert (plain.linear.weight - start).abs().min() > 1e-5


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
