"""A restorer looked at on held-out faces."""

import pytest
import torch
from torch import Tensor, nn

from vidrestore.models.gfpgan import GFPGANConfig
from vidrestore.training.data.dataset import FaceBatches, FaceFolder
from vidrestore.training.gan.initialization import initialised
from vidrestore.training.gan.validation import LossModels, Validation
from vidrestore.training.loop.distributed import DistributedContext

NAMES = ("psnr", "sharpness", "feature_distance", "identity")


class Identity(nn.Module):
    """Gives back what it gets."""

    def forward(self, faces: Tensor) -> Tensor:
        return faces


@pytest.fixture
def held_out(faces: FaceFolder) -> FaceBatches:
    return FaceBatches(faces, batch=6, seed=0, device="cpu", flip=False)


@pytest.fixture
def validation(held_out: FaceBatches, judges: LossModels, machine: DistributedContext) -> Validation:
    return Validation(held_out, judges, machine, seed=0)


def test_figures_of_a_network_that_changes_nothing_are_those_of_the_input(validation: Validation) -> None:
    figures = validation.figures(Identity())  # type: ignore[arg-type]  # a network by its call alone
    for name in NAMES:
        assert figures[f"protocol/{name}"] == figures[f"protocol/input/{name}"]
    assert figures["clean/psnr"] == 100  # identical, capped
    assert figures["clean/sharpness"] == pytest.approx(1)
    assert figures["clean/feature_distance"] == pytest.approx(0, abs=1e-6)
    assert figures["clean/identity"] == pytest.approx(1, abs=1e-6)
    assert figures["protocol/psnr"] < 40
    assert figures["protocol/identity"] < 0.9999


def test_all_figures_of_a_real_network_are_finite_and_named(validation: Validation, tiny: GFPGANConfig) -> None:
    figures = validation.figures(initialised(tiny, seed=0).eval())
    wanted = {f"{part}/{name}" for part in ("protocol", "protocol/input", "clean") for name in NAMES}
    assert figures.keys() == wanted | {"faces"}
    assert figures["faces"] == 12
    assert torch.isfinite(torch.tensor(list(figures.values()))).all()


def test_the_damage_is_the_same_at_every_look_and_another_for_another_seed(
    validation: Validation, held_out: FaceBatches, judges: LossModels, machine: DistributedContext
) -> None:
    first, _ = validation._pair("protocol", 1)
    assert torch.equal(first, validation._pair("protocol", 1)[0])
    other = Validation(held_out, judges, machine, seed=1)
    assert not torch.equal(first, other._pair("protocol", 1)[0])


def test_every_held_out_face_is_looked_at_once(
    validation: Validation, held_out: FaceBatches, judges: LossModels, machine: DistributedContext
) -> None:
    assert validation._steps == 2
    names = [name for step in range(2) for name in held_out.batch_at(step).names]
    assert len(set(names)) == 12
    once = Validation(held_out, judges, machine, seed=0, steps=1)
    assert once._steps == 1
    assert once.figures(Identity())["faces"] == 6  # type: ignore[arg-type]  # a network by its call alone


def test_looking_needs_no_gradients(validation: Validation, tiny: GFPGANConfig) -> None:
    network = initialised(tiny, seed=0)
    validation.figures(network)
    assert all(parameter.grad is None for parameter in network.parameters())


def test_the_image_grid_shows_degraded_restored_true_and_clean_faces(
    validation: Validation, held_out: FaceBatches
) -> None:
    picture = validation.picture(Identity())  # type: ignore[arg-type]  # a network by its call alone
    truth = held_out.batch_at(0).images.permute(0, 2, 3, 1).numpy()
    assert picture.shape == (3 * 64, 8 * 64, 3)  # four rows of six faces, laid in eights
    tiles = [picture[y : y + 64, x : x + 64] for y in range(0, 192, 64) for x in range(0, 512, 64)]
    damaged, restored, true, clean = (tiles[first : first + 6] for first in (0, 6, 12, 18))
    for index in range(6):
        assert (true[index] == truth[index]).all()
        assert (clean[index] == truth[index]).all()
        assert (damaged[index] == restored[index]).all()
        assert (damaged[index] != truth[index]).any()
