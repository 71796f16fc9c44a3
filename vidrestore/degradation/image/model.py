"""The damage that training undoes: GFP-GAN's degradation model, batched where the images live.

Wang et al., "Towards Real-World Blind Face Restoration with Generative Facial Prior" (2021), section 4.1, equation 8:
y = [(x * k_sigma) downsample_r + n_delta]_JPEG_q, then resized back. The colour steps after it are those of the
reference's data loader, which the paper leaves out. Every sample has parameters of its own; nothing loops over samples
and nothing waits for the device. All randomness comes from a generator of the images' device.

Shape suffixes: B batch (or clips), 3 colour channels, H and W space.
"""

import dataclasses
import math
from collections.abc import Mapping
from typing import NamedTuple

import torch
from torch import Tensor

from vidrestore.config import Options
from vidrestore.degradation.image import jpeg
from vidrestore.degradation.image.blur_kernels import blur, window_radius
from vidrestore.degradation.image.resampling import Mode, downscale, repeat_edges, upscale
from vidrestore.errors import ConfigError

WHITE = 255.0
LUMA = (0.299, 0.587, 0.114)  # ITU-R BT.601, what OpenCV and torchvision turn colours grey with

Range = tuple[float, float]
"""Lowest and highest value of a uniform draw; equal ones fix it."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class DegradationConfig(Options):
    """Ranges that samples are drawn from. Lengths are in pixels at the image's own size; the defaults do nothing."""

    blur_sigma_pixels: Range = (0.0, 0.0)
    """Standard deviation of the Gaussian; (0, 0) leaves the step out."""
    anisotropic_probability: float = 0.5
    """Share of kernels with two sigmas and an angle; the others are isotropic. The reference: 0.5."""
    downscale_ratio: Range = (1.0, 1.0)
    """Full side over small side, 1 to 16; (1, 1) leaves the step out."""
    downscale_modes: tuple[Mode, ...] = ("bilinear",)
    """Modes for shrinking, one drawn for each image. The reference: bilinear without smoothing."""
    upscale_modes: tuple[Mode, ...] = ("bilinear",)
    """Modes for resizing back, one drawn for each image."""
    noise_sigma_grey_levels: Range = (0.0, 0.0)
    """Standard deviation of the Gaussian noise, of 255; (0, 0) leaves the step out."""
    grey_noise_probability: float = 0.0
    """Share of images with the same noise in all channels. The reference: 0."""
    jpeg_quality: tuple[int, int] | None = None
    """libjpeg's quality, 1 to 100; None leaves the step out."""
    shift_probability: float = 0.0
    """Share of images whose channels are each shifted. The reference: 0.3."""
    shift_grey_levels: Range = (-20.0, 20.0)
    """Shift of a channel in grey levels of 255."""
    jitter_probability: float = 0.0
    """Share of images whose brightness, contrast, saturation and hue are changed. The reference: 0.3."""
    brightness: Range = (0.5, 1.5)
    contrast: Range = (0.5, 1.5)
    saturation: Range = (0.0, 1.5)
    hue_turns: Range = (-0.1, 0.1)
    """Hue is an angle; one turn is all the way round."""
    grey_probability: float = 0.0
    """Share of images turned grey. The reference: 0.01."""
    grey_target: bool = True
    """Whether the target of a grey image is grey too, so that the network learns not to paint it."""
    clean_probability: float = 0.0
    """Share of images let through untouched, so that good input stays good. The reference: 0."""

    def check_together(self) -> None:
        """Check that pairs and shares are within their ranges and that names are known."""
        for name, (low, high) in _LIMITS.items():
            value = getattr(self, name)
            if value is not None and not (len(value) == 2 and low <= value[0] <= value[1] <= high):  # noqa: PLR2004  a pair
                self.refuse(name, f"use a pair [lowest, highest] within {low:g} to {high:g}")
        for name in (field.name for field in dataclasses.fields(self) if field.name.endswith("_probability")):
            if not 0 <= getattr(self, name) <= 1:
                self.refuse(name, "use 0 to 1")
        for name, known in _KNOWN_MODES.items():
            modes = getattr(self, name)
            if not modes or not set(modes) <= set(known):
                self.refuse(name, f"use one or more of {', '.join(known)}")


_LIMITS: Mapping[str, Range] = {
    "blur_sigma_pixels": (0, 64),
    "downscale_ratio": (1, 16),
    "noise_sigma_grey_levels": (0, WHITE),
    "jpeg_quality": (1, 100),
    "shift_grey_levels": (-WHITE, WHITE),
    "brightness": (0, 4),
    "contrast": (0, 4),
    "saturation": (0, 4),
    "hue_turns": (-0.5, 0.5),
}
_KNOWN_MODES: Mapping[str, tuple[Mode, ...]] = {
    "downscale_modes": ("bilinear", "bicubic", "area"),
    "upscale_modes": ("bilinear", "bicubic"),
}

_PAPER = DegradationConfig(
    blur_sigma_pixels=(0.2, 10),
    downscale_ratio=(1, 8),
    noise_sigma_grey_levels=(0, 15),
    jpeg_quality=(60, 100),
    shift_probability=0.3,
    jitter_probability=0.3,
    grey_probability=0.01,
)
_PRESETS: Mapping[str, DegradationConfig] = {
    "clean": DegradationConfig(),
    "light": DegradationConfig(
        blur_sigma_pixels=(0.1, 1), downscale_ratio=(1, 2), noise_sigma_grey_levels=(0, 5), jpeg_quality=(80, 95)
    ),
    "medium": DegradationConfig(
        blur_sigma_pixels=(0.2, 3), downscale_ratio=(1, 4), noise_sigma_grey_levels=(0, 10), jpeg_quality=(60, 95)
    ),
    "heavy": DegradationConfig(
        blur_sigma_pixels=(2, 5), downscale_ratio=(4, 8), noise_sigma_grey_levels=(5, 20), jpeg_quality=(30, 70)
    ),
    "protocol": DegradationConfig(
        blur_sigma_pixels=(0.5, 7), downscale_ratio=(1, 8), noise_sigma_grey_levels=(0, 20), jpeg_quality=(60, 100)
    ),
    "grey": DegradationConfig(
        blur_sigma_pixels=(0.5, 7),
        downscale_ratio=(1, 8),
        noise_sigma_grey_levels=(0, 20),
        jpeg_quality=(60, 100),
        grey_probability=1,
    ),
    "film": DegradationConfig(
        blur_sigma_pixels=(0.2, 5),
        downscale_ratio=(1, 8),
        downscale_modes=("bilinear", "bicubic", "area"),
        upscale_modes=("bilinear", "bicubic"),
        noise_sigma_grey_levels=(0, 20),
        grey_noise_probability=0.3,
        jpeg_quality=(30, 100),
        clean_probability=0.08,
    ),
    "paper": _PAPER,
    # At half the size blur is half as wide, and the smallest face, 64 pixels, is reached at half the ratio.
    "paper-256": dataclasses.replace(_PAPER, blur_sigma_pixels=(0.1, 5), downscale_ratio=(1, 4)),
}


def preset(name: str) -> DegradationConfig:
    """Return a named configuration.

    "paper" is section 4.1's for 512-pixel faces with the reference's colour steps (its loader draws r from 0.8, which
    enlarges; here from 1), "paper-256" the same seen at 256 pixels. For 256 pixels too: "film", the damage of
    videos that the embedded model trains on; "protocol", what models are compared under, and "grey", the same in
    black and white; "clean", "light", "medium", "heavy" for evaluation.

    Raises:
        ConfigError: no such name.
    """
    if name not in _PRESETS:
        raise ConfigError(f"degradation {name!r} is unknown; take one of {', '.join(sorted(_PRESETS))}")
    return _PRESETS[name]


class DegradationParameters(NamedTuple):
    """Drawn parameters of each sample of a batch: tensors [B] of one device, float32 unless noted otherwise."""

    sigma_x: Tensor
    """Sigma in pixels along the kernel's first axis; `sigma_y`, along the second, equals it for an isotropic kernel."""
    sigma_y: Tensor
    angle: Tensor
    """Radians, -pi to pi."""
    ratio: Tensor
    """Full side over small side."""
    downscale_mode: Tensor
    """int64, index into the configuration's modes; so is `upscale_mode`."""
    upscale_mode: Tensor
    noise_sigma: Tensor
    """Standard deviation of the noise, as a share of white."""
    grey_noise: Tensor
    """bool."""
    quality: Tensor
    """Whole numbers, 1 to 100."""
    shift: Tensor
    """Shift of each channel, [B, 3], as a share of white; zero where none."""
    brightness: Tensor
    """A factor, one where none, as the next two."""
    contrast: Tensor
    saturation: Tensor
    hue: Tensor
    """Turns of the hue, zero where none."""
    grey: Tensor
    """bool: whether the image is turned grey. `clean`, bool: whether the sample is let through untouched."""
    clean: Tensor

    def repeated(self, frames: int) -> "DegradationParameters":
        """Repeat the parameters of clips for their frames, [B * frames], the frames of a clip in succession."""
        return DegradationParameters(*(values.repeat_interleave(frames, dim=0) for values in self))


class Pair(NamedTuple):
    """A damaged batch and what it should be restored to; float32 [B, 3, H, W], RGB in [0, 1] each."""

    degraded: Tensor
    target: Tensor


def draw(
    config: DegradationConfig, batch: int, generator: torch.Generator, device: torch.device | str
) -> DegradationParameters:
    """Draw every sample's parameters, uniformly from their ranges, as the reference does.

    `generator` belongs to `device`. Every configuration uses up as many numbers: one seed draws like ranks from each.
    """
    rows = iter(torch.rand((21, batch), generator=generator, device=device).unbind())

    def within(limits: Range) -> Tensor:
        return limits[0] + (limits[1] - limits[0]) * next(rows)

    def happens(probability: float) -> Tensor:
        return next(rows) < probability

    def index(count: int) -> Tensor:
        return (next(rows) * count).long().clamp(max=count - 1)

    sigma_x, sigma_own = within(config.blur_sigma_pixels), within(config.blur_sigma_pixels)
    anisotropic, clean = happens(config.anisotropic_probability), happens(config.clean_probability)
    shifted, jittered = happens(config.shift_probability), happens(config.jitter_probability)
    lowest, highest = config.jpeg_quality or (100, 100)
    shift_3 = [torch.where(shifted, within(config.shift_grey_levels) / WHITE, 0.0) for _ in range(3)]
    return DegradationParameters(
        sigma_x=sigma_x,
        sigma_y=torch.where(anisotropic, sigma_own, sigma_x),
        angle=within((-math.pi, math.pi)),
        ratio=within(config.downscale_ratio),
        downscale_mode=index(len(config.downscale_modes)),
        upscale_mode=index(len(config.upscale_modes)),
        noise_sigma=within(config.noise_sigma_grey_levels) / WHITE,
        grey_noise=happens(config.grey_noise_probability),
        quality=within((lowest, highest + 1)).floor().clamp(max=highest),
        shift=torch.stack(shift_3, dim=1),
        brightness=torch.where(jittered, within(config.brightness), 1.0),
        contrast=torch.where(jittered, within(config.contrast), 1.0),
        saturation=torch.where(jittered, within(config.saturation), 1.0),
        hue=torch.where(jittered, within(config.hue_turns), 0.0),
        grey=happens(config.grey_probability),
        clean=clean,
    )


class Degradation:
    """Damages batches of faces: float32 [B, 3, H, W], RGB in [0, 1], sides divisible by 16 for the JPEG step."""

    def __init__(self, config: DegradationConfig) -> None:
        self.config = config
        self._blurs = config.blur_sigma_pixels[1] > 0
        self._shrinks = config.downscale_ratio[1] > 1
        self._adds_noise = config.noise_sigma_grey_levels[1] > 0
        self._recolours = max(config.shift_probability, config.jitter_probability, config.grey_probability) > 0
        steps = (self._blurs, self._shrinks, self._adds_noise, self._recolours, config.jpeg_quality is not None)
        self._acts = any(steps) and config.clean_probability < 1

    def __call__(self, images_B3HW: Tensor, generator: torch.Generator) -> Pair:
        """Draw parameters for every image and apply them."""
        drawn = draw(self.config, len(images_B3HW), generator, images_B3HW.device)
        return self.apply(images_B3HW, drawn, generator)

    def apply(self, images_B3HW: Tensor, parameters: DegradationParameters, generator: torch.Generator) -> Pair:
        """Damage images in a given way with fresh noise, such as all frames of a clip (`parameters.repeated`)."""
        noise_B3HW = None
        if self._adds_noise:
            noise_B3HW = torch.randn(images_B3HW.shape, generator=generator, device=images_B3HW.device)
        return self.damage(images_B3HW, parameters, noise_B3HW)

    @torch.no_grad()
    def damage(self, images_B3HW: Tensor, parameters: DegradationParameters, noise_B3HW: Tensor | None) -> Pair:
        """Damage images in a given way with given noise of unit variance: nothing random, so it can be compiled.

        Where any step is configured the result is rounded to 8 bits, as the reference's; clean samples are not.
        """
        given = (images_B3HW.dtype, *images_B3HW.shape[1:2])
        assert given == (torch.float32, 3), f"{given} came; wanted float32 [B, 3, H, W] in [0, 1]"  # noqa: S101
        if not self._acts:
            return Pair(images_B3HW, images_B3HW)
        images, target = images_B3HW, images_B3HW
        with torch.autocast(images.device.type, enabled=False):  # bf16 resolves one grey level near white
            images = self._coded(images, parameters, noise_B3HW)
            if self._recolours:
                images = recolour(images, parameters)
            if self.config.grey_probability > 0 and self.config.grey_target:
                target = _where(parameters.grey & ~parameters.clean, _luma(target).expand_as(target), target)
            images = (images.clamp(0, 1) * WHITE).round() / WHITE
            return Pair(_where(parameters.clean, images_B3HW, images), target)

    def _coded(self, images: Tensor, parameters: DegradationParameters, noise_B3HW: Tensor | None) -> Tensor:
        """Apply equation 8 and resize back; the result may leave [0, 1] by what bicubic enlarging overshoots."""
        config, p = self.config, parameters
        if self._blurs:
            images = blur(images, p.sigma_x, p.sigma_y, p.angle, radius=window_radius(config.blur_sigma_pixels[1]))
        if self._shrinks:
            images = downscale(images, p.ratio, modes=config.downscale_modes, mode_B=p.downscale_mode)
        if noise_B3HW is not None:
            noise = _where(p.grey_noise, noise_B3HW[:, :1].expand_as(noise_B3HW), noise_B3HW)
            images = (images + _each(p.noise_sigma) * noise).clamp(0, 1)
            # Beyond the small image the noise is another than at its edge: blocks across that edge would code it.
            images = repeat_edges(images, p.ratio) if self._shrinks else images
        if config.jpeg_quality is not None:
            images = jpeg.compress(images, p.quality)
        if self._shrinks:
            images = upscale(images, p.ratio, modes=config.upscale_modes, mode_B=p.upscale_mode)
        return images


def recolour(images_B3HW: Tensor, parameters: DegradationParameters) -> Tensor:
    """Shift channels, turn grey, then change brightness, contrast, saturation and hue, each clipped; [0, 1] to [0, 1].

    The reference shuffles the last four for every image; a batch keeps one order.
    """
    images = (images_B3HW + parameters.shift[:, :, None, None]).clamp(0, 1)
    images = _where(parameters.grey, _luma(images).expand_as(images), images)
    images = (images * _each(parameters.brightness)).clamp(0, 1)
    images = _mixed(images, _luma(images).mean(dim=(2, 3), keepdim=True), parameters.contrast)
    images = _mixed(images, _luma(images), parameters.saturation)
    return _turn_hue(images, parameters.hue)


def _turn_hue(images_B3HW: Tensor, turns_B: Tensor) -> Tensor:
    """Turn the hue of HSV; saturation and value stay. [0, 1] to [0, 1]."""
    red, green, blue = images_B3HW.unbind(1)
    value, lowest = images_B3HW.amax(1), images_B3HW.amin(1)
    spread = value - lowest
    divisor = torch.where(spread > 0, spread, 1.0)
    not_red = torch.where(value == green, 2 + (blue - red) / divisor, 4 + (red - green) / divisor)
    sixths = torch.where(value == red, (green - blue) / divisor, not_red) + 6 * turns_B[:, None, None]

    def channel(offset: int) -> Tensor:
        place = (offset + sixths).remainder(6)
        return value - spread * torch.minimum(place, 4 - place).clamp(0, 1)

    return torch.stack((channel(5), channel(3), channel(1)), dim=1)


def _mixed(images: Tensor, other: Tensor, share_B: Tensor) -> Tensor:
    """Blend: `other` at share 0, the images at 1, away from `other` above 1; clipped to [0, 1]."""
    return (other + _each(share_B) * (images - other)).clamp(0, 1)


def _luma(images_B3HW: Tensor) -> Tensor:
    """Return the luma of RGB images, [B, 1, H, W]."""
    red, green, blue = images_B3HW.unbind(1)
    return (LUMA[0] * red + LUMA[1] * green + LUMA[2] * blue)[:, None]


def _each(values_B: Tensor) -> Tensor:
    """Reshape [B] to [B, 1, 1, 1]."""
    return values_B[:, None, None, None]


def _where(chosen_B: Tensor, yes_B3HW: Tensor, no_B3HW: Tensor) -> Tensor:
    """Select each sample from one batch or the other."""
    return torch.where(_each(chosen_B), yes_B3HW, no_B3HW)
