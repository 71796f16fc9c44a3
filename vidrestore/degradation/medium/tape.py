"""Dropouts of a tape: where its coating is worn off, the head reads nothing and the picture flashes."""

import numpy as np

from vidrestore.types import Float32, UInt8

_FAINTEST, _BRIGHTEST = 0.6, 1.0
"""Strength of a streak at its start, as a share of the way to white."""
_WHITE = 250
_RAGGED = 0.25
"""Largest variation of a streak's strength along it."""
_TALL_SHARE = 0.3
"""Share of the streaks that take two lines: the hole in the coating is wider than a track."""
_FADE = (0.15, 0.6)
"""Share of a streak's length over which the receiver recovers; less is a shorter tail."""


def add_streaks(picture: UInt8, generator: np.random.Generator, *, mean: float, lengths: tuple[float, float]) -> UInt8:
    """Lay white streaks over parts of lines of one picture.

    Args:
        picture: uint8 [h, w, 3] RGB.
        generator: the frame's own.
        mean: streaks of a frame, on average (Poisson).
        lengths: shortest and longest, as shares of a line; short ones are the more likely.
    """
    streaks = int(generator.poisson(mean))
    if not streaks:
        return picture
    height, width = picture.shape[:2]
    damaged = picture.copy()
    for _ in range(streaks):
        length = max(2, round(width * np.exp(generator.uniform(*np.log(lengths)))))
        line, start = int(generator.integers(height)), int(generator.integers(-length // 2, width))
        lines = slice(line, line + 1 + int(generator.random() < _TALL_SHARE))
        columns = slice(max(0, start), min(width, start + length))
        share = _profile(length, generator)[columns.start - start : columns.stop - start, None]
        there = damaged[lines, columns].astype(np.float32)
        damaged[lines, columns] = np.rint(there + share * (_WHITE - there)).astype(np.uint8)
    return damaged


def _profile(length: int, generator: np.random.Generator) -> Float32:
    """Return a streak's strength, float32 [length], 0..1: a sharp start, a ragged run, a tail as the level recovers."""
    along = np.arange(length, dtype=np.float32) / length
    tail = np.minimum(1, (1 - along) / generator.uniform(*_FADE))
    ragged = 1 - _RAGGED * generator.random(length, dtype=np.float32)
    return np.asarray(generator.uniform(_FAINTEST, _BRIGHTEST) * tail * ragged, np.float32)
