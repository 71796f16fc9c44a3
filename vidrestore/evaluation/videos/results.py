"""Results of a comparison: values that survive a round trip through JSON, and the summary of a video."""

import math
import statistics
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Annotated, Final, Literal

from pydantic import AliasChoices, Field

from vidrestore.evaluation.metrics.expression import ExpressionMatch
from vidrestore.files import replace_text
from vidrestore.report_json import from_json, to_json

Role = Literal["reference", "input", "test"]

_NO_FIGURES: Final = frozenset({"index", "seconds", "faces", "landmarks_missed"})
"""Fields of `FrameFigures` that measure nothing."""


@dataclass(frozen=True, slots=True)
class FrameFigures:
    """One frame of one video; means over its faces. None where there is nothing to measure."""

    index: int
    seconds: float
    """Seconds since the reference's first frame."""
    faces: int
    """Number of faces measured."""
    psnr_faces: float | None
    """PSNR in dB, in the faces' regions; identical pictures count with `fidelity.PSNR_CEILING_DECIBELS`."""
    ssim_faces: float | None
    """SSIM in the faces' regions, -1..1."""
    psnr_elsewhere: float | None
    """PSNR in dB, where no face's mask reaches."""
    ssim_elsewhere: float | None
    warp_error: float | None
    """Grey levels 0..255, in the faces: change against the frame before that the truth's motion does not explain, nor
    the input's sway (see `InputSway`)."""
    sharpness_ratio: float | None
    """Energy of fine detail in the inner face as a share of the truth's; 1 is as sharp."""
    jitter_percent: float | None
    """Second difference of the landmarks' offsets in this frame and the two before, per cent of the eye distance;
    where the input's whole picture lies does not count."""
    temporal_feature_distance: float | None
    """Excess or lack of a face's change since the frame before, in MobileNetV2's features; 0 is best."""
    identity_cosine: float | None
    """Cosine with the embedding of the truth's face, -1..1."""
    seam_energy: float | None
    """Seam energy, (grey levels per crop pixel)^2 across the border of the pasted mask, beyond the truth's."""
    seam_energy_over_both: float | None
    """Seam energy beyond the truth's and the input's, whichever is more: what pasting added. None without an input."""
    flicker_faces: float | None
    """Change since the frame before, grey levels, where the truth is still, in the faces; without the input's sway."""
    flicker_elsewhere: float | None
    """The same change where no face's mask reaches."""
    landmarks_missed: int
    """Faces that the detector did not find in their crops: none, or only a neighbour's."""


@dataclass(frozen=True, slots=True)
class TrackFigures:
    """One face over a stretch of one video."""

    track: int
    first_frame: int
    last_frame: int
    frames: int
    """Number of frames in which it was measured."""
    identity_cosine: float
    """Mean of the cosine with the truth."""
    identity_deviation: float
    """Standard deviation of the cosine."""
    identity_spread: float
    """Mean distance of its embeddings from their mean."""
    mouth: ExpressionMatch
    eyes: ExpressionMatch


@dataclass(frozen=True, slots=True)
class Summary:
    """One video in a row: means over the frames, or over the tracks weighted by their frames; None: not measured.

    Units and ranges are those of `FrameFigures` and `TrackFigures`.
    """

    psnr_faces: float | None
    ssim_faces: float | None
    psnr_elsewhere: float | None
    ssim_elsewhere: float | None
    warp_error: float | None
    sharpness_ratio: float | None
    jitter_percent: float | None
    """Root mean square over the frames: a single jump counts."""
    jitter_median_percent: float | None
    """Median over the frames: single jumps do not count."""
    temporal_feature_distance: float | None
    identity_cosine: float | None
    identity_deviation: float | None
    identity_spread: float | None
    seam_energy: float | None
    seam_energy_over_both: float | None
    flicker_faces: float | None
    flicker_elsewhere: float | None
    mouth_correlation: float | None
    mouth_gain: float | None
    eyes_correlation: float | None
    eyes_gain: float | None
    frames_measured: dict[str, int]
    """For each figure of `FrameFigures`, the number of frames in which it could be measured."""
    landmarks_missed: int
    """Faces that the detector did not find in their crops: none, or only a neighbour's."""
    expressions_unmeasured: dict[str, int]
    """Stretches of tracks without a correlation, by feature and reason, such as `mouth too short`."""


@dataclass(frozen=True, slots=True)
class VideoFigures:
    """One video against the reference.

    The reference is among the videos, against itself: what is not perfect there is the measure's own floor. Its
    jitter is that of the detector against the smoothed track.
    """

    name: str
    path: str
    role: Role
    summary: Summary
    tracks: tuple[TrackFigures, ...] = field(repr=False)
    frames: tuple[FrameFigures, ...] = field(repr=False)

    @property
    def label(self) -> str:
        """Name of its row in tables and of its line in curves."""
        return self.name if self.role == "test" else f"{self.role}: {self.name}"


@dataclass(frozen=True, slots=True)
class InputSway:
    """Movement of the input's whole picture that the truth lacks: its gate weaves, its lamp flickers.

    Every restoration that keeps pictures in their place does the same: it is taken out of warp error, jitter and
    flicker of all videos but the reference.
    """

    weave_pixels: float | None
    """Root mean square of the weave from frame to frame, frame pixels; None where no frame follows another."""
    lamp_levels: float | None
    """Root mean square of the change of mid-grey between frames, grey levels 0..255; None as for `weave_pixels`."""
    frames_unknown: int
    """Frames whose place or light could not be measured, and counted as the truth's."""


@dataclass(frozen=True, slots=True)
class VideoComparison:
    """Everything that one comparison measured; the same videos and host give the same."""

    reference: str
    width: int
    """Width in frame pixels."""
    height: int
    frames: int
    frames_without_faces: int
    shots: int
    tracks: int
    """Faces that were followed and measured."""
    faces: int
    """Faces measured, summed over the frames."""
    faces_too_small: int
    """Faces too small to be measured, summed over the frames."""
    min_face: float
    """Width in display pixels below which a face is too small."""
    crop_size: int
    """Side in pixels of the aligned faces."""
    input_sway: InputSway | None
    """Sway of the input; None without an input."""
    videos: Annotated[tuple[VideoFigures, ...], Field(validation_alias=AliasChoices("videos", "films"))]
    """The reference, the input if one was given, and the tests in their order; before this release: `films`."""
    notes: tuple[str, ...]
    """Descriptions of what could not be read of the videos."""
    versions: dict[str, str]

    def to_json(self) -> str:
        """Serialise to JSON."""
        return to_json(self)

    @classmethod
    def from_json(cls, text: str) -> "VideoComparison":
        """Read what `to_json` wrote.

        Raises:
            InputError: the text is something else.
        """
        return from_json(cls, text, what="a comparison of videos")

    def __str__(self) -> str:
        rows = [
            f"{one.role} {one.name}: PSNR of faces {_figure(one.summary.psnr_faces)} dB, identity "
            f"{_figure(one.summary.identity_cosine)}, warp error {_figure(one.summary.warp_error)}"
            for one in self.videos
        ]
        return "\n".join([f"{self.reference}: {self.frames} frames, {self.faces} faces", *rows])

    def save(self, path: str | Path) -> None:
        """Write the JSON.

        Raises:
            OutputError: the file cannot be written.
        """
        replace_text(Path(path), self.to_json())


def _figure(value: float | None) -> str:
    return "none" if value is None else f"{value:.3f}"


def summarise(frames: Sequence[FrameFigures], tracks: Sequence[TrackFigures]) -> Summary:
    """Compute the means of one video."""
    names = [one.name for one in fields(FrameFigures) if one.name not in _NO_FIGURES]
    values = {name: [getattr(frame, name) for frame in frames] for name in names}
    measured = {name: [value for value in found if value is not None] for name, found in values.items()}
    mean = {name: statistics.fmean(found) if found else None for name, found in measured.items()}
    jitters = measured["jitter_percent"]
    reasons = [("mouth", track.mouth.unmeasured) for track in tracks]
    reasons += [("eyes", track.eyes.unmeasured) for track in tracks]
    return Summary(
        psnr_faces=mean["psnr_faces"],
        ssim_faces=mean["ssim_faces"],
        psnr_elsewhere=mean["psnr_elsewhere"],
        ssim_elsewhere=mean["ssim_elsewhere"],
        warp_error=mean["warp_error"],
        sharpness_ratio=mean["sharpness_ratio"],
        jitter_percent=math.sqrt(statistics.fmean(value**2 for value in jitters)) if jitters else None,
        jitter_median_percent=statistics.median(jitters) if jitters else None,
        temporal_feature_distance=mean["temporal_feature_distance"],
        identity_cosine=mean["identity_cosine"],
        identity_deviation=_weighted(tracks, lambda track: track.identity_deviation),
        identity_spread=_weighted(tracks, lambda track: track.identity_spread),
        seam_energy=mean["seam_energy"],
        seam_energy_over_both=mean["seam_energy_over_both"],
        flicker_faces=mean["flicker_faces"],
        flicker_elsewhere=mean["flicker_elsewhere"],
        mouth_correlation=_weighted(tracks, lambda track: track.mouth.correlation),
        mouth_gain=_weighted(tracks, lambda track: track.mouth.gain),
        eyes_correlation=_weighted(tracks, lambda track: track.eyes.correlation),
        eyes_gain=_weighted(tracks, lambda track: track.eyes.gain),
        frames_measured={name: len(found) for name, found in measured.items()},
        landmarks_missed=sum(frame.landmarks_missed for frame in frames),
        expressions_unmeasured=dict(Counter(f"{feature} {reason}" for feature, reason in reasons if reason)),
    )


def _weighted(tracks: Sequence[TrackFigures], figure: Callable[[TrackFigures], float | None]) -> float | None:
    """Return the mean over the tracks that have the figure, each weighted by its frames."""
    known = [(value, track.frames) for track in tracks if (value := figure(track)) is not None]
    return sum(value * count for value, count in known) / sum(count for _, count in known) if known else None
