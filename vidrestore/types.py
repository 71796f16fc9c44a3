"""The values that travel between stages: frozen, slotted, cheap to hand on.

Three coordinate frames occur, all (x, y) with pixel centres at integers:

- *frame pixels*: the luma grid of the coded picture, as decoded;
- *display pixels*: upright and with square pixels, what a viewer sees: mirroring, rotation and sample aspect
  ratio applied.
  Faces are found, tracked and aligned here (a phone's sideways video, an anamorphic tape);
- *crop pixels*: the aligned square that the network reads.
"""

from dataclasses import dataclass, field
from fractions import Fraction
from typing import Generic, NamedTuple, TypeVar

import numpy as np
from numpy.typing import NDArray

Planes = tuple[NDArray[np.uint8] | NDArray[np.uint16], ...]
UInt8 = NDArray[np.uint8]
Float32 = NDArray[np.float32]
Float64 = NDArray[np.float64]

T_co = TypeVar("T_co", covariant=True)


@dataclass(frozen=True, slots=True)
class Colour:
    """The meaning of code values: ITU-T H.273 code points as FFmpeg numbers them; 2 is unspecified."""

    matrix: int = 2
    primaries: int = 2
    transfer: int = 2
    full_range: bool = False


@dataclass(frozen=True, slots=True)
class Frame:
    """One decoded frame in its native planes, never converted.

    `planes` are read-only arrays [height, width] (or [height, width, 3] for packed RGB), uint8 or uint16,
    in the order of FFmpeg's pixel format `pixel_format`; they may be views of decoder memory.
    """

    index: int
    """Ordinal in decoding order of the stream, from 0. Never a time."""
    pts: int
    """Presentation time in units of `time_base`; the time in seconds is exactly `pts * time_base`."""
    time_base: Fraction
    duration: int
    """Duration in units of `time_base`; 0 when the container does not say."""
    width: int
    height: int
    pixel_format: str
    planes: Planes = field(repr=False)
    colour: Colour = Colour()
    rotation: int = 0
    """Degrees a viewer turns the frame, counter-clockwise, as FFmpeg and PyAV count: 0, 90, 180 or 270."""
    mirrored: bool = False
    """Whether a viewer swaps left and right before turning it, as with some front cameras."""
    sample_aspect_ratio: Fraction = Fraction(1)
    """Width over height of one coded pixel."""
    interlaced: bool = False

    @property
    def seconds(self) -> Fraction:
        """Presentation time, exact."""
        return self.pts * self.time_base


@dataclass(frozen=True, slots=True)
class Detection:
    """A face found in one frame."""

    landmarks: Float32 = field(repr=False)
    """float32 [5, 2], display pixels: the viewer's left eye, right eye, nose tip, left and right mouth corner."""
    box: Float32
    """float32 [4], display pixels: left, top, right, bottom."""
    score: float
    """0..1."""


@dataclass(frozen=True, slots=True)
class FaceTrack:
    """One face at one frame, as the tracker believes it to be: a snapshot, not the filter."""

    id: int
    """Unique within a stream."""
    to_display: Float64 = field(repr=False)
    """float64 [2, 3], similarity, crop template of unit size -> display pixels (see `faces.alignment`)."""
    size: float
    """Side of the aligned square in display pixels."""
    score: float
    """0..1: the detector's confidence, averaged over its last detections."""
    covariance: Float64 = field(repr=False)
    """float64 [4, 4] of (log size, angle in radians, centre x, centre y in display pixels)."""
    time_since_update: int = 0
    """Detector runs since the face was last found, at this frame; 0 when it was found."""
    presence: float = 1.0
    """0..1: how fully the face is there; it rises after the face appears within a shot and falls before it goes."""
    yaw: float = 0.0
    """Degrees from -90 to 90 that the head is turned, averaged over the last detections (see `faces.alignment.yaw`)."""


class FlowField(NamedTuple):
    """Position of the point that a pixel shows in another crop, on a grid of g x g pixels laid over both.

    Grid pixels are (x, y) with centres at integers, as crop pixels are, but fewer (see `restoration.flow`).
    """

    shift: Float32
    """float32 [g, g, 2], grid pixels: the point shown at (x, y) lies at (x, y) + shift in the other crop."""
    confidence: Float32
    """float32 [g, g], 0..1."""


class FlowPair(NamedTuple):
    """Optical flow of a face between two neighbouring frames."""

    backward: FlowField
    """Flow from the later crop to the earlier one."""
    forward: FlowField
    """Flow from the earlier crop to the later one."""


@dataclass(frozen=True, slots=True)
class AlignedFace:
    """A face cut out and turned upright for the network."""

    track: FaceTrack
    crop: UInt8 = field(repr=False)
    """uint8 [S, S, 3] RGB."""
    to_crop: Float64 = field(repr=False)
    """float64 [2, 3], frame pixels -> crop pixels."""
    link: FlowPair | None = field(default=None, repr=False)
    """Optical flow to the same face in the frame before, once a stage over time has found it."""
    codes: Float32 | None = field(default=None, repr=False)
    """float32 [N, D]: style codes to restore it with in place of its own."""
    visibility: Float32 | None = field(default=None, repr=False)
    """float32 [m, m] over the crop, 0..1: how much to show of what is restored there; None: all of it."""


class StyledCrop(NamedTuple):
    """The result of a network for given style codes."""

    crop: UInt8
    """uint8 [S, S, 3] RGB."""
    codes: Float32
    """float32 [N, D]."""


@dataclass(frozen=True, slots=True)
class Restoration:
    """A restored face and how much of it to show."""

    face: AlignedFace
    crop: UInt8 = field(repr=False)
    """uint8 [S, S, 3] RGB, the restored face."""
    weight: float = 1.0
    """0..1: the share of the restored face in the blend."""


@dataclass(frozen=True, slots=True)
class FrameFaces(Generic[T_co]):
    """A frame and the faces in it; the type argument names the stage that made them."""

    frame: Frame
    faces: tuple[T_co, ...]
    shot: int = 0
    detector_ran: bool = True
    """Whether the detector ran on this frame; no faces then means that none were found."""
