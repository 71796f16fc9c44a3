"""Colours of irises, mouth and cheeks: which region answers, by how much, and what does not count."""

import cv2
import numpy as np
import pytest
import torch
from skimage.color import rgb2lab
from torch import Tensor

from vidrestore.evaluation.metrics.chroma import ChromaErrors, chroma_errors
from vidrestore.faces.alignment import TEMPLATE
from vidrestore.types import Float32

SIDE = 256
POINTS: Float32 = (TEMPLATE * SIDE - 0.5).astype(np.float32)
SKIN, BROWN, BLUE = (200, 150, 130), (90, 60, 40), (70, 90, 140)


def face(iris: tuple[int, int, int] = BROWN, skin: tuple[int, int, int] = SKIN) -> Tensor:
    """uint8 [1, 3, 256, 256]: plain skin with two irises."""
    picture = np.full((SIDE, SIDE, 3), skin, np.uint8)
    for x, y in np.round(POINTS[:2]).astype(int):
        cv2.circle(picture, (int(x), int(y)), 12, iris, -1)
    return torch.from_numpy(picture).permute(2, 0, 1)[None]


def test_the_distance_is_that_of_cielab() -> None:
    found = chroma_errors(face(BLUE), face(BROWN), [POINTS])
    blue, brown = (rgb2lab(np.uint8([[colour]]))[0, 0, 1:] for colour in (BLUE, BROWN))
    assert found.irises == pytest.approx((float(np.linalg.norm(blue - brown)),), abs=0.05)
    assert found.mouths == pytest.approx((0,), abs=1e-4)
    assert found.cheeks == pytest.approx((0,), abs=1e-4)


def test_skin_answers_for_cheeks_and_not_for_irises() -> None:
    found = chroma_errors(face(skin=(200, 150, 100)), face(), [POINTS])
    assert found.cheeks[0] > 5
    assert found.irises[0] < 0.5


def test_fine_noise_of_colour_does_not_count() -> None:
    noise = torch.randint(-20, 21, (1, 3, SIDE, SIDE), generator=torch.Generator().manual_seed(0))
    noisy = (face().int() + noise).clamp(0, 255).to(torch.uint8)
    assert chroma_errors(noisy, face(), [POINTS]).cheeks[0] < 3


def test_faces_without_landmarks_are_left_out_and_batches_add_up() -> None:
    two = torch.cat((face(BLUE), face()))
    found = chroma_errors(two, torch.cat((face(), face())), [None, POINTS])
    assert len(found.irises) == len(found.mouths) == len(found.cheeks) == 1
    assert found.irises[0] == pytest.approx(0, abs=1e-4)
    assert chroma_errors(two, two, [None, None]) == ChromaErrors()
    assert len((found + found).irises) == 2
