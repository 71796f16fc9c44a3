"""The one composition: frames in, frames with restored faces out. Files, live streams and clusters all call it.

    frames ── preview, shot ──> detector ──> tracker ──> selector ──> aligner ──> restorer ──> compositor ──> frames

Everything is pulled: a frame is decoded when a finished one is asked for. Frames held at most: one detector batch
and one restorer batch for each batch that the executor reads ahead and one more, and the tracker's lookahead.
"""

from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from vidrestore.errors import ConfigError
from vidrestore.faces.detector import DetectorConfig, scale
from vidrestore.faces.tracker import Tracker, TrackerConfig
from vidrestore.report import Recorder
from vidrestore.restoration.aligner import Aligner
from vidrestore.restoration.compositor import Compositor, CompositorConfig
from vidrestore.restoration.restorer import RestorerConfig
from vidrestore.restoration.selection import FaceSelector, SelectionConfig, weigh
from vidrestore.stages import Executor, map_faces, run
from vidrestore.types import AlignedFace, Detection, FaceTrack, Frame, FrameFaces, Restoration, UInt8
from vidrestore.video.encoding import EncodeConfig
from vidrestore.video.geometry import make_preview, preview_scale
from vidrestore.video.shots import ShotConfig, ShotDetector


@dataclass(frozen=True, slots=True)
class LookConfig:
    """How the film is looked at."""

    preview_side: int = 640
    """Longer side, in pixels, of the small picture that faces and cuts are searched in."""
    every: int = 2
    """Faces are searched in every so many frames of a shot; tracking fills the frames between."""
    batch_size: int = 4
    """Previews a detector call."""

    def __post_init__(self) -> None:
        if self.preview_side < 64 or self.every < 1 or self.batch_size < 1:  # noqa: PLR2004
            message = f"{self}: preview_side must be at least 64, every and batch_size at least 1"
            raise ConfigError(message)


@dataclass(frozen=True, slots=True)
class RestoreConfig:
    """Every option of a restoration, each owned by the part it configures."""

    look: LookConfig = field(default_factory=LookConfig)
    shots: ShotConfig = field(default_factory=ShotConfig)
    detector: DetectorConfig = field(default_factory=DetectorConfig)
    tracker: TrackerConfig = field(default_factory=TrackerConfig)
    selection: SelectionConfig = field(default_factory=SelectionConfig)
    restorer: RestorerConfig = field(default_factory=RestorerConfig)
    compositor: CompositorConfig = field(default_factory=CompositorConfig)
    encode: EncodeConfig = field(default_factory=EncodeConfig)


@dataclass(frozen=True, slots=True)
class Parts:
    """The parts that run elsewhere, and what the rest must know of them."""

    detector: Executor[UInt8, tuple[Detection, ...]]
    """uint8 [h, w, 3] RGB previews -> detections in preview pixels."""
    restorer: Executor[UInt8, UInt8]
    """uint8 [S, S, 3] RGB crops -> restored crops of the same size."""
    crop_size: int
    """S."""
    batch_size: int
    """Crops a restorer call, gathered across frames."""
    frames_per_batch: int = 16
    """Frames after which a batch goes out even if it is not full."""


def restore_frames(frames: Iterable[Frame], parts: Parts, config: RestoreConfig, recorder: Recorder) -> Iterator[Frame]:
    """Restore the faces of a stream of frames.

    Args:
        frames: in presentation order.
        parts: where detection and restoration run.
        config: everything else.
        recorder: counts frames, looks, faces, tracks and shots, and times every stage.

    Returns:
        As many frames, in the same order, with the same times; those without faces are the same objects.
    """
    looks = recorder.timed("preview", _previews(recorder.timed("decode", frames), config, recorder))
    found = map_faces(
        parts.detector, looks, batch_size=config.look.batch_size, longest=config.look.batch_size * config.look.every
    )
    detected = _in_display_pixels(recorder.timed("detect", found), config.look.preview_side)
    tracked = recorder.timed("track", run(Tracker(config.tracker), detected))
    selected = _counted(run(FaceSelector(config.selection), tracked), recorder)
    aligned = recorder.timed("align", map(Aligner(parts.crop_size), selected))
    restored = recorder.timed("restore", _restore(aligned, parts, config))
    return recorder.timed("composite", map(Compositor(config.compositor), restored))


def _previews(frames: Iterable[Frame], config: RestoreConfig, recorder: Recorder) -> Iterator[FrameFaces[UInt8]]:
    """Shrink every frame, find the cuts, and choose the frames in which faces are searched."""
    shots = ShotDetector(config.shots)
    shot, since_cut = 0, 0
    for frame in frames:
        preview = make_preview(frame, longest_side=config.look.preview_side)
        if shots.is_cut(preview):
            shot, since_cut = shot + 1, 0
        looked = since_cut % config.look.every == 0
        since_cut += 1
        recorder.counts["frames"] += 1
        recorder.counts["looks"] += looked
        recorder.counts["shots"] = shot + 1
        yield FrameFaces(frame, (preview,) if looked else (), shot, looked)


def _in_display_pixels(
    items: Iterable[FrameFaces[tuple[Detection, ...]]], preview_side: int
) -> Iterator[FrameFaces[Detection]]:
    for item in items:
        factors = preview_scale(item.frame, longest_side=preview_side)
        faces = tuple(scale(found, factors) for look in item.faces for found in look)
        yield FrameFaces(item.frame, faces, item.shot, item.looked)


def _counted(items: Iterable[FrameFaces[FaceTrack]], recorder: Recorder) -> Iterator[FrameFaces[FaceTrack]]:
    seen: set[int] = set()
    for item in items:
        seen.update(track.id for track in item.faces)
        recorder.counts["frames_with_faces"] += bool(item.faces)
        recorder.counts["faces"] += len(item.faces)
        recorder.counts["tracks"] = len(seen)
        yield item


def _restore(
    items: Iterable[FrameFaces[AlignedFace]], parts: Parts, config: RestoreConfig
) -> Iterator[FrameFaces[Restoration]]:
    """Send crops through the restorer while their frames wait here, and join the two again."""
    waiting: deque[FrameFaces[AlignedFace]] = deque()

    def crops() -> Iterator[FrameFaces[UInt8]]:
        for item in items:
            waiting.append(item)
            yield FrameFaces(item.frame, tuple(face.crop for face in item.faces), item.shot, item.looked)

    restored = map_faces(parts.restorer, crops(), batch_size=parts.batch_size, longest=parts.frames_per_batch)
    for item in restored:
        aligned = waiting.popleft()
        pairs = zip(aligned.faces, item.faces, strict=True)
        faces = tuple(weigh(face, crop, config.selection) for face, crop in pairs)
        yield FrameFaces(item.frame, faces, item.shot, item.looked)
