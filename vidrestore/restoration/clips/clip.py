"""Clips of faces: a stream of frames is cut into clips that any worker can finish alone.

The stages over time reach over a few frames only. So a stretch of a track, with that many crops before and after it as
context, is all that a worker needs to denoise, restore and stabilise it: it keeps nothing from one clip to the next,
and a clip may be repeated anywhere. The price is the context, which is computed twice.
"""

import itertools
from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace

from vidrestore.restoration.config import SelectionConfig
from vidrestore.restoration.face.cropper import working_side
from vidrestore.restoration.face.selection import with_blend_weight
from vidrestore.restoration.temporal.blend import LEAST_SIDE
from vidrestore.stages import Executor
from vidrestore.types import AlignedFace, Float32, FrameFaces, Restoration, UInt8

_MOST_FACES = 256
"""Faces after which a stretch of frames ends, so that crowds take no more memory than a few people."""


@dataclass(frozen=True, slots=True)
class FaceClip:
    """Crops of one track in consecutive frames of one shot."""

    crops: tuple[UInt8, ...] = field(repr=False)
    """uint8 [S, S, 3] RGB each."""
    sides: tuple[int, ...]
    """Side in pixels of each crop for work over time, see `cropper.working_side`."""
    start: int
    """Index of the first crop to restore; those before it are context."""
    stop: int
    """Index after the last crop to restore; those from it on are context."""


@dataclass(frozen=True, slots=True)
class RestoredClip:
    """The restored part of a clip."""

    crops: UInt8 = field(repr=False)
    """uint8 [stop - start, S, S, 3] RGB."""
    visibility: Float32 | None = field(repr=False)
    """float32 [stop - start, m, m], 0..1: how much of the face to show; None: all of it."""


def restore_in_clips(
    items: Iterable[FrameFaces[AlignedFace]],
    restorer: Executor[FaceClip, RestoredClip],
    *,
    length: int,
    context: int,
    config: SelectionConfig,
) -> Iterator[FrameFaces[Restoration]]:
    """Cut a stream of aligned faces into clips, send them to a restorer, and join faces and results again.

    Holds at most `length` frames for each batch that the executor reads ahead and one more, and `context` frames.

    Args:
        items: the stream, frame by frame in order.
        restorer: where clips are restored.
        length: frames of a batch of clips; a clip never reaches over two.
        context: crops before and after a clip that its restoration depends on.
        config: decides the weight of each restored face.
    """
    waiting: deque[tuple[list[FrameFaces[AlignedFace]], list[tuple[int, int]]]] = deque()
    """Frames of each batch, and of each of its clips the track and the first frame."""

    def batches() -> Iterator[list[FaceClip]]:
        for frames, first, stop in _stretches(items, length, context):
            runs = _runs(frames, first, stop, context)
            waiting.append((frames[first:stop], [(track, begin - first) for track, begin, _ in runs]))
            yield [clip for _, _, clip in runs]

    for results in restorer.map(batches()):
        frames, places = waiting.popleft()
        found: list[dict[int, tuple[RestoredClip, int]]] = [{} for _ in frames]
        for (track, begin), clip in zip(places, results, strict=True):
            for place in range(len(clip.crops)):
                found[begin + place][track] = clip, place
        for item, restored in zip(frames, found, strict=True):
            faces = tuple(_restored(face, *restored[face.track.id], config) for face in item.faces)
            yield FrameFaces(item.frame, faces, item.shot, item.detector_ran)


def _restored(face: AlignedFace, clip: RestoredClip, place: int, config: SelectionConfig) -> Restoration:
    shown = None if clip.visibility is None else clip.visibility[place]
    return with_blend_weight(replace(face, visibility=shown), clip.crops[place], config)


def _stretches(
    items: Iterable[FrameFaces[AlignedFace]], length: int, context: int
) -> Iterator[tuple[list[FrameFaces[AlignedFace]], int, int]]:
    """Yield frames with their context, and the range within them that is no context."""
    source = iter(items)
    held: list[FrameFaces[AlignedFace]] = []
    first = 0

    def reaches(count: int) -> bool:
        held.extend(itertools.islice(source, max(0, count - len(held))))
        return len(held) >= count

    while reaches(first + 1):
        stop, faces = first, 0
        while stop - first < length and faces < _MOST_FACES and reaches(stop + 1):
            faces += len(held[stop].faces)
            stop += 1
        reaches(stop + context)
        yield held[:], first, stop
        dropped = max(0, stop - context)
        del held[:dropped]
        first = stop - dropped


def _runs(
    frames: list[FrameFaces[AlignedFace]], first: int, stop: int, context: int
) -> list[tuple[int, int, FaceClip]]:
    """Return track, first frame and clip of every stretch of a track without a gap that reaches into the range."""
    runs: list[tuple[int, int, list[AlignedFace]]] = []
    """Track, index of its first frame, and its faces."""
    latest: dict[int, int] = {}
    shot: int | None = None
    for place, item in enumerate(frames):
        before, latest = (latest if item.shot == shot else {}), {}
        shot = item.shot
        for face in item.faces:
            track = face.track.id
            latest[track] = before.get(track, len(runs))
            if latest[track] == len(runs):
                runs.append((track, place, []))
            runs[latest[track]][2].append(face)
    clips = []
    for track, begin, faces in runs:
        start, end = max(first, begin), min(stop, begin + len(faces))
        if start < end:
            low, high = max(begin, start - context), min(begin + len(faces), end + context)
            shown = faces[low - begin : high - begin]
            sides = tuple(working_side(face.crop.shape[0], face.to_crop, least=LEAST_SIDE) for face in shown)
            clip = FaceClip(tuple(face.crop for face in shown), sides, start - low, end - low)
            clips.append((track, start, clip))
    return clips
