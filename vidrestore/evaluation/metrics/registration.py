"""Registration of a video's whole frame with the truth's: shift by its gate, brightness by its lamp.

Luma is float32 [h, w] in grey levels, 0..255. All functions are pure. What weaves and flickers in the input does so in
every video that keeps its pictures in place, and is no fault of theirs.
"""

from dataclasses import dataclass
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from vidrestore.errors import RestorationError
from vidrestore.evaluation.metrics.flow import Motion
from vidrestore.evaluation.metrics.regions import Region, measurable
from vidrestore.evaluation.metrics.temporal import warp_error
from vidrestore.types import Float32, Float64

_LONGEST_SIDE: Final = 640
"""Longer side in pixels at which pictures are registered: a shift is found to a few hundredths of such a pixel."""
_FARTHEST: Final = 0.03
"""Share of the longer side; what is shifted by more was found by chance."""
_LEAST_GAIN, _MOST_GAIN = 0.5, 2.0
"""Bounds of the gain: beyond these it is another picture."""
_DARKEST, _BRIGHTEST = 8, 247
"""Grey levels beyond which grain and lamp are cut off, so that light is no line."""
_FLAT: Final = 1.0
"""Grey levels: a truth that deviates by less from its mean shows nothing to measure light by."""
_GRAIN_SIGMA: Final = 2.0
"""Pixels of blur before light and change are compared, against grain and for videos that lost detail."""
_MOST_LEFT: Final = 0.98
"""Share of a video's change that may be left without its sway; chance explains some of it, a gate most."""
_CRITERIA: Final = (cv2.TERM_CRITERIA_COUNT | cv2.TERM_CRITERIA_EPS, 100, 1e-5)


@dataclass(frozen=True, slots=True)
class Registration:
    """A frame of a video against the same frame of the truth."""

    shift: Float64
    """float64 [2], (x, y) in frame pixels: what is at p in the truth is at p + shift in the video."""
    gain: float
    """Gain of the light: video luma = gain * truth luma + offset."""
    offset: float
    """Offset of the light in grey levels."""
    found: bool = True
    """Whether shift and light could both be measured; otherwise they count as none."""


@dataclass(frozen=True, slots=True)
class Sway:
    """Change of a video's whole picture between two frames that the truth does not show."""

    to_before: Float64
    """float64 [2], (x, y) in frame pixels: what the truth leaves at p was at p + to_before."""
    gain: float
    """Gain of the light: luma before = gain * luma now + offset."""
    offset: float
    """Offset of the light in grey levels."""

    def taken_out(self, now: Float32, before: Float32) -> tuple[Float32, Float32, Region]:
        """Return both frames of a video as if it had not swayed, and where they can be compared.

        This frame, in the light of the one before and cut off at 0 and 255; the frame before, in the place of this one,
        bicubic; bool [h, w], where it was not beyond its edge. What did not sway comes back as it is, exactly.
        """
        return self._lit(now), shifted(before, self.to_before), self._within(*before.shape)

    def light(self, level: float) -> float:
        """Apply gain and offset to a grey level."""
        return self.gain * level + self.offset

    def _lit(self, now: Float32) -> Float32:
        if (self.gain, self.offset) == (1, 0):
            return now
        return np.asarray(np.clip(now * np.float32(self.gain) + np.float32(self.offset), 0, 255), np.float32)

    def _within(self, height: int, width: int) -> Region:
        across, down = np.arange(width) + self.to_before[0], np.arange(height) + self.to_before[1]
        within: Region = np.logical_and.outer(_inside(down), _inside(across))
        return within


def _nowhere() -> Float64:
    shift = np.zeros(2)
    shift.setflags(write=False)
    return shift


ALIGNED: Final = Registration(_nowhere(), 1.0, 0.0)
"""Registration of a video that lies on the truth, in its light."""
STEADY: Final = Sway(_nowhere(), 1.0, 0.0)
"""Sway of a video that does not sway."""
_UNKNOWN: Final = Registration(_nowhere(), 1.0, 0.0, found=False)


def register(frame: Float32, truth: Float32) -> Registration:
    """Lay a frame on that of the truth: a shift (Evangelidis & Psarakis 2008), then a line of light, least squares.

    Identical pictures are `ALIGNED`, exactly. A flat truth, a shift of more than 3 % of the longer side, and a gain
    outside 0.5..2 count as not found.

    Raises:
        RestorationError: the pictures are not of one size.
    """
    if frame.shape != truth.shape or frame.ndim != 2:  # noqa: PLR2004  [h, w]
        raise RestorationError(f"luma is {list(frame.shape)} and {list(truth.shape)}; wanted [h, w] twice")
    if np.array_equal(frame, truth):
        return ALIGNED
    small, small_truth = _shrunk(frame), _shrunk(truth)
    shift = _shift(small, small_truth)
    # pictures that do not lie on each other correlate less: their line of light would be flat
    light = None if shift is None else _light(shifted(small, shift), small_truth)
    if shift is None or light is None:
        return _UNKNOWN
    return Registration(shift * np.divide(frame.shape[::-1], small.shape[::-1]), *light)


def sway_between(before: Registration, now: Registration) -> Sway:
    """Return the sway from one frame to the next; exactly none between equal ones."""
    gain = before.gain / now.gain
    return Sway(before.shift - now.shift, gain, before.offset - gain * now.offset)


def shows(now: Float32, before: Float32, sway: Sway, motion: Motion, still: Region) -> bool:
    """Return whether two frames of the registered video differ less once its sway is taken out.

    Registration is never exact, and the lag of a codec behind what moves pulls at it: all videos would be charged for
    that where the input does not sway. So it has to show where the truth is still, or where too little is, along its
    motion. Grain is blurred first, since moving it by parts of pixels would smooth it.
    """
    now, before = _grainless(now), _grainless(before)
    swayless_now, swayless_before, within = sway.taken_out(now, before)
    region: Region = still & within if measurable(still & within) else within
    frame = warp_error(now, before, motion, region)
    left = warp_error(swayless_now, swayless_before, motion, region)
    return frame is not None and left is not None and left < _MOST_LEFT * frame


def shifted(picture: Float32, shift: Float64) -> Float32:
    """Sample `picture` [h, w] at p + shift (x, y), bicubic, its edge repeated; without a shift return it unchanged."""
    if not shift.any():
        return picture
    matrix = np.column_stack([np.eye(2), shift])
    flags = cv2.INTER_CUBIC | cv2.WARP_INVERSE_MAP
    moved = cv2.warpAffine(picture, matrix, picture.shape[::-1], flags=flags, borderMode=cv2.BORDER_REPLICATE)
    return np.asarray(moved, np.float32)


def _inside(places: Float64) -> NDArray[np.bool_]:
    return (places >= 0) & (places <= len(places) - 1)


def _shrunk(picture: Float32) -> Float32:
    shrink = _LONGEST_SIDE / max(picture.shape)
    if shrink >= 1:
        return picture
    height, width = (max(1, round(side * shrink)) for side in picture.shape)
    return np.asarray(cv2.resize(picture, (width, height), interpolation=cv2.INTER_AREA), np.float32)


def _shift(frame: Float32, truth: Float32) -> Float64 | None:
    """Find the shift, float64 [2], or None where no reliable one was found."""
    start = np.eye(2, 3, dtype=np.float32)
    try:
        _, found = cv2.findTransformECC(truth, frame, start, cv2.MOTION_TRANSLATION, _CRITERIA)
    except cv2.error:  # it says so when pictures do not match
        return None
    shift = np.asarray(found, np.float64)[:, 2]
    return shift if np.abs(shift).max() <= _FARTHEST * max(truth.shape) else None


def _light(frame: Float32, truth: Float32) -> tuple[float, float] | None:
    """Fit gain and offset from the truth to the video; None where they cannot be measured or are another picture's."""
    # A least-squares line through the pixels that neither picture clips: gain = covariance / variance of the truth.
    lit, dark = _grainless(frame), _grainless(truth)
    unclipped: Region = np.logical_and.reduce([(one >= _DARKEST) & (one <= _BRIGHTEST) for one in (lit, dark)])
    if not measurable(unclipped):
        return None
    (variance, covariance), _ = np.cov(dark[unclipped], lit[unclipped])
    if variance < _FLAT**2 or not _LEAST_GAIN <= covariance / variance <= _MOST_GAIN:
        return None
    gain = float(covariance / variance)
    return gain, float(lit[unclipped].mean(dtype=np.float64) - gain * dark[unclipped].mean(dtype=np.float64))


def _grainless(picture: Float32) -> Float32:
    return np.asarray(cv2.GaussianBlur(picture, (0, 0), _GRAIN_SIGMA), np.float32)
