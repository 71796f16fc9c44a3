"""Options of finding and following faces."""

from dataclasses import dataclass, field
from typing import Annotated, Literal

import numpy as np
from pydantic import Field

from vidrestore.config import Options
from vidrestore.types import Float64

NetworkName = Literal["retinaface-mobile0.25", "retinaface-resnet50"]


@dataclass(frozen=True, slots=True)
class DetectorConfig(Options):
    """The face detector and its thresholds."""

    name: Annotated[
        NetworkName,
        Field(
            description="Detector network. The small one comes with the package; retinaface-resnet50 (109 MB) is "
            "downloaded on first use and ten times slower."
        ),
    ] = "retinaface-mobile0.25"
    score_threshold: Annotated[
        float,
        Field(
            gt=0,
            lt=1,
            description="Lowest score of a detection that counts. The tracker drops faces that are detected only once, "
            "so this may be low.",
        ),
    ] = 0.6
    nms_threshold: Annotated[
        float,
        Field(
            gt=0,
            lt=1,
            description="Intersection over union above which the weaker of two overlapping boxes is dropped.",
        ),
    ] = 0.4
    device: Annotated[
        str, Field(description="Device of the detector: auto (CUDA if available), cpu, cuda or cuda:N.")
    ] = "auto"
    batch_size_gpu: Annotated[
        int,
        Field(
            ge=1,
            description="Images per forward pass on a GPU. Smaller groups are padded, so that results do not depend on "
            "grouping. On a CPU it is always one.",
        ),
    ] = 8


@dataclass(frozen=True, slots=True)
class MotionConfig(Options):
    """The motion model of a face: strengths of acceleration and of landmark noise.

    Accelerations and noise are near the maximum likelihood on five real clips; `calm_acceleration_ratio` and
    `student_t_dof` lie between what holds damaged clips closest to the poses of the undamaged ones, and what follows
    fast heads.
    """

    scale_acceleration: Annotated[
        float, Field(gt=0, description="Noise of the second derivative of log size, in 1/s^1.5.")
    ] = 0.3
    turn_acceleration: Annotated[
        float, Field(gt=0, description="Noise of the second derivative of the angle, in rad/s^1.5.")
    ] = 0.4
    shift_acceleration: Annotated[
        float, Field(gt=0, description="Noise of the second derivative of the position, in face sizes/s^1.5.")
    ] = 0.25
    landmark_noise: Annotated[
        float,
        Field(
            gt=0,
            description="Standard deviation of one landmark coordinate of a certain, frontal face, in face sizes.",
        ),
    ] = 0.0015
    landmark_noise_pixels: Annotated[
        float, Field(gt=0, description="Part of that deviation that does not shrink with the face, in display pixels.")
    ] = 0.12
    smoothing: Annotated[
        float,
        Field(
            gt=0,
            description="Factor on the landmark noise. A larger one keeps the crop steadier and follows sudden motion "
            "less closely.",
        ),
    ] = 1.5
    calm_acceleration_ratio: Annotated[
        float,
        Field(
            ge=0.01,
            le=1,
            description="Fraction of the accelerations that poses are smoothed with while a face is calm; where it is "
            "not, they grow with what is observed.",
        ),
    ] = 0.35
    student_t_dof: Annotated[
        float,
        Field(
            ge=1,
            allow_inf_nan=False,
            description="Degrees of freedom of Student's t distribution of the smoothed accelerations. The fewer, the "
            "more readily they grow; 1e9 is as good as Gaussian.",
        ),
    ] = 8.0

    def accelerations(self, size: float) -> Float64:
        """Return the spectral densities of the accelerations [4] of a face of `size` display pixels."""
        shift = self.shift_acceleration * size
        return np.square([self.scale_acceleration, self.turn_acceleration, shift, shift])

    def start_speed(self, size: float) -> Float64:
        """Return the variances [4] of the velocities of a new face: a size and a radian per second."""
        return np.square([1.0, 1.0, size, size])


@dataclass(frozen=True, slots=True)
class AssociationConfig(Options):
    """Limits within which two detections may show the same face."""

    gate: Annotated[
        float, Field(gt=0, lt=1, description="Fraction of true matches that the Mahalanobis gate lets through.")
    ] = 0.9999
    slack: Annotated[
        float,
        Field(
            ge=0,
            description="Standard deviation of sudden motion beyond the model that the gate allows for, in face sizes "
            "and radians.",
        ),
    ] = 0.05
    max_distance: Annotated[
        float,
        Field(
            gt=0,
            description="Largest root-mean-square distance of landmarks from their prediction, in face sizes.",
        ),
    ] = 0.7


@dataclass(frozen=True, slots=True)
class TrackerConfig(Options):
    """Tracking: confirmation of faces, times that they are held, and the window of the smoother."""

    lookahead_seconds: Annotated[
        float,
        Field(
            ge=0,
            description="Time that frames are held back so that the pose of a face also knows what follows, and a face "
            "when it will leave.",
        ),
    ] = 0.51
    lookahead: Annotated[
        int,
        Field(
            ge=0,
            description="Maximum number of frames that the tracker holds back, whatever their rate; 0 is causal.",
        ),
    ] = 128
    history_seconds: Annotated[
        float, Field(ge=0, description="Time before a frame whose detections influence its poses.")
    ] = 0.99
    history: Annotated[int, Field(ge=0, description="Maximum number of frames in that time.")] = 256
    min_hits: Annotated[
        int,
        Field(
            ge=1,
            description="Detector runs within the window that must have found a face before it counts (all runs, where "
            "there are fewer).",
        ),
    ] = 3
    new_track_score: Annotated[
        float,
        Field(
            ge=0,
            lt=1,
            description="Detector score that a face must reach once to be restored; before and after, any score will "
            "do.",
        ),
    ] = 0.9
    max_gap_seconds: Annotated[
        float,
        Field(ge=0, description="Longest time without a detection that is bridged, as far as the lookahead reaches."),
    ] = 0.51
    coast_seconds: Annotated[
        float,
        Field(
            ge=0,
            description="Time for which a lost face is still restored, fading out; for live video. Use fade_seconds "
            "plus the detection interval, or more, for a gentle fade.",
        ),
    ] = 0.0
    fade_seconds: Annotated[
        float,
        Field(
            ge=0,
            description="Time in which a face fades in and out, unless it is there when a shot begins or ends; 0: at "
            "once.",
        ),
    ] = 0.18
    max_lost_seconds: Annotated[
        float,
        Field(
            ge=0,
            description="Time after which a lost face is forgotten; found again later, it starts a new track. Keep the "
            "detection interval shorter than this.",
        ),
    ] = 1.0
    duplicate_overlap: Annotated[
        float, Field(gt=0, le=1, description="Intersection over union of two boxes above which they are one face.")
    ] = 0.5
    motion: MotionConfig = field(default_factory=MotionConfig)
    association: AssociationConfig = field(default_factory=AssociationConfig)

    def check_together(self) -> None:
        """Refuse a history shorter than the times that look back."""
        if self.history < self.lookahead:
            self.refuse("history", f"use lookahead ({self.lookahead}) or more frames")
        for option in ("max_gap_seconds", "coast_seconds", "fade_seconds"):
            if self.history_seconds < getattr(self, option):
                self.refuse("history_seconds", f"use {option} ({getattr(self, option)}) or more")
