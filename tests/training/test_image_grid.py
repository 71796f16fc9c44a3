"""Grids of faces."""

import numpy as np
import torch

from vidrestore.training.loop.image_grid import tiled, to_levels


def test_levels_span_black_to_white_and_clip() -> None:
    row = torch.tensor([-1.0, 0.0, 1.0, 1.5, -3.0]).expand(1, 3, 1, 5)
    levels = to_levels(row)
    assert levels.dtype == np.uint8
    assert levels.shape == (1, 1, 5, 3)
    assert levels[0, 0, :, 0].tolist() == [0, 128, 255, 255, 0]


def test_every_level_survives_the_way_to_minus_one_and_one_and_back() -> None:
    levels = torch.arange(256, dtype=torch.uint8).reshape(1, 1, 1, 256).expand(1, 3, 1, 256)
    assert (to_levels(levels.float() / 127.5 - 1)[0, 0, :, 1] == np.arange(256)).all()


def test_pictures_are_laid_row_by_row_and_the_rest_is_black() -> None:
    pictures = np.stack([np.full((2, 3, 3), 10 * (index + 1), np.uint8) for index in range(5)])
    grid = tiled(pictures, columns=2)
    assert grid.shape == (6, 6, 3)
    assert grid[::2, ::3, 0].tolist() == [[10, 20], [30, 40], [50, 0]]
    assert (grid[4:, 3:] == 0).all()
