"""Motion of a still, so that it makes a clip, and what is left of it between two pictures."""

from dataclasses import dataclass

import cv2
import numpy as np

from vidrestore.errors import ConfigError
from vidrestore.types import Float32, Float64, UInt8

_SPEED = (0.0004, 0.003)
"""Speed of a still's sway, in sides of the picture per frame: 0.1 to 0.8 pixels in a face of 256, as heads move that
talk; drawn evenly in its logarithm. A starved codec skips blocks and lags behind what moves: faster, and training on
the twin would learn a shift."""
_TURN = (0.2, 0.9)
"""Radians per frame by which the sway changes its direction: it comes round in 7 to 31 frames, and so stays near."""
_ZOOM = 0.003
"""The logarithm of the zoom swings between this and its negative, at most."""
_SMOOTHING = 1.5
"""Sigma in pixels before pictures are compared: noise and block edges must not vote."""


@dataclass(frozen=True, slots=True)
class Motion:
    """How a still moves through a clip: its point p is at `centre + zoom * (p - centre) + shift`."""

    shifts: Float64
    """float64 [T, 2], (x, y) in pixels of the still."""
    zooms: Float64
    """float64 [T], about the middle of the still."""
    target: int
    """Index of the frame whose degraded twin stands for the still's."""


def draw_motion(image: UInt8, frames: int, generator: np.random.Generator, *, target: int) -> Motion:
    """Draw a slow sway on a circle with a little zoom, which passes the still itself at frame `target`.

    Raises ConfigError when `frames` is below 1 or the target not among them.
    """
    if frames < 1 or not -frames <= target < frames:
        raise ConfigError(f"the target is frame {target} of {frames}; give 1 frame or more, and a target among them")
    # The velocity turns evenly, so that the path is a circle; the integral from the target frame is zero there.
    steps = np.arange(frames, dtype=np.float64) - target % frames
    speed = max(image.shape[:2]) * np.exp(generator.uniform(*np.log(_SPEED)))
    turn = generator.uniform(*_TURN) * generator.choice((-1, 1))
    start = generator.uniform(0, 2 * np.pi)
    circle = np.stack([np.sin(start + turn * steps) - np.sin(start), np.cos(start) - np.cos(start + turn * steps)], 1)
    zooms = np.exp(generator.uniform(-_ZOOM, _ZOOM) * np.sin(turn * steps))
    return Motion(speed / turn * circle, zooms, target % frames)


def between_fields(motion: Motion) -> Motion:
    """Shift the motion so that the still lies half-way between the two fields of the target frame.

    Its even lines then lie as far ahead as its odd ones lie behind, and woven together they are not shifted.
    """
    fields = slice(max(motion.target - 1, 0), motion.target + 1)
    zooms = motion.zooms / np.sqrt(motion.zooms[fields][0] * motion.zooms[fields][-1])
    return Motion(motion.shifts - motion.shifts[fields].mean(axis=0), zooms, motion.target)


def moved(image: UInt8, motion: Motion) -> UInt8:
    """Move a still, uint8 [H, W, 3], along the motion: [T, H, W, 3], unchanged where that is at rest."""
    height, width = image.shape[:2]
    clip = []
    for (x, y), zoom in zip(motion.shifts, motion.zooms, strict=True):
        if (x, y, zoom) == (0, 0, 1):
            clip.append(image)
            continue
        matrix = cv2.getRotationMatrix2D(((width - 1) / 2, (height - 1) / 2), 0, float(zoom))
        matrix[:, 2] += (x, y)
        moved = cv2.warpAffine(image, matrix, (width, height), flags=cv2.INTER_CUBIC, borderMode=cv2.BORDER_REFLECT)
        clip.append(np.asarray(moved, np.uint8))
    return np.stack(clip)


def shift_between(before: UInt8 | Float32, after: UInt8 | Float32) -> Float64:
    """Measure how far `after` lies from `before`, both [h, w, 3]: float64 [2], (x, y), good to a pixel or so.

    One least-squares step on the gradients, free of differences in brightness and contrast.
    """
    start, end = (
        cv2.GaussianBlur(picture.mean(axis=-1, dtype=np.float64), (0, 0), _SMOOTHING) for picture in (before, after)
    )
    end = (end - end.mean()) * (start.std() / max(float(end.std()), 1e-9))
    start = start - start.mean()
    down, across = np.gradient((start + end) / 2)
    slopes = np.stack([across.ravel(), down.ravel(), start.ravel(), np.ones(start.size)])
    # a flat picture has no gradients to go by: a trace of damping makes its answer no shift
    system = slopes @ slopes.T + 1e-6 * np.eye(4) * max(float((start**2).sum()), 1e-6)
    return np.asarray(np.linalg.solve(system, slopes @ (start - end).ravel())[:2], np.float64)
