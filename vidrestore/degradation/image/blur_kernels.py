"""Gaussian blur with another kernel for every sample of a batch.

The first step of the damage: `x * k_sigma` of equation 8 in Wang et al., "Towards Real-World Blind Face Restoration
with Generative Facial Prior" (GFP-GAN, 2021). The reference draws isotropic and anisotropic Gaussians alike and cuts
them at 41x41 pixels whatever their width; here the window follows the widest sigma, so none is cut short.

Shape suffixes: B batch, C channels, H and W space, k kernel side.
"""

import math

import torch
import torch.nn.functional as F  # noqa: N812  the name that every reader of network code expects
from torch import Tensor

REACH = 4.0
"""Standard deviations from the centre to the window's edge: what lies beyond weighs less than 1e-3 of the kernel."""
NARROWEST_SIGMA_PIXELS = 0.05
"""Sigmas below this are taken as this: in float32 the kernel is then a single one among zeros."""


def window_radius(largest_sigma_pixels: float) -> int:
    """Return the pixels from the window's centre to its edge, for kernels up to this sigma."""
    return math.ceil(REACH * largest_sigma_pixels)


def gaussian_kernels(sigma_x_B: Tensor, sigma_y_B: Tensor, angle_B: Tensor, *, radius: int) -> Tensor:
    """Sample one Gaussian for each sample of the batch.

    Args:
        sigma_x_B: float32 [B], pixels, along the kernel's own first axis.
        sigma_y_B: float32 [B], pixels, along its second axis; equal to the first for an isotropic kernel.
        angle_B: float32 [B], radians, from the image's x axis to the kernel's first axis, towards y (downwards).
        radius: pixels from centre to edge, the same for all.

    Returns:
        float32 [B, k, k] with k = 2 * radius + 1; each sums to one.
    """
    offset_k = torch.arange(-radius, radius + 1, device=angle_B.device, dtype=angle_B.dtype)
    across_1k, down_k1 = offset_k[None, :], offset_k[:, None]
    cosine_B11, sine_B11 = angle_B.cos()[:, None, None], angle_B.sin()[:, None, None]
    first_Bkk = cosine_B11 * across_1k + sine_B11 * down_k1
    second_Bkk = cosine_B11 * down_k1 - sine_B11 * across_1k
    sigma_x_B11 = sigma_x_B.clamp(min=NARROWEST_SIGMA_PIXELS)[:, None, None]
    sigma_y_B11 = sigma_y_B.clamp(min=NARROWEST_SIGMA_PIXELS)[:, None, None]
    weight_Bkk = torch.exp(-0.5 * ((first_Bkk / sigma_x_B11).square() + (second_Bkk / sigma_y_B11).square()))
    return weight_Bkk / weight_Bkk.sum(dim=(1, 2), keepdim=True)


def blur(images_BCHW: Tensor, sigma_x_B: Tensor, sigma_y_B: Tensor, angle_B: Tensor, *, radius: int) -> Tensor:
    """Convolve every image with its own Gaussian (`gaussian_kernels` says what the arguments are).

    Borders are reflected, as OpenCV's default does. A radius that the image cannot reflect is cut to the image.

    Returns:
        float32 [B, C, H, W], the range of the input up to rounding (1e-6).
    """
    radius = min(radius, min(images_BCHW.shape[-2:]) - 1)
    kernel_Bkk = gaussian_kernels(sigma_x_B, sigma_y_B, angle_B, radius=radius)
    return convolve(images_BCHW, kernel_Bkk)


def convolve(images_BCHW: Tensor, kernel_Bkk: Tensor) -> Tensor:
    """Convolve every image, reflected at its borders, with its own kernel of odd side: [B, C, H, W] -> the same.

    By FFT: its cost does not depend on the kernel's side, unlike that of a grouped convolution with 41x41 taps.
    """
    height, width = images_BCHW.shape[-2:]
    margin = kernel_Bkk.shape[-1] - 1
    padded = F.pad(images_BCHW, (margin // 2,) * 4, mode="reflect")
    # The transform is periodic: the first `margin` rows and columns of the product are mixed with the far border.
    # They are cut off, so that the padded size is enough.
    size = (fast_length(height + margin), fast_length(width + margin))
    spectrum = torch.fft.rfft2(padded, s=size) * torch.fft.rfft2(kernel_Bkk, s=size)[:, None]
    blurred: Tensor = torch.fft.irfft2(spectrum, s=size)
    return blurred[..., margin : margin + height, margin : margin + width]


def fast_length(least: int) -> int:
    """Return the next even length without prime factors above 5, which FFT libraries have direct kernels for."""
    length = least + least % 2
    while not _is_smooth(length):
        length += 2
    return length


def _is_smooth(length: int) -> bool:
    """Return whether 2, 3 and 5 are the only prime factors."""
    for factor in (2, 3, 5):
        while length % factor == 0:
            length //= factor
    return length == 1
