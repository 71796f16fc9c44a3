"""The feature extractors against torchvision's networks, and their contract."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from vidrestore.errors import ModelError
from vidrestore.models import perceptual
from vidrestore.models.perceptual import MobileNetV2Features, PerceptualFeatures, VGG19Features, feature_distance
from vidrestore.models.torchvision_ops import ensure_torchvision_imports


@pytest.fixture(scope="module")
def models() -> Any:
    """torchvision.models."""
    ensure_torchvision_imports()
    import torchvision  # noqa: PLC0415  it must be mended first

    return torchvision.models


@pytest.fixture(scope="module")
def vgg19(models: Any) -> nn.Sequential:
    """The convolutions of torchvision's vgg19 with random weights."""
    torch.manual_seed(5)
    layers = models.vgg.make_layers(models.vgg.cfgs["E"], batch_norm=False).eval()
    for layer in layers:
        if isinstance(layer, nn.Conv2d):
            nn.init.kaiming_normal_(layer.weight, nonlinearity="relu")
            nn.init.zeros_(layer.bias)
            layer.half().float()  # the file will hold float16
        if isinstance(layer, nn.ReLU):
            layer.inplace = False  # torchvision's would overwrite the maps that are wanted before it
    nn.init.normal_(layers[0].bias, std=0.125)
    layers[0].half().float()
    return layers


@pytest.fixture(scope="module")
def vgg19_file(vgg19: nn.Sequential, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Those weights as a user's file, with a classifier that is not wanted."""
    path = tmp_path_factory.mktemp("vgg") / "vgg19.safetensors"
    state = {f"features.{name}": tensor.half() for name, tensor in vgg19.state_dict().items()}
    save_file(state | {"classifier.0.weight": torch.zeros(2, 2)}, path)
    return path


@pytest.fixture(scope="module")
def mobilenet() -> MobileNetV2Features:
    return MobileNetV2Features()


@pytest.fixture(scope="module", params=["mobilenet", "vgg19"])
def features(request: pytest.FixtureRequest, mobilenet: MobileNetV2Features, vgg19_file: Path) -> PerceptualFeatures:
    return mobilenet if request.param == "mobilenet" else VGG19Features(vgg19_file)


def images(batch: int = 2, side: int = 64) -> Tensor:
    return torch.rand(batch, 3, side, side, generator=torch.Generator().manual_seed(2)) * 2 - 1


def standardised(faces: Tensor) -> Tensor:
    mean, deviation = torch.tensor([0.485, 0.456, 0.406]), torch.tensor([0.229, 0.224, 0.225])
    return ((faces + 1) / 2 - mean[:, None, None]) / deviation[:, None, None]


def maps_of(layers: nn.Sequential, faces: Tensor, wanted: tuple[int, ...]) -> list[Tensor]:
    found, current = [], standardised(faces)
    for index, layer in enumerate(layers):
        current = layer(current)
        if index in wanted:
            found.append(current)
    return found


def fold(state: dict[str, Tensor], convolution: str, normalisation: str) -> tuple[Tensor, Tensor]:
    """Weight and bias of a convolution with the batch normalisation after it."""
    gain = state[f"{normalisation}.weight"] * torch.rsqrt(state[f"{normalisation}.running_var"] + 1e-5)
    bias = state[f"{normalisation}.bias"] - state[f"{normalisation}.running_mean"] * gain
    return state[f"{convolution}.weight"] * gain[:, None, None, None], bias


def test_mobilenets_maps_equal_torchvisions(models: Any) -> None:
    torch.manual_seed(6)
    theirs = models.mobilenet_v2().eval()
    for module in theirs.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.running_mean.normal_(std=0.1)
            module.running_var.uniform_(0.5, 1.5)
            nn.init.normal_(module.bias, std=0.1)
    ours = MobileNetV2Features()
    state = theirs.state_dict()
    folded = {}
    for name in ours.state_dict():
        if name.endswith(".weight"):
            convolution = name.removesuffix(".weight")
            head, index = convolution.rsplit(".", 1)
            weight, bias = fold(state, convolution, f"{head}.{int(index) + 1}")
            folded |= {name: weight, f"{convolution}.bias": bias}
    ours.load_state_dict(folded)
    with torch.inference_mode():
        found = ours(images())
        wanted = maps_of(theirs.features, images(), (1, 3, 6, 13, 17))
    for one, other, scale in zip(found, wanted, perceptual._MOBILENETV2_SCALES, strict=True):
        assert (one * scale - other).norm() <= 1e-5 * other.norm()


def test_mobilenets_maps_have_the_values_that_they_had(mobilenet: MobileNetV2Features) -> None:
    ramp = torch.linspace(-1, 1, 64)
    face = torch.stack((ramp.expand(64, 64), ramp[:, None].expand(64, 64), ramp.flip(0).expand(64, 64)))[None]
    with torch.inference_mode():
        maps = mobilenet(face)
    assert [tuple(one.shape[1:]) for one in maps] == [
        (16, 32, 32),
        (24, 16, 16),
        (32, 8, 8),
        (96, 4, 4),
        (320, 2, 2),
    ]
    assert [one.abs().mean().item() for one in maps] == pytest.approx(MAGNITUDES, rel=1e-3)


MAGNITUDES = [1.47676, 1.09488, 1.26496, 1.20209, 1.37899]
"""Measured once, with the weights that agreed with torchvision's to 3e-6 before they were rounded to float16."""


def test_vggs_maps_are_the_convolutions_before_activation(vgg19: nn.Sequential, vgg19_file: Path) -> None:
    network = VGG19Features(vgg19_file)
    with torch.inference_mode():
        found = network(images(side=32))
        wanted = maps_of(vgg19, images(side=32), (2, 7, 16, 25, 34))
    for one, other in zip(found, wanted, strict=True):
        torch.testing.assert_close(one, other)
        assert one.min() < 0
    assert network.weights == (0.1, 0.1, 1, 1, 1)


def test_network_stays_frozen_and_in_evaluation_mode(features: PerceptualFeatures) -> None:
    nn.ModuleList([features]).train()
    assert not any(module.training for module in features.modules())
    assert not any(parameter.requires_grad for parameter in features.parameters())


def test_gradient_reaches_the_images(features: PerceptualFeatures) -> None:
    faces = images(side=32).requires_grad_()
    feature_distance(features(faces), features(images(side=32).flip(3))).sum().backward()
    assert faces.grad is not None
    assert faces.grad.abs().amax(dim=(1, 2, 3)).min() > 0


def test_distance_is_of_each_pair_and_zero_for_equals(features: PerceptualFeatures) -> None:
    faces = images(side=32)
    with torch.inference_mode():
        maps = features(faces)
        other = features(torch.stack((faces[0], -faces[1])))
        distances = feature_distance(maps, other)
        assert feature_distance(maps, maps).tolist() == [0, 0]
    assert distances.dtype == torch.float32
    assert distances[0] == pytest.approx(0, abs=1e-6)
    assert distances[1] > 0.1


def test_distance_is_the_mean_over_layers_of_the_mean_difference() -> None:
    one = (torch.zeros(2, 1, 2, 2), torch.zeros(2, 4, 1, 1))
    other = (torch.ones(2, 1, 2, 2), torch.tensor([0.0, 3.0])[:, None, None, None].expand(2, 4, 1, 1))
    assert feature_distance(one, other).tolist() == [0.5, 2.0]


def test_distance_grows_with_the_damage(mobilenet: MobileNetV2Features) -> None:
    smooth = nn.functional.interpolate(images(1, 8), scale_factor=8, mode="bicubic")
    noise = torch.randn(smooth.shape, generator=torch.Generator().manual_seed(8))
    with torch.inference_mode():
        wanted = mobilenet(smooth)
        near, far = (feature_distance(mobilenet(smooth + noise * strength), wanted) for strength in (0.02, 0.2))
    assert near < far


def test_bf16_and_channels_last_give_about_the_same(features: PerceptualFeatures) -> None:
    faces = images(side=32)
    with torch.inference_mode():
        wanted = features(faces)
        with torch.autocast("cpu", torch.bfloat16):
            found = features(faces.to(memory_format=torch.channels_last))
    for one, other in zip(found, wanted, strict=True):
        assert (one.float() - other).norm() <= 0.05 * other.norm()


def test_embedded_weights_say_where_they_come_from() -> None:
    with safe_open(perceptual.WEIGHTS, "pt") as file:
        metadata = file.metadata()
    assert metadata["source_sha256"].startswith("b0353104")
    assert "BSD-3-Clause" in metadata["licence"]


def save_without_last(path: Path) -> None:
    save_file({"features.0.weight": torch.zeros(64, 3, 3, 3)}, path)


def save_other_shape(path: Path) -> None:
    save_file({"features.0.weight": torch.zeros(8, 3, 3, 3), "features.34.weight": torch.zeros(1)}, path)


@pytest.mark.parametrize(
    ("write", "message"),
    [
        (save_without_last, r"has no features\.34\.weight; give torchvision's"),
        (save_other_shape, "another network than torchvision's vgg19"),
        (lambda _: None, "does not exist"),
    ],
)
def test_file_that_is_no_vgg19_is_refused(tmp_path: Path, write: Callable[[Path], None], message: str) -> None:
    path = tmp_path / "weights.safetensors"
    write(path)
    with pytest.raises(ModelError, match=message):
        VGG19Features(path)
