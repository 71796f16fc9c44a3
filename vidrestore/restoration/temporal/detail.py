"""Gain of fine detail, which keeps it as strong after averaging as before.

A mean over frames loses contrast at fine scales: motion is known to a fraction of a pixel only, and bilinear warping
blurs. The rest of the fine band is therefore amplified, locally, until its energy is that of the frame's own crop.
"""

import cv2
import numpy as np

from vidrestore.types import Float32

SIGMA = 1.5
"""Standard deviation, in pixels of a crop of 256, of the Gaussian that separates fine detail."""
TAPS = 9
"""Side of its kernel in pixels."""
WINDOW = 9
"""Side of the square, in cells, over which energies are compared. Small squares would follow the noise."""
CELL = 4
"""Side of a cell in pixels."""
KEPT = 0.97
"""Fraction of the energy to restore: some of it was flicker."""
FLOOR = 0.25
"""Energy in squared levels below which there is no detail: half a rounding step, squared."""


def match_detail(mean: Float32, own: Float32, *, most_gain: float) -> Float32:
    """Give a mean float32 [S, S, 3] the energy of fine luma detail that the crop `own` of the same shape has.

    With the band b = x - blur(x) of the mean x, the result is x + a b. Its band is b + a (b - blur(b)), and `a` solves
    the quadratic equation that makes its local energy that of `own`. Never takes detail away: 0 <= a < `most_gain`.
    Equal images come out exactly equal.
    """
    band = _band(mean)
    grey = _grey(band)
    inner = _band(grey)
    missing = np.float32(KEPT) * _energy(_band(_grey(own)), None) - _energy(grey, None)
    cross, square = _energy(grey, inner), _energy(inner, None) + np.float32(FLOOR)
    cross = np.maximum(cross, 0)
    share = (np.sqrt(cross * cross + square * np.maximum(missing, 0)) - cross) / square
    gain = cv2.resize(np.minimum(share, np.float32(most_gain)), mean.shape[:2], interpolation=cv2.INTER_LINEAR)
    raised: Float32 = mean + cv2.merge([gain] * 3) * band
    return raised


def _band(image: Float32) -> Float32:
    return np.asarray(image - cv2.GaussianBlur(image, (TAPS, TAPS), SIGMA), dtype=np.float32)


def _grey(image: Float32) -> Float32:
    return np.asarray(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY), dtype=np.float32)


def _energy(first: Float32, second: Float32 | None) -> Float32:
    """Return the local mean, float32 [S / 4, S / 4], of the product of two images, or of the square of one."""
    product = first * (first if second is None else second)
    cells = max(1, product.shape[0] // CELL)
    small = cv2.resize(product, (cells, cells), interpolation=cv2.INTER_AREA)
    return np.asarray(cv2.blur(small, (WINDOW, WINDOW)), dtype=np.float32)
