"""Randomness that is a function of a seed and a place in the video, whatever was drawn before."""

from enum import IntEnum

import numpy as np


class Purpose(IntEnum):
    """Purpose of a random number: each has its own stream, so that one damage more leaves the others as they were."""

    PROFILE = 0
    GATE = 1
    EXPOSURE = 2
    DROPOUTS = 3
    SCRATCHES = 4


def rng_for(seed: int, purpose: Purpose, index: int = 0) -> np.random.Generator:
    """Return a generator that depends on the arguments alone; `index` counts frames, or what the purpose counts."""
    return np.random.default_rng([seed, purpose, index])
