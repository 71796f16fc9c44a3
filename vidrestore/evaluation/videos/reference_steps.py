"""Two consecutive frames of the truth, what every video is measured by there, and how the input sways over all."""

import math
from dataclasses import dataclass, field

import numpy as np

from vidrestore.evaluation.metrics.flow import Motion, motion_between
from vidrestore.evaluation.metrics.regions import Region
from vidrestore.evaluation.metrics.registration import (
    ALIGNED,
    STEADY,
    Registration,
    Sway,
    register,
    shows,
    sway_between,
)
from vidrestore.evaluation.metrics.temporal import still_pixels
from vidrestore.evaluation.videos.reference_faces import Scene
from vidrestore.evaluation.videos.results import InputSway
from vidrestore.evaluation.videos.views import View, grey
from vidrestore.types import Float64

_MID_GREY = 128


@dataclass(frozen=True, slots=True)
class Step:
    """A frame of the truth and how it came about from the one before; all videos are measured by the same."""

    scene: Scene
    truth: View
    source: View | None
    """The frame of the input, where one was given."""
    registration: Registration
    """Registration of the input; `ALIGNED` without one."""
    before: View | None
    """The frame before; None at the beginning of a shot."""
    motion: Motion | None = field(repr=False)
    """Motion of the truth since the frame before; None at the beginning of a shot."""
    still: Region | None = field(repr=False)
    """bool [h, w]: where nothing happened in between; None at the beginning of a shot."""
    sway: Sway
    """Sway of the input in between, where it shows one; `STEADY` otherwise."""
    weave: Float64
    """float64 [2], (x, y) in frame pixels: where its sways have brought the input since the shot began."""


def step_from(before: Step | None, scene: Scene, truth: View, source: View | None) -> Step:
    """Make the step from the one before in the same shot, or the first step of a shot."""
    registration = register(source.luma, truth.luma) if source else ALIGNED
    if before is None:
        return Step(scene, truth, source, registration, None, None, None, STEADY, np.zeros(2))
    motion = motion_between(grey(before.truth), grey(truth))
    still = still_pixels(truth.luma, before.truth.luma, motion)
    sway = sway_between(before.registration, registration)
    if not (source and before.source and shows(source.luma, before.source.luma, sway, motion, still)):
        sway = STEADY
    return Step(scene, truth, source, registration, before.truth, motion, still, sway, before.weave - sway.to_before)


def shared(now: View, before: View) -> tuple[list[int], list[int]]:
    """Return the rows, now and before, of the faces that are in both frames."""
    rows = {identity: row for row, identity in enumerate(before.ids)}
    pairs = [(row, rows[identity]) for row, identity in enumerate(now.ids) if identity in rows]
    return [pair[0] for pair in pairs], [pair[1] for pair in pairs]


def both(one: Region, other: Region) -> Region:
    """Return where both regions are."""
    return np.logical_and(one, other)


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
