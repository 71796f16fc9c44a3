"""When the detector looks at a frame, and in which pictures of it: from frames to the faces in them."""

import logging
from collections.abc import Callable, Iterable, Iterator
from fractions import Fraction

import numpy as np

from vidrestore.media.geometry import make_preview
from vidrestore.media.shots import ShotDetector
from vidrestore.report import Recorder
from vidrestore.restoration.config import RestoreConfig
from vidrestore.restoration.detection.finder import FaceFinder, search_looks, search_period
from vidrestore.restoration.detection.looks import cut_look, preview_look
from vidrestore.restoration.quality_limits import QualityLimits
from vidrestore.stages import Executor, map_faces, run
from vidrestore.types import Detection, Frame, FrameFaces, UInt8

_log = logging.getLogger(__name__)


def every(_: Frame) -> bool:
    """Return True: every frame counts."""
    return True


def find_faces(
    frames: Iterable[Frame],
    detector: Executor[UInt8, tuple[Detection, ...]],
    config: RestoreConfig,
    recorder: Recorder,
    limits: QualityLimits | None = None,
    is_counted: Callable[[Frame], bool] = every,
) -> Iterator[FrameFaces[Detection]]:
    """Find the faces of a stream of frames, in display pixels; between two runs of the detector frames have none.

    Args:
        frames: in presentation order.
        detector: where detection runs; its pictures are uint8 [h, w, 3] RGB, its answers in their pixels.
        config: the schedule, the detector's threshold and the width of the smallest wanted face.
        recorder: counts frames, detector runs, searches and close looks, and times them.
        limits: the least time between two runs of the detector, read again for each frame.
        is_counted: whether a frame is to be counted; the others only serve as neighbours.
    """
    detection = config.detection
    previews = recorder.timed("preview", _previews(frames, config, recorder, limits, is_counted))
    found = map_faces(detector, previews, batch_size=detection.batch_size, longest=detection.frames_per_batch)
    finder = FaceFinder(
        detector,
        detection,
        min_score=config.detector.score_threshold,
        min_face=config.selection.min_face_px,
        recorder=recorder,
        is_counted=is_counted,
    )
    return recorder.timed("find", run(finder, recorder.timed("detect", found)))


def _previews(
    frames: Iterable[Frame],
    config: RestoreConfig,
    recorder: Recorder,
    limits: QualityLimits | None,
    is_counted: Callable[[Frame], bool],
) -> Iterator[FrameFaces[UInt8]]:
    """Shrink every frame, find the shot changes, and choose the frames that the detector sees, and those it searches.

    A frame of the latter kind carries the pictures of all its looks, the preview first.
    """
    shots, least = ShotDetector(config.shots), config.detection.interval_seconds
    shot, last, begun = 0, Fraction(0), False
    searched: int | None = None
    for frame in frames:
        interval = Fraction(max(least, limits.interval_seconds) if limits else least)
        preview = make_preview(frame, longest_side=config.detection.preview_side)
        cut = shots.is_cut(preview)
        shot += cut
        # The grid lies in absolute time: in a segment that starts elsewhere the detector runs on the same frames.
        due = not interval or frame.seconds // interval != last // interval
        opens = cut or not begun
        detector_ran = opens or due
        last, begun = frame.seconds, True
        period = search_period(frame, config.detection)
        searches = detector_ran and config.detection.search_seconds > 0 and (opens or period != searched)
        searched = period if detector_ran else searched
        if opens:
            _log.debug("shot %d begins at frame %d, %.3f s", shot, frame.index, float(frame.seconds))
        if is_counted(frame):
            recorder.counts.frames += 1
            recorder.counts.detector_runs += detector_ran
            recorder.counts.searches += searches
            recorder.counts.shots += opens
        pictures = (preview, *_searched(frame, preview, config)) if searches else (preview,)
        yield FrameFaces(frame, pictures if detector_ran else (), shot, detector_ran)


def _searched(frame: Frame, preview: UInt8, config: RestoreConfig) -> Iterator[UInt8]:
    """Yield the pictures of the looks of a search other than the preview."""
    look = preview_look(frame, longest_side=config.detection.preview_side)
    looks = search_looks(frame, look, min_face=config.selection.min_face_px)
    turned = [np.ascontiguousarray(np.rot90(preview, quarters)) for quarters in (1, 2, 3)]
    yield from turned
    for further in looks[len(turned) :]:
        yield cut_look(frame, further)
