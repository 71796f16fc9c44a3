"""Delays between attempts to connect."""

import random

from vidrestore.live.config import BackoffConfig


class Backoff:
    """Delays of one connection; after `succeeded` they start again from the first."""

    def __init__(self, config: BackoffConfig, chance: random.Random) -> None:
        self._config = config
        self._chance = chance
        self._tries = 0

    def next_seconds(self) -> float:
        """Return the delay before the next attempt, in seconds."""
        config = self._config
        wait = min(config.max_seconds, config.first_seconds * config.factor**self._tries)
        self._tries = min(self._tries + 1, 64)
        return wait * (1 + config.jitter * (2 * self._chance.random() - 1))

    def succeeded(self) -> None:
        """Reset the delay: the connection stands."""
        self._tries = 0
