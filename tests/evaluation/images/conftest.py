"""Synthetic faces on disk, judges that cost nothing, and contenders of one line."""

from collections.abc import Callable, Sequence
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from torch import Tensor

from vidrestore.evaluation.images.candidates import Candidate
from vidrestore.evaluation.images.metric_models import MetricModels
from vidrestore.faces.alignment import TEMPLATE
from vidrestore.models.checkpoint import save_safetensors
from vidrestore.models.gfpgan import GFPGAN, GFPGANConfig
from vidrestore.types import Detection, UInt8


def drawn_face(number: int, side: int) -> UInt8:
    """A disc with eyes and a mouth, coloured by its number; uint8 [side, side, 3] RGB."""
    generator = np.random.default_rng(number)
    skin, ground = generator.integers(120, 230, 3), generator.integers(0, 120, 3)
    picture = np.tile(ground.astype(np.uint8), (side, side, 1))
    cv2.circle(picture, (side // 2, side // 2), round(0.4 * side), skin.tolist(), -1, cv2.LINE_AA)
    for x, y in np.round(TEMPLATE * side).astype(int):
        cv2.circle(picture, (int(x), int(y)), max(2, side // 20), (30, 20, 20), -1, cv2.LINE_AA)
    texture = generator.integers(-12, 13, (side, side, 1))
    return np.clip(picture + texture, 0, 255).astype(np.uint8)


@pytest.fixture
def make_faces(tmp_path: Path) -> Callable[..., Path]:
    """Write so many faces as PNG, and give their folder."""

    def build(count: int, *, side: int = 32) -> Path:
        folder = tmp_path / "faces"
        folder.mkdir()
        for number in range(count):
            assert cv2.imwrite(str(folder / f"face-{number:03}.png"), drawn_face(number, side)[..., ::-1])
        return folder

    return build


def detect_any(images: Sequence[UInt8]) -> list[tuple[Detection, ...]]:
    """Finds the template's face in every picture that is not plain."""
    box = np.zeros(4, np.float32)
    return [
        (Detection((TEMPLATE * len(image) - 0.5).astype(np.float32), box, 0.9),) if image.std() > 0 else ()
        for image in images
    ]


@pytest.fixture
def judges() -> MetricModels:
    """Means as features, pixels as identity."""
    return MetricModels(
        describe=lambda images: (images.mean(dim=(2, 3), keepdim=True),),
        embed=lambda images: images.flatten(1) + 2,
        detect=detect_any,
        device=torch.device("cpu"),
    )


@pytest.fixture
def candidate() -> Callable[..., Candidate]:
    """Build one of a function on uint8 images."""

    def build(name: str, restore: Callable[[Tensor], Tensor] = lambda images: images, **options: object) -> Candidate:
        return Candidate(name, f"test of {name}", restore, **options)

    return build


@pytest.fixture(scope="session")
def tiny_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A GFP-GAN of 256 px, random and as small as they come, on disk."""
    torch.manual_seed(3)
    network = GFPGAN(GFPGANConfig(out_size=256, num_style_feat=16, channel_multiplier=1, num_mlp=1, narrow=1 / 16))
    path = tmp_path_factory.mktemp("models") / "tiny.safetensors"
    save_safetensors(network.state_dict(), path, {})
    return path
