"""The learning rate over a training: warm-up, a plateau, and a half cosine down to zero."""

import math
from dataclasses import dataclass
from typing import Annotated

from pydantic import Field

from vidrestore.config import Options


@dataclass(frozen=True, slots=True)
class ScheduleConfig(Options):
    """Learning rate as a share of the full rate, by step.

    Raises:
        ConfigError: A value is out of its range.
    """

    steps: Annotated[
        int, Field(ge=1, description="Steps of the whole training, so that it ends where the rate does.")
    ] = 10_000
    warmup_steps: Annotated[int, Field(ge=0)] = 300
    decay_share: Annotated[
        float, Field(ge=0, le=1, description="Share of the steps, at the end, over which the rate falls.")
    ] = 0.3

    def rate(self, step: int) -> float:
        """Return the factor of learning rates at a step, in (0, 1]."""
        warm = min(1.0, (step + 1) / (self.warmup_steps + 1))
        falling = self.steps * self.decay_share
        progress = (step - (self.steps - falling)) / falling if falling else 0.0
        return warm * max(1e-3, 0.5 * (1 + math.cos(math.pi * min(max(progress, 0.0), 1.0))))
