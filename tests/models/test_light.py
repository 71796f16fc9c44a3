"""The light restorer: its shape, its file, and what is refused."""

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from vidrestore.errors import ConfigError, ModelError
from vidrestore.models import zoo
from vidrestore.models.checkpoint import load_gfpgan, load_restorer, save_safetensors
from vidrestore.models.gfpgan import GFPGAN
from vidrestore.models.light import LightConfig, LightRestorer, initialised_light
from vidrestore.restoration.config import RestorerConfig
from vidrestore.restoration.face.restorer import FaceRestorer, choose_model

SMALL = LightConfig(out_size=64, channels=(4, 8, 8, 8, 8))
CPU = torch.device("cpu")


def gigaflop(network: nn.Module, side: int) -> float:
    """Multiplications and additions of all convolutions, in billions."""
    counted = []

    def count(module: nn.Module, _: object, output: Tensor) -> None:
        assert isinstance(module, nn.Conv2d)
        counted.append(2 * output.numel() * module.weight[0].numel())

    for module in network.modules():
        if isinstance(module, nn.Conv2d):
            module.register_forward_hook(count)
    with torch.inference_mode():
        network(torch.zeros(1, 3, side, side))
    return sum(counted) / 1e9


def test_the_embedded_one_costs_at_most_three_gigaflop_a_face() -> None:
    network = load_restorer(zoo.resolve("embedded-fast"))
    assert isinstance(network, LightRestorer)
    assert 1 < gigaflop(network, 256) <= 3


@pytest.mark.parametrize("name", ["embedded", "embedded-fast"])
def test_either_network_of_the_package_is_loaded_by_its_tensors(name: str) -> None:
    network = load_restorer(zoo.resolve(name))
    assert isinstance(network, GFPGAN if name == "embedded" else LightRestorer)
    assert network.config.out_size == 256
    assert not network.training


def test_a_file_gives_back_what_was_saved(tmp_path: Path) -> None:
    network = initialised_light(SMALL, seed=3)
    save_safetensors(network.state_dict(), tmp_path / "light.safetensors", {})
    again = load_restorer(tmp_path / "light.safetensors")
    faces = torch.rand(2, 3, 64, 64) * 2 - 1
    with torch.inference_mode():
        assert torch.equal(network(faces), again(faces))


def test_a_light_restorer_is_no_gfpgan() -> None:
    with pytest.raises(ModelError, match="light restorer; wanted a clean GFP-GAN"):
        load_gfpgan(zoo.resolve("embedded-fast"))


def test_tensors_that_do_not_fit_are_named(tmp_path: Path) -> None:
    state = initialised_light(SMALL, seed=0).state_dict()
    state["last.weight"] = state["last.weight"][:6]
    save_safetensors(state, tmp_path / "light.safetensors", {})
    with pytest.raises(ModelError, match=r"1 tensors differ, the first is last\.weight"):
        load_restorer(tmp_path / "light.safetensors")


@pytest.mark.parametrize("options", [{"out_size": 100}, {"out_size": 0}, {"channels": (8, 8)}, {"channels": (0,) * 5}])
def test_shapes_that_make_no_network_are_refused(options: dict[str, object]) -> None:
    with pytest.raises(ConfigError, match="give"):
        LightConfig(**options)  # type: ignore[arg-type]


def test_auto_is_light_on_a_cpu_alone() -> None:
    assert choose_model("auto", CPU) == "embedded-fast"
    assert choose_model("auto", torch.device("cuda")) == "embedded"
    assert choose_model("gfpgan-v1.4", CPU) == "gfpgan-v1.4"


def test_it_restores_crops_alone_and_together_and_has_no_style_codes() -> None:
    restore = FaceRestorer(RestorerConfig(model="auto", device="cpu", precision="fp32"))
    assert restore.config.model == "embedded-fast"
    crops = list(np.random.default_rng(2).integers(0, 256, (3, 256, 256, 3), np.uint8))
    together = restore(crops)
    assert all(np.array_equal(one, restore([crop])[0]) for one, crop in zip(together, crops, strict=True))
    with pytest.raises(ConfigError, match=r"no style codes; set restore\.style\.frames to 0"):
        restore.encode(crops)
