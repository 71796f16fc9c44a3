"""Summary of a video in one row, from its frames and tracks."""

import math
import statistics
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import fields
from typing import Final

from vidrestore.evaluation.videos.results import FrameFigures, Summary, TrackFigures

_NO_FIGURES: Final = frozenset({"index", "seconds", "faces", "landmarks_missed"})
FIGURES: Final = tuple(one.name for one in fields(FrameFigures) if one.name not in _NO_FIGURES)
"""Names of what is measured in a frame."""


def summarise(frames: Sequence[FrameFigures], tracks: Sequence[TrackFigures]) -> Summary:
    """Compute the means of one video."""
    measured = {name: _present(getattr(frame, name) for frame in frames) for name in FIGURES}
    mean = {name: statistics.fmean(values) if values else None for name, values in measured.items()}
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
        frames_measured={name: len(values) for name, values in measured.items()},
        landmarks_missed=sum(frame.landmarks_missed for frame in frames),
        expressions_unmeasured=dict(Counter(f"{feature} {reason}" for feature, reason in reasons if reason)),
    )


def _present(values: Iterable[float | None]) -> list[float]:
    return [value for value in values if value is not None]


def _weighted(tracks: Sequence[TrackFigures], figure: Callable[[TrackFigures], float | None]) -> float | None:
    """Return the mean over the tracks that have the figure, each weighted by its frames."""
    known = [(value, track.frames) for track in tracks if (value := figure(track)) is not None]
    return sum(value * count for value, count in known) / sum(count for _, count in known) if known else None
