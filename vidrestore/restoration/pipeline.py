"""The pipeline, from frames to frames with restored faces. Files, live streams and clusters all call it.

    frames ── preview, shot ──> detector ──> finder ──> tracker ──> selector ──> aligner ──> denoiser ──┐
          frames <──────────── compositor <── stabilizer <── fader <── restorer <── visibility <───────┘

Everything is pulled: a frame is decoded when a finished one is asked for. Frames held at most: one detector batch
and one restorer batch for each batch that the executor reads ahead and one more, the tracker's lookahead, the
denoiser's, the fader's and the stabilizer's.
"""

import logging
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import partial
from typing import TypeVar

from vidrestore.errors import ConfigError
from vidrestore.faces.config import TrackerConfig
from vidrestore.faces.tracker import Tracker
from vidrestore.media.segments import TemporalSupport
from vidrestore.report import Recorder
from vidrestore.restoration.clips.clip import FaceClip, RestoredClip, restore_in_clips
from vidrestore.restoration.config import (
    OcclusionConfig,
    RestoreConfig,
)
from vidrestore.restoration.detection.schedule import every, find_faces
from vidrestore.restoration.face.compositor import Compositor
from vidrestore.restoration.face.cropper import FaceCropper
from vidrestore.restoration.face.selection import FaceSelector, with_blend_weight
from vidrestore.restoration.face.visibility_alpha import visibility_to_alpha
from vidrestore.restoration.quality_limits import QualityLimits
from vidrestore.restoration.support import Lags, clip_context, lags_of, pixel_support, takes_clips
from vidrestore.restoration.temporal.denoiser import Denoiser
from vidrestore.restoration.temporal.residual_propagator import ResidualPropagator
from vidrestore.restoration.temporal.stabilizer import Stabilizer
from vidrestore.restoration.temporal.style_smoother import StyleSmoother
from vidrestore.restoration.temporal.weight_ramp import WeightRamp
from vidrestore.stages import Executor, map_faces, run, run_ahead
from vidrestore.types import (
    AlignedFace,
    Detection,
    FaceTrack,
    Float32,
    Frame,
    FrameFaces,
    Restoration,
    StyledCrop,
    UInt8,
)

_log = logging.getLogger(__name__)

_REMEMBERED_TRACKS = 1024
"""Number of recent tracks whose ids are kept for counting each track once; a live stream never ends."""

In = TypeVar("In")
Out = TypeVar("Out")
Joined = TypeVar("Joined")


@dataclass(frozen=True, slots=True)
class InferenceModels:
    """The networks, which may run in other processes, and what the pipeline must know of them."""

    detector: Executor[UInt8, tuple[Detection, ...]]
    """uint8 [h, w, 3] RGB previews -> detections in preview pixels."""
    restorer: Executor[UInt8, UInt8]
    """uint8 [S, S, 3] RGB crops -> restored crops of the same size."""
    crop_size: int
    """S."""
    batch_size: int
    """Number of crops per call of the restorer, gathered across frames."""
    frames_per_batch: int = 16
    """Number of frames after which a batch is sent even if it is not full."""
    encoder: Executor[UInt8, Float32] | None = None
    """uint8 [S, S, 3] RGB crops -> style codes float32 [N, D]; needed where `style.frames` is above 0."""
    styled_restorer: Executor[StyledCrop, UInt8] | None = None
    """Crops with style codes -> restored crops; needed where `style.frames` is above 0."""
    clips: Executor[FaceClip, RestoredClip] | None = None
    """Clips of crops -> finished crops: the work over time too; None: frame by frame, with OpenCV."""
    visibility: Executor[UInt8, UInt8] | None = None
    """uint8 [S, S, 3] RGB crops -> uint8 [64, 64], 0..255: where the face is seen; None: everywhere."""


def restore_frames(
    frames: Iterable[Frame],
    parts: InferenceModels,
    config: RestoreConfig,
    recorder: Recorder,
    *,
    limits: QualityLimits | None = None,
    overlap: bool = False,
    is_counted: Callable[[Frame], bool] | None = None,
) -> Iterator[Frame]:
    """Restore the faces of a stream of frames.

    Args:
        frames: in presentation order.
        parts: where detection and restoration run.
        config: everything else.
        recorder: counts frames, detector runs, faces, tracks and shots, and times every stage.
        limits: what may be spent on a frame, read again for each frame; for live video, with executors that do not
            read ahead.
        overlap: whether the stages before the network run in a thread of their own, one frame ahead of the rest.
        is_counted: whether a frame is to be restored and counted; the others only serve as neighbours, and come out as
            they are. None: every frame.

    Returns:
        As many frames, in the same order, with the same times; those without faces are the same objects.
    """
    lags = lags_of(config)
    counts = is_counted or every
    _log.debug("restoring with %s, frames held back: %s", config, lags)
    detected = find_faces(recorder.timed("decode", frames), parts.detector, config, recorder, limits, counts)
    tracker = replace(config.tracker, lookahead=lags.tracker)
    tracked = recorder.timed("track", _track(detected, tracker, recorder))
    selected = run(FaceSelector(config.selection, limits), tracked)
    if is_counted is not None:
        selected = _near_counted(selected, is_counted, pixel_support(config))
    aligned = recorder.timed("align", _counted(map(FaceCropper(parts.crop_size), selected), recorder, counts))
    if parts.clips is not None and limits is None and takes_clips(config):
        length, context = config.restorer.clip_frames, clip_context(config)
        clips = restore_in_clips(aligned, parts.clips, length=length, context=context, config=config.selection)
        finished = recorder.timed("restore", clips)
        ramped = run(WeightRamp(config.selection, lag=lags.fader), finished)
        return recorder.timed("composite", _composited(ramped, config, counts))
    clean = recorder.timed("denoise", run(Denoiser(config.denoiser, lag=lags.denoiser), aligned))
    if overlap:
        clean = recorder.timed("wait", run_ahead(clean))
    seen = recorder.timed("see", _predict_visibility(clean, parts, config))
    restored = recorder.timed("restore", _restore(seen, parts, config, lags, recorder, limits))
    faded = run(WeightRamp(config.selection, lag=lags.fader), restored)
    steady = recorder.timed("stabilize", run(Stabilizer(config.stabilizer, lag=lags.stabilizer), faded))
    return recorder.timed("composite", _composited(steady, config, counts))


def _near_counted(
    items: Iterable[FrameFaces[FaceTrack]], is_counted: Callable[[Frame], bool], reach: TemporalSupport
) -> Iterator[FrameFaces[FaceTrack]]:
    """Drop the faces of frames on whose pixels no counted frame depends: they were there for the tracker alone."""
    held: deque[FrameFaces[FaceTrack]] = deque()
    """Frames that a counted one may still follow closely enough."""
    since = reach.future_frames
    """Number of frames since the last counted one."""
    for item in items:
        since = 0 if is_counted(item.frame) else since + 1
        if since <= reach.future_frames:
            yield from held
            held.clear()
            yield item
            continue
        held.append(item)
        if len(held) > reach.past_frames:
            yield replace(held.popleft(), faces=())
    for item in held:
        yield replace(item, faces=())


def _composited(
    items: Iterable[FrameFaces[Restoration]], config: RestoreConfig, is_counted: Callable[[Frame], bool]
) -> Iterator[Frame]:
    compositor = Compositor(config.compositor)
    for item in items:
        yield compositor(item) if is_counted(item.frame) else item.frame


def _track(
    items: Iterable[FrameFaces[Detection]], config: TrackerConfig, recorder: Recorder
) -> Iterator[FrameFaces[FaceTrack]]:
    tracker = Tracker(config)
    for item in run(tracker, items):
        recorder.counts.detections_rejected = tracker.rejected
        recorder.tracks_in_frame = len(item.faces)
        yield item


def _counted(
    items: Iterable[FrameFaces[AlignedFace]], recorder: Recorder, is_counted: Callable[[Frame], bool]
) -> Iterator[FrameFaces[AlignedFace]]:
    seen: set[int] = set()
    for item in items:
        if not is_counted(item.frame):
            yield item
            continue
        shown = {face.track.id for face in item.faces}
        recorder.counts.tracks += len(shown - seen)
        seen |= shown
        if len(seen) > _REMEMBERED_TRACKS:
            # ids rise: a track whose id lies far below the highest and that is not in a frame any more does not return
            oldest = max(seen) - _REMEMBERED_TRACKS
            seen = {track for track in seen if track > oldest or track in shown}
        recorder.counts.frames_with_faces += bool(item.faces)
        recorder.counts.faces += len(item.faces)
        yield item


def _predict_visibility(
    items: Iterable[FrameFaces[AlignedFace]], parts: InferenceModels, config: RestoreConfig
) -> Iterable[FrameFaces[AlignedFace]]:
    if parts.visibility is None or not config.occlusion.enabled:
        return items
    return _zip_through(
        items, parts, parts.visibility, lambda face: face.crop, partial(_shown, config=config.occlusion)
    )


def _shown(face: AlignedFace, answer: UInt8, *, config: OcclusionConfig) -> AlignedFace:
    return replace(face, visibility=visibility_to_alpha(answer, config))


def _restore(
    items: Iterable[FrameFaces[AlignedFace]],
    parts: InferenceModels,
    config: RestoreConfig,
    lags: Lags,
    recorder: Recorder,
    limits: QualityLimits | None,
) -> Iterator[FrameFaces[Restoration]]:
    if config.style.frames:
        if parts.encoder is None or parts.styled_restorer is None:
            raise ConfigError("restore.style.frames is above 0, but this restorer has no style codes; set it to 0")
        encoded = _zip_through(items, parts, parts.encoder, lambda face: face.crop, _with_codes)
        steady = run(StyleSmoother(config.style, lag=lags.codes), encoded)
        return _zip_through(
            steady, parts, parts.styled_restorer, _to_styled_crop, partial(with_blend_weight, config=config.selection)
        )
    if limits is not None:
        return _restore_within_limits(items, parts, config, recorder, limits)
    return _zip_through(
        items, parts, parts.restorer, lambda face: face.crop, partial(with_blend_weight, config=config.selection)
    )


def _restore_within_limits(
    items: Iterable[FrameFaces[AlignedFace]],
    parts: InferenceModels,
    config: RestoreConfig,
    recorder: Recorder,
    limits: QualityLimits,
) -> Iterator[FrameFaces[Restoration]]:
    """Restore no more faces than the limits allow, frame by frame."""

    def restore(crops: Sequence[UInt8]) -> Sequence[UInt8]:
        with recorder.timing("network"):
            return next(parts.restorer.map([crops]))

    with ThreadPoolExecutor(1, thread_name_prefix="restore") as aside:
        carrier = ResidualPropagator(lambda crops: aside.submit(restore, crops), config.selection, limits)
        for item in run(carrier, items):
            recorder.counts.faces_propagated = carrier.carried
            yield item


def _zip_through(
    items: Iterable[FrameFaces[AlignedFace]],
    parts: InferenceModels,
    executor: Executor[In, Out],
    take: Callable[[AlignedFace], In],
    join: Callable[[AlignedFace, Out], Joined],
) -> Iterator[FrameFaces[Joined]]:
    """Send one part of each face through an executor while the faces wait here, and join faces and results."""
    waiting: deque[FrameFaces[AlignedFace]] = deque()

    def taken() -> Iterator[FrameFaces[In]]:
        for item in items:
            waiting.append(item)
            yield FrameFaces(item.frame, tuple(take(face) for face in item.faces), item.shot, item.detector_ran)

    for item in map_faces(executor, taken(), batch_size=parts.batch_size, longest=parts.frames_per_batch):
        pairs = zip(waiting.popleft().faces, item.faces, strict=True)
        yield FrameFaces(item.frame, tuple(join(face, out) for face, out in pairs), item.shot, item.detector_ran)


def _with_codes(face: AlignedFace, codes: Float32) -> AlignedFace:
    return replace(face, codes=codes)


def _to_styled_crop(face: AlignedFace) -> StyledCrop:
    assert face.codes is not None, "encoded just before"  # noqa: S101
    return StyledCrop(face.crop, face.codes)
