"""Which faces a step draws, and which of them it mirrors: arithmetic on seed and step, no state."""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from vidrestore.errors import ConfigError

Indices = NDArray[np.int64]
"""int64 [B], places of faces in the set."""

_PERMUTATION, _FLIPS = 0, 1
"""Indices of a seed's random streams."""


@dataclass(frozen=True, slots=True)
class DrawingOrder:
    """Shuffled epochs of a set laid end to end, cut into steps, and each step into the shares of the ranks."""

    faces: int
    """Faces in the set."""
    batch: int
    """Faces of a step and rank."""
    seed: int
    rank: int = 0
    world: int = 1
    flip: bool = True

    def __post_init__(self) -> None:
        if self.batch < 1 or not 0 <= self.rank < self.world or self.seed < 0:
            raise ConfigError(
                f"batch={self.batch}, rank={self.rank}, world={self.world}, seed={self.seed}; "
                "wanted batch >= 1, 0 <= rank < world and seed >= 0"
            )
        assert self.faces > 0, "an empty set has no order"  # noqa: S101  a caller's bug

    def indices_at(self, step: int) -> Indices:
        """Return the faces of this rank at a step; within an epoch no face is drawn twice, over all ranks."""
        # Place in the endless sequence of epochs; a batch may reach from one epoch into the next.
        first = (step * self.world + self.rank) * self.batch
        epochs, places = np.divmod(np.arange(first, first + self.batch), self.faces)
        shares = (_shuffled(self.seed, int(epoch), self.faces)[places[epochs == epoch]] for epoch in np.unique(epochs))
        return np.concatenate(list(shares))

    def mirrored_at(self, step: int) -> NDArray[np.bool_]:
        """Return which faces of this rank are mirrored at a step, bool [B]: half of them on average."""
        if not self.flip:
            return np.zeros(self.batch, np.bool_)
        start = self.rank * self.batch
        lots = np.random.default_rng([self.seed, _FLIPS, step]).random(self.batch * self.world)
        mirrored: NDArray[np.bool_] = lots[start : start + self.batch] < 0.5  # noqa: PLR2004  heads or tails
        return mirrored


@lru_cache(maxsize=4)
def _shuffled(seed: int, epoch: int, faces: int) -> Indices:
    order = np.random.default_rng([seed, _PERMUTATION, epoch]).permutation(faces)
    order.setflags(write=False)
    return order
