"""Where a face is seen: the network's shape, the stage's promises, and the quality of the package's weights."""

from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from skimage.data import astronaut

from vidrestore.errors import ModelError, RestorationError
from vidrestore.faces.alignment import TEMPLATE
from vidrestore.models.visibility import MASK_SIDE, WEIGHTS, FaceVisibility, VisibilityNetwork, load_visibility
from vidrestore.restoration.face.compositor import face_mask
from vidrestore.types import UInt8

ASTRONAUT = np.float32([[200, 102], [247, 101], [226, 127], [207, 147], [247, 146]])
"""Landmarks in scikit-image's portrait, pixels (x, y)."""
ELLIPSE = face_mask(MASK_SIDE, 0.25) > 0


@pytest.fixture(scope="module")
def random_weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    torch.manual_seed(1)
    path = tmp_path_factory.mktemp("weights") / "random.safetensors"
    save_file({name: tensor.half() for name, tensor in VisibilityNetwork().state_dict().items()}, path)
    return path


@pytest.fixture(scope="module")
def stage() -> FaceVisibility:
    """With the package's weights."""
    assert WEIGHTS.is_file(), "the package lacks the weights that pipelines.train_visibility makes"
    return FaceVisibility("cpu")


@pytest.fixture(scope="module")
def portrait() -> UInt8:
    """The aligned face, 256 px."""
    target = (TEMPLATE * 256 - 0.5).astype(np.float32)
    matrix, _ = cv2.estimateAffinePartial2D(ASTRONAUT, target, method=cv2.LMEDS)
    return np.asarray(cv2.warpAffine(astronaut(), matrix, (256, 256), flags=cv2.INTER_CUBIC), np.uint8)


def crops(count: int, side: int = 96) -> list[UInt8]:
    random = np.random.default_rng(0)
    return list(random.integers(0, 256, (count, side, side, 3), dtype=np.uint8))


def overlap(found: np.ndarray, truth: np.ndarray) -> float:
    """Intersection over union within the ellipse."""
    found, truth = found & ELLIPSE, truth & ELLIPSE
    return float((found & truth).sum() / (found | truth).sum())


def half_size(mask: np.ndarray) -> np.ndarray:
    """A mask of 256 px at the size of the answers."""
    return cv2.resize(mask.astype(np.float32), (MASK_SIDE, MASK_SIDE), interpolation=cv2.INTER_AREA) > 0.5


def test_the_network_is_small_and_answers_at_half_the_size() -> None:
    network = VisibilityNetwork().eval()
    assert sum(parameter.numel() for parameter in network.parameters()) <= 600_000
    with torch.inference_mode():
        assert network(torch.zeros(2, 3, 128, 128)).shape == (2, 1, MASK_SIDE, MASK_SIDE)


def test_an_answer_depends_neither_on_grouping_nor_on_threads(random_weights: Path) -> None:
    stage, faces = FaceVisibility("cpu", weights=random_weights), crops(5)
    together = stage(faces)
    alone = [stage([face])[0] for face in faces]
    assert all(np.array_equal(one, other) for one, other in zip(together, alone, strict=True))
    before = torch.get_num_threads()
    try:
        for threads in (1, 3):
            torch.set_num_threads(threads)
            assert all(np.array_equal(one, other) for one, other in zip(stage(faces), together, strict=True))
            assert torch.get_num_threads() == threads
    finally:
        torch.set_num_threads(before)


def test_answers_are_arrays_of_their_own_for_crops_of_any_size(random_weights: Path) -> None:
    stage = FaceVisibility("cpu", weights=random_weights)
    given = [crops(1, side)[0] for side in (37, 128, 300)]
    seen = stage(given)
    assert [(mask.dtype, mask.shape) for mask in seen] == [(np.dtype(np.uint8), (MASK_SIDE, MASK_SIDE))] * 3
    assert stage([]) == []
    kept = seen[0].copy()
    seen[1][:] = 0
    stage(given)
    assert np.array_equal(seen[0], kept)


@pytest.mark.parametrize(
    "crop",
    [np.zeros((64, 64, 3), np.float32), np.zeros((64, 60, 3), np.uint8), np.zeros((64, 64), np.uint8)],
    ids=["float", "oblong", "grey"],
)
def test_a_crop_of_another_kind_is_refused(random_weights: Path, crop: np.ndarray) -> None:
    with pytest.raises(RestorationError, match=r"crop 1 is .*wanted uint8 \[S, S, 3\]"):
        FaceVisibility("cpu", weights=random_weights)([crops(1)[0], crop])


def test_weights_of_another_network_are_refused(tmp_path: Path) -> None:
    other = tmp_path / "other.safetensors"
    save_file({"weight": torch.zeros(3)}, other)
    with pytest.raises(ModelError, match=r"other\.safetensors holds another network .*train_visibility"):
        load_visibility(other)
    with pytest.raises(ModelError, match="does not exist"):
        load_visibility(tmp_path / "none.safetensors")


def test_a_free_face_is_seen_whole(stage: FaceVisibility, portrait: UInt8) -> None:
    mirrored = np.ascontiguousarray(portrait[:, ::-1])
    small = cv2.resize(cv2.resize(portrait, (48, 48), interpolation=cv2.INTER_AREA), (256, 256))
    dark = (portrait * 0.4).astype(np.uint8)
    for seen in stage([portrait, mirrored, np.asarray(small, np.uint8), dark]):
        assert (seen[ELLIPSE] > 127).mean() > 0.97


@pytest.mark.parametrize("turn", [0, 30, 90])
def test_a_grey_bar_across_the_face_is_not_the_face(stage: FaceVisibility, portrait: UInt8, turn: int) -> None:
    bar = cv2.boxPoints(((128, 150), (600, 40), turn)).astype(np.int32)
    covered = cv2.fillConvexPoly(portrait.copy(), bar, (128, 128, 128), cv2.LINE_AA)
    hidden = half_size(cv2.fillConvexPoly(np.zeros((256, 256), np.uint8), bar, 1))
    seen = stage([np.asarray(covered, np.uint8)])[0]
    assert overlap(seen < 128, hidden) > 0.7


def test_a_shadow_is_not_taken_for_a_thing(stage: FaceVisibility, portrait: UInt8) -> None:
    shade = np.ones((256, 256, 1), np.float32)
    shade[:, 140:] = 0.45
    shade = cv2.GaussianBlur(shade, (0, 0), 6)[..., None]
    seen = stage([(portrait * shade).astype(np.uint8)])[0]
    assert (seen[ELLIPSE] > 127).mean() > 0.95
