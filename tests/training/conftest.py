"""A dozen small faces, a tiny network and quick judges: what every test of a trainer needs."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch
from torch import Tensor, nn

from vidrestore.degradation.image.model import DegradationConfig
from vidrestore.faces.landmark_table import FaceLandmarks, write_landmarks
from vidrestore.models.gfpgan import GFPGANConfig
from vidrestore.models.identity import IdentityEmbedding, WholeCrop
from vidrestore.models.perceptual import PerceptualFeatures
from vidrestore.training.data.dataset import FaceBatches, FaceFolder, open_face_folder
from vidrestore.training.gan.augmentation import AugmentationConfig
from vidrestore.training.gan.prior import PriorConfig, PriorTrainer
from vidrestore.training.gan.trainer import RestorerConfig, RestorerTrainer
from vidrestore.training.gan.validation import LossModels
from vidrestore.training.loop.distributed import DistributedContext

SIZE = 64
FACES = 12


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """Tiny tensors gain nothing from threads, and sums come out the same on every machine."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="session")
def machine() -> DistributedContext:
    return DistributedContext(torch.device("cpu"), precision="fp32", compile=False)


def draw_face(index: int) -> np.ndarray:
    """Skin, two eyes and a mouth, each face in other places and colours; uint8 [64, 64, 3] BGR."""
    rng = np.random.default_rng(index)
    face = np.full((SIZE, SIZE, 3), rng.integers(0, 60, 3), np.uint8)
    cv2.ellipse(face, (32, 34), (24, 29), 0, 0, 360, tuple(map(int, rng.integers(120, 220, 3))), -1)
    for x in (24, 40):
        cv2.circle(face, (x, 30 + index % 3), 4, tuple(map(int, rng.integers(0, 100, 3))), -1)
    cv2.ellipse(face, (32, 47), (7, 2 + index % 4), 0, 0, 360, (60, 40, int(rng.integers(120, 255))), -1)
    return face


@pytest.fixture(scope="session")
def face_pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder: 64 px PNG files with a table of landmarks."""
    folder = tmp_path_factory.mktemp("faces")
    points = np.float32([[24, 31], [40, 31], [32, 39], [26, 47], [38, 47]])
    table = {}
    for index in range(FACES):
        assert cv2.imwrite(str(folder / f"face{index:02}.png"), draw_face(index))
        table[f"face{index:02}.png"] = FaceLandmarks(points + np.float32([0, index % 3]), 0.9)
    write_landmarks(folder / "landmarks.csv", table)
    return folder


@pytest.fixture(scope="session")
def faces(face_pictures: Path) -> FaceFolder:
    return open_face_folder(face_pictures, size=SIZE, held_out_share=0)


@pytest.fixture(scope="session")
def batches(faces: FaceFolder) -> FaceBatches:
    """Four faces a step."""
    return FaceBatches(faces, batch=4, seed=0, device="cpu")


class _SmallIdentity(nn.Module):
    """Eight by eight colours through one matrix: a recognition network in name only, but differentiable and fixed."""

    def __init__(self) -> None:
        super().__init__()
        self.project = nn.Linear(3 * 8 * 8, 16)

    def forward(self, crops: Tensor) -> Tensor:
        embedding: Tensor = self.project(crops.flatten(1))
        return embedding


@pytest.fixture
def judges() -> LossModels:
    """Stand-ins of the real classes with random weights: two feature maps, and an embedding of 16 numbers."""
    torch.manual_seed(5)
    convolutions = nn.Sequential(nn.Conv2d(3, 8, 3, stride=2, padding=1), nn.Conv2d(8, 8, 3, stride=2, padding=1))
    perceptual = PerceptualFeatures(convolutions, layers=(0, 1), scales=(1.0, 1.0), weights=(1.0, 1.0))
    return LossModels(perceptual, IdentityEmbedding(_SmallIdentity(), WholeCrop(8)))


LAZY_PRIOR: dict[str, Any] = {
    "r1_every_steps": 3,
    "path_every_steps": 2,
    "samples_for_distance": 8,
    "augmentation": AugmentationConfig(initial=0.3, images_to_full=100, interval_steps=3),
}
LAZY_RESTORER: dict[str, Any] = {
    "r1_every_steps": 3,
    "augmentation": AugmentationConfig(initial=0.3, images_to_full=100, interval_steps=3),
    "degradation": DegradationConfig(blur_sigma_pixels=(0.5, 2), noise_sigma_grey_levels=(0, 10)),
}
"""Everything that happens now and then happens within a few steps."""


@pytest.fixture
def make_prior(tiny: GFPGANConfig, batches: FaceBatches, machine: DistributedContext) -> Callable[..., PriorTrainer]:
    def build(**options: Any) -> PriorTrainer:
        return PriorTrainer(tiny, PriorConfig(**(LAZY_PRIOR | options)), batches, machine)

    return build


@pytest.fixture
def make_restorer(
    tiny: GFPGANConfig, batches: FaceBatches, judges: LossModels, machine: DistributedContext
) -> Callable[..., RestorerTrainer]:
    def build(
        *, held_out: FaceBatches | None = batches, faces: FaceBatches = batches, **options: Any
    ) -> RestorerTrainer:
        config = RestorerConfig(**(LAZY_RESTORER | options))
        return RestorerTrainer(tiny, config, faces, judges, machine, held_out=held_out)

    return build


def unequal(state: Any, other: Any, name: str = "state") -> list[str]:
    """Places where two nested states differ by a bit."""
    if isinstance(state, Tensor):
        return [] if torch.equal(state, other) else [name]
    if isinstance(state, dict):
        if state.keys() != other.keys():
            return [f"{name}: {state.keys() ^ other.keys()}"]
        return [place for key in state for place in unequal(state[key], other[key], f"{name}.{key}")]
    if isinstance(state, list | tuple):
        pairs = enumerate(zip(state, other, strict=True))
        return [place for index, pair in pairs for place in unequal(*pair, f"{name}.{index}")]
    return [] if state == other else [name]


@pytest.fixture(scope="session")
def differences() -> Callable[[Any, Any], list[str]]:
    """Name the places where two nested states differ by a bit."""
    return unequal
