"""The learning rate over a training: warm-up, a plateau, and a half cosine down to zero."""

import math
from dataclasses import dataclass

from vidrestore.errors import ConfigError


@dataclass(frozen=True, slots=True)
class ScheduleConfig:
    """Shares of the full rate by step.

    Raises:
        ConfigError: A value is out of its range.
    """

    steps: int = 10_000
    """The whole training, so that it ends where the rate does."""
    warmup_steps: int = 300
    decay_share: float = 0.3
    """Of the steps, at the end, over which the rate falls."""

    def __post_init__(self) -> None:
        if self.steps < 1 or self.warmup_steps < 0:
            raise ConfigError(f"steps is {self.steps} and warmup_steps {self.warmup_steps}; give 1 and 0 or more")
        if not 0 <= self.decay_share <= 1:
            raise ConfigError(f"decay_share is {self.decay_share}; give a share from 0 to 1")

    def rate(self, step: int) -> float:
        """What learning rates are multiplied by at a step, in (0, 1]."""
        warm = min(1.0, (step + 1) / (self.warmup_steps + 1))
        falling = self.steps * self.decay_share
        progress = (step - (self.steps - falling)) / falling if falling else 0.0
        return warm * max(1e-3, 0.5 * (1 + math.cos(math.pi * min(max(progress, 0.0), 1.0))))
