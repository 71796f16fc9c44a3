"""Restored faces against the truth, pixel by pixel: PSNR, SSIM and sharpness.

Images are [B, 3, H, W] RGB, either floating point in [0, 1] or uint8 in [0, 255]; both give the same numbers, since
all is computed in float64 with white at 1. Every function is pure, gives one value an image, float64 [B] on the
device of the images, and works without gradients.
"""

from typing import Final

import torch
import torch.nn.functional as F  # noqa: N812  the name that every reader of network code expects
from torch import Tensor

from vidrestore.errors import RestorationError

PSNR_CEILING_DECIBELS: Final = 100.0
"""PSNR that identical images count with in a mean: one level off in one sample of a 256 px face is 101 dB."""

_SSIM_SIGMA: Final = 1.5
_SSIM_RADIUS: Final = 5
"""Radius of the window in pixels: 11 x 11, as in Wang et al. 2004."""
_SSIM_LUMINANCE, _SSIM_CONTRAST = 0.01**2, 0.03**2
_LUMA: Final = (0.299, 0.587, 0.114)
"""ITU-R BT.601, on R'G'B'."""
_INNER: Final = (0.25, 0.35, 0.75, 0.85)
"""Left, top, right, bottom of the inner face (brows to chin) as fractions of an aligned square."""
_FAINTEST: Final = 1e-6
"""Below this energy (a thousandth of white) a picture is flat, and its ratio of sharpness would be noise."""


def psnr(restored: Tensor, truth: Tensor) -> Tensor:
    """Return the peak signal to noise ratio in dB, float64 [B]; infinite where the images are identical.

    The mean over several images is `mean_psnr`, which caps what is infinite.
    """
    restored_BCHW, truth_BCHW = _pair(restored, truth)
    return -10 * torch.log10((restored_BCHW - truth_BCHW).square().mean(dim=(1, 2, 3)))


def mean_psnr(decibels: Tensor) -> float:
    """Return the mean in dB of values of `psnr` [n], each capped at `PSNR_CEILING_DECIBELS`."""
    return float(decibels.clamp(max=PSNR_CEILING_DECIBELS).mean())


def ssim(restored: Tensor, truth: Tensor) -> Tensor:
    """Return the structural similarity, float64 [B] in [-1, 1]: mean over R, G and B, Gaussian window of sigma 1.5.

    The numbers are those of scikit-image with `gaussian_weights=True, sigma=1.5, use_sample_covariance=False`:
    windows that reach over the border are left out.

    Raises:
        RestorationError: an image is smaller than the window of 11 x 11.
    """
    x_BCHW, y_BCHW = _pair(restored, truth)
    if min(x_BCHW.shape[2:]) <= 2 * _SSIM_RADIUS:
        raise RestorationError(f"ssim got images of {list(x_BCHW.shape[2:])} pixels; it needs 11 x 11 or more")
    moments = torch.cat([x_BCHW, y_BCHW, x_BCHW.square(), y_BCHW.square(), x_BCHW * y_BCHW])
    x, y, xx, yy, xy = _blur(moments).chunk(5)
    luminance = (2 * x * y + _SSIM_LUMINANCE) / (x.square() + y.square() + _SSIM_LUMINANCE)
    variances = (xx - x.square()) + (yy - y.square())
    structure = (2 * (xy - x * y) + _SSIM_CONTRAST) / (variances + _SSIM_CONTRAST)
    return (luminance * structure).mean(dim=(1, 2, 3))


def sharpness(images: Tensor) -> Tensor:
    """Return the energy of fine detail in the inner face, float64 [B], white squared: mean square of luma's Laplacian.

    The images are aligned faces. Noise is fine detail too: a noisy picture is "sharper" than a clean one.
    """
    luma_B1HW = _luma(_unit(images))
    height, width = luma_B1HW.shape[2:]
    left, top, right, bottom = _INNER
    inner = luma_B1HW[:, :, round(top * height) : round(bottom * height), round(left * width) : round(right * width)]
    laplacian = torch.tensor([[0, 1, 0], [1, -4, 1], [0, 1, 0]], dtype=inner.dtype, device=inner.device)
    return F.conv2d(inner, laplacian[None, None]).square().mean(dim=(1, 2, 3))


def sharpness_ratio(restored: Tensor, truth: Tensor) -> Tensor:
    """Return the sharpness as a share of the truth's, float64 [B]: 1 is as sharp as the truth, less is smoother.

    Where both are flat it is 1; a flat truth otherwise counts with the least energy that is not flat.
    """
    restored_BCHW, truth_BCHW = _pair(restored, truth)
    ours, theirs = sharpness(restored_BCHW).clamp(min=_FAINTEST), sharpness(truth_BCHW).clamp(min=_FAINTEST)
    return ours / theirs


def _pair(restored: Tensor, truth: Tensor) -> tuple[Tensor, Tensor]:
    if restored.shape != truth.shape:
        raise RestorationError(
            f"restored images are {list(restored.shape)} and the truth is {list(truth.shape)}; give both the same shape"
        )
    return _unit(restored), _unit(truth)


def _unit(images: Tensor) -> Tensor:
    """Convert either kind of image to float64 [B, 3, H, W] with white at 1."""
    if images.dim() != 4 or images.shape[1] != 3 or not images.numel():  # noqa: PLR2004  [B, 3, H, W]
        raise RestorationError(f"images are {list(images.shape)}; wanted [B, 3, H, W] RGB, float in [0, 1] or uint8")
    scale = 255 if images.dtype == torch.uint8 else 1
    return images.detach().double() / scale


def _luma(images_BCHW: Tensor) -> Tensor:
    weights = torch.tensor(_LUMA, dtype=images_BCHW.dtype, device=images_BCHW.device)
    return (images_BCHW * weights.reshape(1, 3, 1, 1)).sum(dim=1, keepdim=True)


def _blur(images_BCHW: Tensor) -> Tensor:
    """Compute the Gaussian means of all windows within the image: [B, C, H - 10, W - 10]."""
    vertical, horizontal = (_bands(side, images_BCHW) for side in images_BCHW.shape[2:])
    return vertical @ images_BCHW @ horizontal.T


def _bands(side: int, like: Tensor) -> Tensor:
    """Return float64 [side - 10, side]: each row is the window, one place further on.

    A matrix, since convolutions in float64 are slower on a CPU, and those in float32 use TF32 on CUDA.
    """
    offsets = (
        torch.arange(side, device=like.device) - torch.arange(side - 2 * _SSIM_RADIUS, device=like.device)[:, None]
    )
    window = torch.exp(-0.5 * ((offsets - _SSIM_RADIUS).to(like.dtype) / _SSIM_SIGMA).square())
    window = window * ((offsets >= 0) & (offsets <= 2 * _SSIM_RADIUS))
    return window / window.sum(dim=1, keepdim=True)
