"""Faces small enough to train on in a test."""

from pathlib import Path

import cv2
import numpy as np
import pytest


@pytest.fixture
def faces(tmp_path: Path) -> Path:
    """Ten coloured squares of 64 px."""
    folder = tmp_path / "faces"
    folder.mkdir()
    random = np.random.default_rng(0)
    for number in range(10):
        small = random.integers(0, 256, (8, 8, 3), dtype=np.uint8)
        cv2.imwrite(str(folder / f"face{number}.png"), cv2.resize(small, (64, 64), interpolation=cv2.INTER_CUBIC))
    return folder
