"""How far the pipeline reaches: the frames before and after a frame that count, and those that are held meanwhile."""

from dataclasses import dataclass, replace
from typing import TypeVar

from vidrestore.media.segments import TemporalSupport
from vidrestore.restoration.config import RestoreConfig
from vidrestore.restoration.temporal.denoiser import Denoiser
from vidrestore.restoration.temporal.stabilizer import Stabilizer
from vidrestore.restoration.temporal.style_smoother import StyleSmoother
from vidrestore.restoration.temporal.weight_ramp import WeightRamp

AnyRestoreConfig = TypeVar("AnyRestoreConfig", bound=RestoreConfig)

_LAG_PRIORITY = ("denoiser", "stabilizer", "tracker", "stabilizer", "denoiser", "fader", "tracker", "stabilizer")
"""Stage that gets each further frame of lag, in this order: the first ones gain most in steadiness."""


@dataclass(frozen=True, slots=True)
class Lags:
    """Number of frames that each stage may hold back."""

    tracker: int
    denoiser: int | None
    """None, here and for the other stages: as many as the stage's window needs."""
    codes: int | None
    fader: int | None
    stabilizer: int | None


def lags_of(config: RestoreConfig) -> Lags:
    """Divide the lag of a live stream among the stages; without one, each holds back what its window needs."""
    lookahead = config.tracker.lookahead
    if config.lag is None:
        return Lags(lookahead, None, None, None, None)
    given = _LAG_PRIORITY[: config.lag]
    tracker, denoiser, fader, stabilizer = (
        given.count(stage) for stage in ("tracker", "denoiser", "fader", "stabilizer")
    )
    return Lags(min(lookahead, tracker), denoiser, 0, fader, stabilizer)


def within_budget(config: AnyRestoreConfig, frame_bytes: int) -> AnyRestoreConfig:
    """Shorten windows and batches so that frames of `frame_bytes` bytes take no more memory than `buffer_mib`.

    Half of the memory is the tracker's; the rest is divided among the batches that wait for a network: three kinds,
    each with up to three batches in flight, or three clips and the detector's batches. Fewer frames in them give the
    same result. Shorter windows do not, but their length depends on the video alone, so that segments together still
    equal one pass over the whole video.
    """
    frames = config.buffer_mib * 2**20 // max(1, frame_bytes)
    batch = max(1, frames // 18)
    detection = replace(config.detection, frames_per_batch=min(config.detection.frames_per_batch, batch))
    most = max(1, frames // 2)
    return replace(
        config,
        detection=detection,
        restorer=replace(config.restorer, clip_frames=min(config.restorer.clip_frames, max(1, frames // 7))),
        tracker=replace(config.tracker, lookahead=min(config.tracker.lookahead, most)),
        denoiser=replace(config.denoiser, frames=min(config.denoiser.frames, most)),
        style=replace(config.style, frames=min(config.style.frames, most)),
        stabilizer=replace(config.stabilizer, frames=min(config.stabilizer.frames, most)),
        selection=replace(config.selection, max_weight_step=max(config.selection.max_weight_step, 1 / most)),
    )


def reach(config: RestoreConfig) -> TemporalSupport:
    """Return the lead-in and lead-out that make a segment equal to the same frames of the video restored whole.

    They add up the times of the tracker, including the time that it remembers a lost face, that from one search for
    faces to the next, and the windows of the stages after them.
    """
    tracker, pixels = config.tracker, pixel_support(config)
    return TemporalSupport(
        past_seconds=tracker.history_seconds
        + tracker.fade_seconds
        + tracker.max_lost_seconds
        + config.detection.follow_seconds
        + config.detection.interval_seconds,
        past_frames=pixels.past_frames + config.shots.min_shot_frames + 1,
        future_seconds=tracker.lookahead_seconds + config.detection.interval_seconds,
        future_frames=pixels.future_frames + 1,
    )


def pixel_support(config: RestoreConfig) -> TemporalSupport:
    """Return how many frames before and after a frame its pixels depend on, once faces are tracked."""
    lags = lags_of(config)
    windows = (
        Denoiser(config.denoiser, lag=lags.denoiser),
        StyleSmoother(config.style, lag=lags.codes),
        WeightRamp(config.selection, lag=lags.fader),
        Stabilizer(config.stabilizer, lag=lags.stabilizer),
    )
    past, future = (sum(getattr(window, name) for window in windows) for name in ("past", "future"))
    return TemporalSupport(past_frames=past, future_frames=future)


def takes_clips(config: RestoreConfig) -> bool:
    """Return whether faces may be restored in clips: not where frames must come out sooner, or style codes vary."""
    return config.lag is None and not config.style.frames


def clip_context(config: RestoreConfig) -> int:
    """Return how many crops before and after a clip its restoration depends on."""
    return Denoiser(config.denoiser).past + Stabilizer(config.stabilizer).past
