"""How long to wait before trying again."""

import random
from dataclasses import dataclass

from vidrestore.errors import ConfigError


@dataclass(frozen=True, slots=True)
class BackoffConfig:
    """Waits grow from the first to the longest, each by the factor, with jitter so that many do not come at once."""

    first_seconds: float = 0.25
    longest_seconds: float = 10.0
    factor: float = 1.7
    jitter: float = 0.3
    """Share of a wait that chance adds or takes away, 0..1."""

    def __post_init__(self) -> None:
        if not (0 < self.first_seconds <= self.longest_seconds and self.factor >= 1 and 0 <= self.jitter < 1):
            raise ConfigError(f"{self}: wanted 0 < first_seconds <= longest_seconds, factor >= 1, 0 <= jitter < 1")


class Backoff:
    """The waits of one connection; `succeeded` begins anew."""

    def __init__(self, config: BackoffConfig, chance: random.Random) -> None:
        self._config = config
        self._chance = chance
        self._tries = 0

    def next_seconds(self) -> float:
        """How long to wait before the next try."""
        config = self._config
        wait = min(config.longest_seconds, config.first_seconds * config.factor**self._tries)
        self._tries = min(self._tries + 1, 64)
        return wait * (1 + config.jitter * (2 * self._chance.random() - 1))

    def succeeded(self) -> None:
        """The connection stands."""
        self._tries = 0
