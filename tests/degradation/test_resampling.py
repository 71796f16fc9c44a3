import cv2
import numpy as np
import pytest
import torch
from torch import Tensor

from vidrestore.degradation.image.resampling import (
    Mode,
    downscale,
    downscale_matrix,
    repeat_edges,
    small_side,
    upscale,
    upscale_matrix,
)
from vidrestore.errors import ConfigError

OPENCV = {"bilinear": cv2.INTER_LINEAR, "bicubic": cv2.INTER_CUBIC, "area": cv2.INTER_AREA}
RATIOS = [1.0, 1.25, 2.0, 2.7, 3.0, 4.5, 8.0, 16.0]
FIRST = torch.zeros(len(RATIOS), dtype=torch.long)


def noise(batch: int = 8, height: int = 96, width: int = 128) -> Tensor:
    return torch.rand(batch, 3, height, width, generator=torch.Generator().manual_seed(0))


def resized(image: Tensor, height: int, width: int, mode: Mode) -> Tensor:
    """float32 [3, H, W] -> [3, height, width] by OpenCV."""
    picture = np.ascontiguousarray(image.permute(1, 2, 0).numpy())
    return torch.from_numpy(cv2.resize(picture, (width, height), interpolation=OPENCV[mode])).permute(2, 0, 1)


@pytest.mark.parametrize("mode", ["bilinear", "bicubic", "area"])
def test_shrinking_equals_opencv_in_the_corner_of_the_canvas(mode: Mode) -> None:
    images = noise()
    results = downscale(images, torch.tensor(RATIOS), modes=(mode,), mode_B=FIRST)
    for image, result, ratio in zip(images, results, RATIOS, strict=True):
        height, width = round(96 / ratio), round(128 / ratio)
        expected = resized(image, height, width, mode)
        torch.testing.assert_close(result[:, :height, :width], expected, atol=2e-5, rtol=0)


@pytest.mark.parametrize("mode", ["bilinear", "bicubic", "area"])
def test_last_row_and_column_are_repeated_beyond_the_small_image(mode: Mode) -> None:
    (result,) = downscale(noise(1), torch.tensor([3.0]), modes=(mode,), mode_B=FIRST[:1])
    torch.testing.assert_close(result[:, 32:], result[:, 31:32].expand(-1, 64, -1), atol=1e-6, rtol=0)
    torch.testing.assert_close(result[:, :, 43:], result[:, :, 42:43].expand(-1, -1, 85), atol=1e-6, rtol=0)


@pytest.mark.parametrize("mode", ["bilinear", "bicubic"])
def test_enlarging_equals_opencv_and_reads_only_the_small_image(mode: Mode) -> None:
    canvas = noise()
    results = upscale(canvas, torch.tensor(RATIOS), modes=(mode,), mode_B=FIRST)
    for image, result, ratio in zip(canvas, results, RATIOS, strict=True):
        small = image[:, : round(96 / ratio), : round(128 / ratio)]
        torch.testing.assert_close(result, resized(small, 96, 128, mode), atol=2e-5, rtol=0)


def test_every_sample_has_its_own_mode() -> None:
    images = noise(3)
    ratios, modes = torch.tensor([2.5, 2.5, 4.0]), ("bilinear", "bicubic", "area")
    mixed = downscale(images, ratios, modes=modes, mode_B=torch.tensor([2, 0, 1]))
    for index, mode in enumerate(("area", "bilinear", "bicubic")):
        alone = downscale(images[index : index + 1], ratios[index : index + 1], modes=(mode,), mode_B=FIRST[:1])
        torch.testing.assert_close(mixed[index : index + 1], alone, atol=1e-6, rtol=0)


@pytest.mark.parametrize("mode", ["bilinear", "bicubic"])
def test_ratio_one_is_exact(mode: Mode) -> None:
    images = noise(2)
    ones = torch.ones(2)
    assert torch.equal(downscale(images, ones, modes=(mode,), mode_B=FIRST[:2]), images)
    assert torch.equal(upscale(images, ones, modes=(mode,), mode_B=FIRST[:2]), images)
    assert torch.equal(repeat_edges(images, ones), images)


@pytest.mark.parametrize("mode", ["bilinear", "bicubic", "area"])
def test_rows_of_every_matrix_sum_to_one(mode: Mode) -> None:
    small = small_side(96, torch.tensor(RATIOS))
    matrices = [downscale_matrix(96, small, mode)]
    if mode != "area":
        matrices.append(upscale_matrix(96, small, mode))
    for matrix in matrices:
        torch.testing.assert_close(matrix.sum(dim=2), torch.ones(len(RATIOS), 96), atol=2e-5, rtol=0)


def test_halving_by_hand() -> None:
    image = torch.tensor([[0.0, 1.0, 4.0, 9.0]]).expand(1, 1, 4, 4)
    (result,) = downscale(image, torch.tensor([2.0]), modes=("bilinear",), mode_B=FIRST[:1])
    assert result[0, 0].tolist() == [0.5, 6.5, 6.5, 6.5]
    (back,) = upscale(result[None], torch.tensor([2.0]), modes=("bilinear",), mode_B=FIRST[:1])
    assert back[0, 0].tolist() == [0.5, 2.0, 5.0, 6.5]


def test_small_side_is_rounded_and_never_none() -> None:
    assert small_side(256, torch.tensor([1.0, 3.0, 8.0])).tolist() == [256, 85, 32]
    assert small_side(4, torch.tensor([16.0])).tolist() == [1]


def test_repeated_edges_are_those_of_the_small_image() -> None:
    canvas = noise(2)
    result = repeat_edges(canvas, torch.tensor([2.0, 4.0]))
    assert torch.equal(result[1, :, :24, :32], canvas[1, :, :24, :32])
    assert torch.equal(result[1, :, 24:, :32], canvas[1, :, 23:24, :32].expand(-1, 72, -1))
    assert torch.equal(result[1, :, 60, 60], canvas[1, :, 23, 31])
    assert torch.equal(result[0, :, 60, 60], canvas[0, :, 47, 60])


def test_enlarging_by_area_is_refused() -> None:
    with pytest.raises(ConfigError, match="no meaning"):
        upscale_matrix(8, torch.tensor([4.0]), "area")
