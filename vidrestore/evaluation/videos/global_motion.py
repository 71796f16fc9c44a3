"""How much the input sways over a whole video."""

import math

from vidrestore.evaluation.videos.reference_steps import Step
from vidrestore.evaluation.videos.results import InputSway

_MID_GREY = 128


class SwayRecorder:
    """Sums up the steps of an input; holds sums only."""

    def __init__(self) -> None:
        self._steps = self._unknown = 0
        self._weave = self._lamp = 0.0

    def take(self, step: Step) -> None:
        """Note a step."""
        self._unknown += not step.registration.found
        if step.before is not None:
            self._steps += 1
            self._weave += float(step.sway.to_before @ step.sway.to_before)
            self._lamp += (step.sway.light(_MID_GREY) - _MID_GREY) ** 2

    def figures(self) -> InputSway:
        """Return the figures of all steps so far."""
        if not self._steps:
            return InputSway(None, None, self._unknown)
        return InputSway(math.sqrt(self._weave / self._steps), math.sqrt(self._lamp / self._steps), self._unknown)
