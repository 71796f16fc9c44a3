"""Identity embeddings: the crop, the networks and what files are refused."""

import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F  # noqa: N812
from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from vidrestore.errors import ModelError
from vidrestore.faces.alignment import TEMPLATE
from vidrestore.models import identity, mobileface
from vidrestore.models.arcface import GreyResNet18
from vidrestore.models.identity import (
    ARCFACE_TEMPLATE,
    OUR_TEMPLATE,
    ArcFaceCrop,
    IdentityEmbedding,
    TorchScriptEmbedding,
    WholeCrop,
    load_arcface,
    load_identity,
)
from vidrestore.models.torchvision_ops import ensure_torchvision_imports


class Means(nn.Module):
    """A stand-in for a recognition network: the mean colours of each half."""

    def forward(self, faces: Tensor) -> Tensor:
        """[B, 3, 112, 112] -> [B, 6]."""
        assert faces.shape[2:] == (112, 112)
        return F.adaptive_avg_pool2d(faces, (1, 2)).flatten(1)


def script(module: nn.Module, path: Path) -> Path:
    jit: Any = torch.jit
    with warnings.catch_warnings(action="ignore"):  # newer torch would have the module exported another way
        jit.trace(module, torch.rand(2, 3, 112, 112)).save(str(path))
    return path


@pytest.fixture(scope="module")
def embedding() -> IdentityEmbedding:
    return load_identity()


def picture(side: int) -> Tensor:
    """[1, 3, side, side]: smooth waves over the unit square, the same at every size."""
    unit = (torch.arange(side) + 0.5) / side
    x, y = unit[None, :], unit[:, None]
    waves = [torch.sin(7 * x + 3 * y + phase) * torch.cos(9 * y - 2 * x) for phase in (0, 1, 2)]
    return torch.stack(waves)[None]


def test_template_is_the_one_that_faces_are_aligned_to() -> None:
    points, side = OUR_TEMPLATE
    unit = (np.array([[point.real, point.imag] for point in points]) + 0.5) / side
    np.testing.assert_allclose(unit, TEMPLATE, atol=1e-12)


@pytest.mark.parametrize("side", [256, 512])
def test_crop_brings_landmarks_to_the_networks_template(side: int) -> None:
    y, x = torch.meshgrid(torch.arange(side) + 0.5, torch.arange(side) + 0.5, indexing="ij")
    crop = ArcFaceCrop()(torch.stack((x, y, x))[None] / side)[0]  # each pixel tells its place in the unit square
    for place, point in zip(TEMPLATE, ARCFACE_TEMPLATE[0], strict=True):
        found = crop[:2, round(point.imag), round(point.real)].numpy()
        assert np.abs(found - place).max() < 0.03  # the templates differ in their proportions


def test_crop_averages_what_each_pixel_covers() -> None:
    board = torch.ones(1, 3, 512, 512)
    board[..., ::2] = -1
    assert ArcFaceCrop()(board).abs().max() < 0.35


def test_crop_of_a_picture_does_not_depend_on_its_size() -> None:
    wanted = ArcFaceCrop()(picture(512))
    assert wanted.shape == (1, 3, 112, 112)
    torch.testing.assert_close(ArcFaceCrop()(picture(256)), wanted, rtol=0, atol=2e-3)
    torch.testing.assert_close(WholeCrop(128)(picture(256)), WholeCrop(128)(picture(512)), rtol=0, atol=2e-3)


def test_mobileface_gives_the_embedding_that_it_gave(embedding: IdentityEmbedding) -> None:
    with torch.inference_mode():
        found = embedding(picture(256))
    assert found.shape == (1, 256)
    assert found.norm().item() == pytest.approx(1)
    assert found[0, :5].tolist() == pytest.approx(FIRST_VALUES, abs=1e-4)


FIRST_VALUES = [0.00156, 0.10055, -0.08829, -0.03203, -0.02715]
"""Measured once, with the network that agreed with the tfjs graph, run by numpy, to 6e-7 before its rounding."""


def test_embedding_is_of_a_face_and_not_of_its_batch(embedding: IdentityEmbedding) -> None:
    faces = torch.cat((picture(256), picture(256).flip(3), -picture(256)))
    with torch.inference_mode():
        together = embedding(faces)
        alone = torch.cat([embedding(face[None]) for face in faces])
    torch.testing.assert_close(together, alone, rtol=0, atol=1e-5)


def test_same_face_is_closer_than_strangers(embedding: IdentityEmbedding, shared: Path) -> None:
    cv2 = pytest.importorskip("cv2")
    paths = sorted((shared / "faces").glob("*.jpg"))[::200][:8]
    pictures = np.stack([cv2.imread(str(path))[..., ::-1] for path in paths])
    faces = torch.from_numpy(pictures).permute(0, 3, 1, 2).float() / 127.5 - 1
    small = F.interpolate(F.interpolate(faces, scale_factor=0.25, mode="area"), scale_factor=4.0, mode="bilinear")
    with torch.inference_mode():
        known, flipped, coarse = (embedding(batch) for batch in (faces, faces.flip(3), small))
    strangers = (known @ known.T)[~torch.eye(len(paths), dtype=torch.bool)]
    assert (known * flipped).sum(1).mean() > 0.85
    assert (known * coarse).sum(1).mean() > 0.85
    assert strangers.mean() < 0.25


def test_gradient_reaches_the_faces_and_not_the_network(embedding: IdentityEmbedding) -> None:
    faces = picture(128).requires_grad_()
    embedding(faces)[0, 0].backward()
    assert faces.grad is not None
    assert faces.grad.any()
    assert not any(parameter.requires_grad for parameter in embedding.parameters())


def test_network_stays_in_evaluation_mode(embedding: IdentityEmbedding) -> None:
    nn.ModuleList([embedding]).train()
    assert not any(module.training for module in embedding.modules())


def test_bf16_gives_about_the_same_in_float32(embedding: IdentityEmbedding) -> None:
    with torch.inference_mode():
        wanted = embedding(picture(256))
        with torch.autocast("cpu", torch.bfloat16):
            found = embedding(picture(256))
    assert found.dtype == torch.float32
    assert (found * wanted).sum() > 0.995


def test_embedded_weights_say_where_they_come_from() -> None:
    with safe_open(mobileface.WEIGHTS, "pt") as file:
        metadata = file.metadata()
    assert "human-models 3.0.4" in metadata["source"]
    assert metadata["licence"].startswith("MIT")


def test_grey_network_loads_from_a_file_of_a_parallel_run(tmp_path: Path) -> None:
    torch.manual_seed(1)
    network = GreyResNet18().eval()
    state = {f"module.{name}": tensor for name, tensor in network.state_dict().items()}
    torch.save(state, tmp_path / "arcface_resnet18.pth")
    loaded = load_identity(tmp_path / "arcface_resnet18.pth")
    with torch.inference_mode():
        found = loaded(picture(256))
        wanted = F.normalize(network(F.interpolate(picture(256), (128, 128), mode="area")), dim=1)
        tint = torch.tensor([0.114, 0.0, -0.2989])[:, None, None] / 10  # of equal luma
        tinted = loaded(picture(256) + tint)
    assert found.shape == (1, 512)
    assert (found * wanted).sum() > 0.99
    torch.testing.assert_close(tinted, found, rtol=0, atol=1e-4)


def test_grey_network_has_the_published_names() -> None:
    with torch.device("meta"):
        shapes = {name: tuple(tensor.shape) for name, tensor in GreyResNet18().state_dict().items()}
    assert shapes["conv1.weight"] == (64, 1, 3, 3)
    assert shapes["layer1.1.prelu.weight"] == (1,)
    assert shapes["layer2.0.conv1.weight"] == (64, 64, 3, 3)
    assert shapes["layer4.0.downsample.1.running_var"] == (512,)
    assert shapes["fc5.weight"] == (512, 32768)
    assert shapes["bn5.weight"] == (512,)
    assert "layer1.0.downsample.0.weight" not in shapes


def test_ir_se_50_loads_from_a_file(tmp_path: Path) -> None:
    ensure_torchvision_imports()
    from facexlib.recognition.arcface_arch import Backbone  # noqa: PLC0415  torchvision must be mended first

    with torch.device("meta"):
        network = Backbone(50, 0.6, "ir_se").eval()
    network.to_empty(device="cpu")
    generator = torch.Generator().manual_seed(1)
    for tensor in network.state_dict().values():
        noise = torch.rand(tensor.shape, generator=generator)
        tensor.copy_((2 * noise - 1) * (3 / tensor[0].numel()) ** 0.5 if tensor.ndim > 1 else 0.5 + noise)
    save_file({name: tensor.clone() for name, tensor in network.state_dict().items()}, tmp_path / "ir.safetensors")
    loaded = load_arcface(tmp_path / "ir.safetensors")
    with torch.inference_mode():
        torch.testing.assert_close(loaded(picture(256)), network(ArcFaceCrop()(picture(256))))


def test_torchscript_network_gets_the_crop(tmp_path: Path) -> None:
    loaded = load_identity(script(Means(), tmp_path / "means.pt"))
    assert isinstance(loaded, TorchScriptEmbedding)
    torch.testing.assert_close(loaded(picture(256)), F.normalize(Means()(ArcFaceCrop()(picture(256))), dim=1))


def test_torchscript_network_that_gives_no_vectors_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"maps \[2, 3, 112, 112\] to \(2, 3, 112, 112\); wanted"):
        load_identity(script(nn.ReLU(), tmp_path / "relu.ts"))


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("mobilefacenet", None, "unknown identity network 'mobilefacenet'; give 'mobileface'"),
        ("missing.pth", None, "does not exist"),
        ("missing.pt", None, "does not exist"),
        ("broken.pt", b"no archive", "cannot run .* as TorchScript"),
        ("broken.pth", b"no archive", "cannot read weights"),
    ],
)
def test_what_is_no_network_is_refused(tmp_path: Path, name: str, content: bytes | None, message: str) -> None:
    path = tmp_path / name
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(ModelError, match=message):
        load_identity(path if path.suffix else name)


@pytest.mark.parametrize(
    ("state", "message"),
    [
        ({"weight": torch.zeros(1)}, "of neither facexlib's IR-SE 50 nor"),
        ({"fc5.weight": torch.zeros(1), "layer1.0.bn0.weight": torch.zeros(1)}, "is not the ArcFace network"),
    ],
)
def test_checkpoint_of_another_network_is_refused(tmp_path: Path, state: dict[str, Tensor], message: str) -> None:
    save_file(state, tmp_path / "other.safetensors")
    with pytest.raises(ModelError, match=message):
        identity.load_arcface(tmp_path / "other.safetensors")
