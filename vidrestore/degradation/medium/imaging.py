"""Damage to a video's frames outside the codec: lens, film stock, sensor, fields, and resizing down and up.

Pictures here are float32 [T, h, w, 3] RGB, 0..1 with overshoot allowed, in the video's small size; from the fields on
they are uint8 as the codec takes them.
"""

import math
from typing import TypeVar

import cv2
import numpy as np
from numpy.typing import NDArray

from vidrestore.types import Float32, Float64, UInt8

Samples = TypeVar("Samples", bound=UInt8 | NDArray[np.uint16])

_LUMA = np.array([0.299, 0.587, 0.114], np.float32)
_SHARPEST = 0.05
"""Sigmas in pixels below this one do nothing that could be measured."""
_REACH = 3.0
"""Sigmas to each side of a kernel's middle that are kept."""


def shrink(clip: UInt8, *, width: int, height: int) -> Float32:
    """Shrink uint8 [T, H, W, 3] to the given size; every small pixel is the mean of what it covers."""
    if clip.shape[1:3] == (height, width):
        small = clip
    else:
        small = np.stack([_resized(picture, width, height, cv2.INTER_AREA) for picture in clip])
    return small.astype(np.float32) / np.float32(255)


def blur(pictures: Float32, *, sigma: float, aspect: float, angle: float) -> Float32:
    """Blur by a Gaussian of `sigma` pixels across and `sigma * aspect` along the direction of `angle` degrees."""
    if sigma < _SHARPEST:
        return pictures
    kernel = _gaussian(sigma, sigma * aspect, math.radians(angle))
    return np.stack([cv2.filter2D(picture, -1, kernel, borderType=cv2.BORDER_REFLECT) for picture in pictures])


def shift(pictures: Float32, shifts: Float64) -> Float32:
    """Move picture t by `shifts[t]`, float64 [T, 2] (x, y) in pixels, with sub-pixel interpolation."""
    return np.stack([_shifted(picture, move) for picture, move in zip(pictures, shifts, strict=True)])


def add_grain(
    pictures: Float32, generator: np.random.Generator, *, strength: float, size: float, colour: float
) -> Float32:
    """Add film grain, fresh in every picture.

    Silver density varies most where about half of the crystals are developed: the deviation is `strength` (of the
    full range) at mid-grey and falls to nothing at black and white. `size` is the sigma of a grain in pixels,
    `colour` the share, 0..1, of the variance that each colour layer has for itself.
    """
    if not strength:
        return pictures
    luma = np.clip(_luma(pictures), 0, 1)
    shared = correlated_noise(generator, (*pictures.shape[:3], 1), across=size, along=size)
    own = correlated_noise(generator, pictures.shape, across=size, along=size)
    grain = math.sqrt(1 - colour) * shared + math.sqrt(colour) * own
    return np.asarray(pictures + strength * 4 * luma * (1 - luma) * grain, np.float32)


def add_noise(pictures: Float32, generator: np.random.Generator, *, read: float, shot: float, streak: float) -> Float32:
    """Add the noise of a sensor or a tape, fresh in every picture and colour.

    `read` is the deviation at black, `shot` what light adds at white (its variance grows with the light), both of the
    full range. `streak` is the sigma in pixels along the line: a tape's bandwidth smears its noise into dashes.
    """
    if not read and not shot:
        return pictures
    luma = np.clip(_luma(pictures), 0, 1)
    noise = correlated_noise(generator, pictures.shape, across=0, along=streak)
    return np.asarray(pictures + np.sqrt(read**2 + shot**2 * luma) * noise, np.float32)


def flicker(pictures: Float32, generator: np.random.Generator, *, strength: float) -> Float32:
    """Vary each picture's brightness by 1 +- `strength` (one deviation) independently: shutter and lamp are uneven."""
    gains = 1 + strength * generator.standard_normal((len(pictures), 1, 1, 1), dtype=np.float32)
    return pictures * gains


def soften_chroma(pictures: Float32, *, sigma: float) -> Float32:
    """Smear colour, not brightness, by `sigma` pixels along the line: composite video gives colour little bandwidth."""
    if sigma < _SHARPEST:
        return pictures
    luma = _luma(pictures)
    smeared = [
        cv2.GaussianBlur(chroma, (0, 1), sigmaX=sigma, borderType=cv2.BORDER_REFLECT) for chroma in pictures - luma
    ]
    return np.asarray(luma + np.stack(smeared), np.float32)


def weave(clip: UInt8) -> UInt8:
    """Join even lines of each frame with odd lines of the frame before it (a clip's first frame has only its own)."""
    woven = clip.copy()
    woven[1:, 1::2] = clip[:-1, 1::2]
    return woven


def deinterlace(clip: UInt8, interlacing: str) -> UInt8:
    """Deinterlace as a player does: "weave" leaves both fields, "double" shows one twice, "blend" averages them."""
    if interlacing == "double":
        return np.repeat(clip[:, ::2], 2, axis=1)[:, : clip.shape[1]]
    if interlacing == "blend":
        lines = np.pad(clip, ((0, 0), (1, 1), (0, 0), (0, 0)), mode="reflect").astype(np.uint16)
        return ((lines[:, :-2] + 2 * lines[:, 1:-1] + lines[:, 2:] + 2) // 4).astype(np.uint8)
    return clip


def enlarge(
    picture: Samples, *, width: int, height: int, interpolation: int, offset: tuple[float, float] = (0, 0)
) -> Samples:
    """Enlarge [h, w] or [h, w, 3] to [height, width, ...]; the point `offset` (x, y) comes where the origin would."""
    if not any(offset):
        return _resized(picture, width, height, interpolation)
    across, down = picture.shape[1] / width, picture.shape[0] / height
    to_small = np.array([[across, 0, (across - 1) / 2 + offset[0]], [0, down, (down - 1) / 2 + offset[1]]])
    flags = interpolation | cv2.WARP_INVERSE_MAP
    enlarged = cv2.warpAffine(picture, to_small, (width, height), flags=flags, borderMode=cv2.BORDER_REPLICATE)
    return np.asarray(enlarged, picture.dtype)  # type: ignore[return-value]  # OpenCV's annotation forgets the type


def correlated_noise(generator: np.random.Generator, shape: tuple[int, ...], *, across: float, along: float) -> Float32:
    """Draw normal noise of deviation 1, float32 [T, h, w, C], smoothed by sigmas in pixels over rows and along them."""
    rows, columns = _kernel(across), _kernel(along)
    top, left = len(rows) // 2, len(columns) // 2
    frames, height, width, channels = shape
    # drawn with a margin, so that the noise is as strong at the border as anywhere
    noise = generator.standard_normal((frames, height + 2 * top, width + 2 * left, channels), dtype=np.float32)
    if len(rows) == len(columns) == 1:
        return noise
    gain = np.float32(1 / math.sqrt(float((rows**2).sum() * (columns**2).sum())))
    smooth = np.stack([cv2.sepFilter2D(picture, -1, columns, rows) for picture in noise])
    smooth = smooth.reshape(noise.shape)[:, top : top + height, left : left + width]
    return smooth * gain


def _luma(pictures: Float32) -> Float32:
    """Return the luma, float32 [T, h, w, 1]."""
    return np.asarray((pictures @ _LUMA)[..., None], np.float32)


def _resized(picture: Samples, width: int, height: int, interpolation: int) -> Samples:
    resized = cv2.resize(picture, (width, height), interpolation=interpolation)
    return np.asarray(resized, picture.dtype)  # type: ignore[return-value]  # OpenCV's annotation forgets the type


def _kernel(sigma: float) -> Float32:
    reach = math.ceil(_REACH * sigma) if sigma >= _SHARPEST else 0
    weights = np.exp(-0.5 * (np.arange(-reach, reach + 1) / max(sigma, _SHARPEST)) ** 2)
    return np.asarray(weights / weights.sum(), np.float32)


def _gaussian(across: float, along: float, angle: float) -> Float32:
    """Return a kernel, float32 [K, K], sum 1: sigma `along` at `angle` in radians, `across` at right angles to it."""
    reach = math.ceil(_REACH * max(across, along))
    y, x = np.mgrid[-reach : reach + 1, -reach : reach + 1]
    forward, sideways = x * math.cos(angle) + y * math.sin(angle), y * math.cos(angle) - x * math.sin(angle)
    weights = np.exp(-0.5 * ((forward / along) ** 2 + (sideways / across) ** 2))
    return np.asarray(weights / weights.sum(), np.float32)


def _shifted(picture: Float32, move: Float64) -> Float32:
    matrix = np.array([[1, 0, move[0]], [0, 1, move[1]]], np.float64)
    size = (picture.shape[1], picture.shape[0])
    moved = cv2.warpAffine(picture, matrix, size, flags=cv2.INTER_CUBIC, borderMode=cv2.BORDER_REFLECT)
    return np.asarray(moved, np.float32)
