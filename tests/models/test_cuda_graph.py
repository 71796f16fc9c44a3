"""A recorded network is the network."""

import pytest
import torch
from torch import Tensor, nn

from vidrestore.models.cuda_graph import CudaGraphRunner


def a_network(device: torch.device) -> nn.Module:
    torch.manual_seed(0)
    layers = (nn.Conv2d(3, 16, 3, padding=1), nn.LeakyReLU(0.2), nn.Conv2d(16, 3, 3, padding=1))
    return nn.Sequential(*layers).to(device).eval()


@pytest.mark.gpu
def test_results_are_the_networks_bit_for_bit(cuda: torch.device) -> None:
    network = a_network(cuda)
    replayed = CudaGraphRunner(network)
    with torch.inference_mode():
        for size in (32, 48, 32):
            images = torch.randn(2, 3, size, size).to(cuda)
            assert torch.equal(replayed(images), network(images))
    assert len(replayed._recorded) == 2


@pytest.mark.gpu
def test_an_answer_stays_when_the_next_is_asked_for(cuda: torch.device) -> None:
    network = a_network(cuda)
    replayed = CudaGraphRunner(lambda images: (network(images), images + 1))
    with torch.inference_mode():
        first, second = (torch.randn(1, 3, 16, 16).to(cuda) for _ in range(2))
        kept, _ = replayed(first)
        replayed(second)
        assert torch.equal(kept, network(first))


@pytest.mark.gpu
def test_what_cannot_be_recorded_runs_as_it_is(cuda: torch.device, caplog: pytest.LogCaptureFixture) -> None:
    def looks_at_values(images: Tensor) -> Tensor:
        return images * float(images.sum().item() > 0)

    replayed = CudaGraphRunner(looks_at_values)
    with torch.inference_mode():
        for _ in range(2):
            images = torch.ones(1, 3, 8, 8, device=cuda)
            assert torch.equal(replayed(images), images)
    assert "cannot be recorded" in caplog.text


@pytest.mark.gpu
def test_shapes_without_end_are_not_all_recorded(cuda: torch.device) -> None:
    network = a_network(cuda)
    replayed = CudaGraphRunner(network)
    with torch.inference_mode():
        for size in range(8, 24):
            images = torch.randn(1, 3, size, size).to(cuda)
            assert torch.equal(replayed(images), network(images))
    assert len(replayed._recorded) == 12
