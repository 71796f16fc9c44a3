import cv2
import numpy as np
import pytest
import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor

from vidrestore.degradation.image.jpeg import CHROMA_TABLE, LUMA_TABLE, compress, quantisation_steps, transform_matrix

QUALITIES = [10, 30, 60, 75, 90, 95]


def natural(batch: int = 3, side: int = 128, seed: int = 0) -> Tensor:
    """uint8 [B, 3, side, side] RGB: octaves of noise whose amplitude falls with frequency, as in photographs."""
    generator = torch.Generator().manual_seed(seed)
    images = torch.zeros(batch, 3, side, side)
    for octave in range(2, 8):
        grid = torch.randn(batch, 3, 2**octave, 2**octave, generator=generator)
        grid = 0.3 * grid + grid.mean(dim=1, keepdim=True)  # colours of a photograph go together
        images += F.interpolate(grid, size=(side, side), mode="bicubic", align_corners=False) * 0.5**octave
    return (0.5 + images / 1.5).clamp(0, 1).mul(255).round().byte()


def libjpeg(image: Tensor, quality: int) -> Tensor:
    """uint8 [3, H, W] RGB -> the same after OpenCV's encoder and decoder."""
    picture = cv2.cvtColor(image.permute(1, 2, 0).numpy(), cv2.COLOR_RGB2BGR)
    done, coded = cv2.imencode(".jpg", picture, [cv2.IMWRITE_JPEG_QUALITY, quality])
    assert done
    return torch.from_numpy(cv2.cvtColor(cv2.imdecode(coded, cv2.IMREAD_COLOR), cv2.COLOR_BGR2RGB)).permute(2, 0, 1)


def simulate(images: Tensor, quality: int) -> Tensor:
    levels = compress(images.float() / 255, torch.full((len(images),), float(quality))) * 255
    torch.testing.assert_close(levels, levels.round(), atol=1e-3, rtol=0)
    return levels.round().byte()


def psnr(images: Tensor, others: Tensor) -> float:
    return float(10 * torch.log10(255**2 / (images.float() - others.float()).square().mean().clamp(min=1e-3)))


@pytest.mark.parametrize("quality", QUALITIES)
def test_result_is_libjpegs(quality: int) -> None:
    images = natural()
    simulated = simulate(images, quality)
    decoded = torch.stack([libjpeg(image, quality) for image in images])
    assert abs(psnr(images, simulated) - psnr(images, decoded)) < 0.2
    assert psnr(simulated, decoded) > 44


@pytest.mark.parametrize("quality", QUALITIES)
def test_small_image_in_the_corner_is_coded_as_if_alone(quality: int) -> None:
    height, width = 43, 70
    small = natural(batch=1)[:, :, :height, :width]
    canvas = F.pad(small.float(), (0, 128 - width, 0, 128 - height), mode="replicate").byte()
    assert psnr(simulate(canvas, quality)[0, :, :height, :width], libjpeg(small[0], quality)) > 42


def test_every_sample_has_its_own_quality() -> None:
    images = natural(batch=3).float() / 255
    qualities = torch.tensor([10.0, 50.0, 100.0])
    together = compress(images, qualities)
    for index in range(3):
        alone = compress(images[index : index + 1], qualities[index : index + 1])
        torch.testing.assert_close(together[index : index + 1], alone, atol=1e-6, rtol=0)
    errors = (together - images).square().mean(dim=(1, 2, 3))
    assert errors[0] > errors[1] > errors[2]


def test_tables_are_scaled_as_libjpeg_scales_them() -> None:
    luma = quantisation_steps(LUMA_TABLE, torch.tensor([1.0, 25.0, 50.0, 75.0, 100.0]))
    assert luma[:, 0].tolist() == [255, 32, 16, 8, 1]
    assert luma[2].tolist() == list(LUMA_TABLE)
    assert luma[1, 1] == 22
    assert luma[3, 1] == 6  # (11 * 50 + 50) / 100, rounded down
    assert (luma[4] == 1).all()
    assert quantisation_steps(CHROMA_TABLE, torch.tensor([50.0]))[0].tolist() == list(CHROMA_TABLE)


def test_transform_is_the_dct_and_orthonormal() -> None:
    transform = transform_matrix(torch.device("cpu"))
    torch.testing.assert_close(transform @ transform.T, torch.eye(64), atol=1e-6, rtol=0)
    block = np.random.default_rng(0).normal(size=(8, 8)).astype(np.float32)
    expected = cv2.dct(block)
    np.testing.assert_allclose((transform @ torch.from_numpy(block).flatten()).view(8, 8), expected, atol=1e-5)


@pytest.mark.parametrize("quality", [10, 100])
@pytest.mark.parametrize("level", [0, 128, 255])
def test_flat_grey_survives(level: int, quality: int) -> None:
    images = torch.full((1, 3, 32, 32), level, dtype=torch.uint8)
    assert (simulate(images, quality).int() - level).abs().max() <= 4
    assert torch.equal(simulate(images, 100), images)


def test_values_beyond_the_range_are_clipped() -> None:
    images = torch.tensor([-0.5, 1.5]).repeat_interleave(8).expand(1, 3, 16, 16)
    result = compress(images, torch.tensor([100.0]))
    assert result.min() == 0
    assert result.max() == 1


def test_canvas_of_another_multiple_is_refused() -> None:
    with pytest.raises(AssertionError, match="divide by 16"):
        compress(torch.zeros(1, 3, 24, 32), torch.tensor([75.0]))
