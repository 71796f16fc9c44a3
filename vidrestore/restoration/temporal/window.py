"""The window over time: a face in neighbouring frames, as every temporal stage sees it.

A window reaches a given number of frames back and ahead, within one shot and as long as the track continues without a
gap. Nothing else influences its results, so that a video split anywhere, with that many frames of lead-in and lead-out,
gives the same faces.
"""

from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Generic, TypeVar

from vidrestore.errors import ConfigError
from vidrestore.restoration.temporal.flow import compose, grid_grey, link
from vidrestore.types import AlignedFace, FlowField, FlowPair, FrameFaces, Restoration, UInt8

Face = TypeVar("Face", AlignedFace, Restoration)
View = TypeVar("View")

MOST_FRAMES = 16
"""Largest reach of a window in frames, to each side."""


@dataclass(frozen=True, slots=True)
class Neighbour(Generic[View]):
    """The face in a neighbouring frame."""

    temporal_weight: float
    """Weight above 0 and below 1 that falls with the square of the distance in time (Epanechnikov's kernel)."""
    path: FlowField
    """Flow from the frame's own crop to the neighbour's crop."""
    features: View


@dataclass(frozen=True, slots=True)
class _FrameState(Generic[View]):
    """A track in one frame."""

    features: View
    grey: UInt8 | None
    """uint8 [g, g]: the original crop in grey, where the flow is computed by this stage; else None."""
    link: FlowPair | None
    """Flow to the previous frame, if the track is there."""


class FaceWindow(ABC, Generic[Face, View]):
    """A stage that replaces each face by a combination of itself and its neighbours in time.

    Support: the result is a function of the same track's faces in the `past` frames before and the
    `future` frames after, as far as shot and track reach; bit for bit, wherever the stream began.

    Latency: frame t is returned when frame t + `future` was pushed, a shot began, or the stream was flushed.

    Memory: `future` frames, and per face `past + future + 1` views.

    Args:
        frames: reach to each side.
        lag: maximum number of frames held back, for live video; `frames` when not given.
        active: if false, everything passes through at once, unchanged.
    """

    def __init__(self, *, frames: int, lag: int | None, active: bool = True) -> None:
        if lag is not None and lag < 0:
            raise ConfigError(f"the lag is {lag} frames; use 0 or more")
        self._frames = frames
        self.past = frames if active else 0
        """Number of frames before a frame that influence it."""
        self.future = self.past if lag is None else min(self.past, lag)
        """Number of frames after a frame that influence it, and for which it waits."""
        self._active = active
        self._shot: int | None = None
        self._waiting: deque[FrameFaces[Face]] = deque()
        self._moments: deque[dict[int, _FrameState[View]]] = deque()

    @abstractmethod
    def features(self, face: Face) -> View:
        """Return what to keep of a face as long as the window reaches."""

    @abstractmethod
    def combine(self, face: Face, own: View, neighbours: list[Neighbour[View]]) -> Face:
        """Return the new face; the neighbours before it come first, the nearest first, then those after it."""

    def push(self, item: FrameFaces[Face], /) -> Iterator[FrameFaces[Face]]:
        """Take the faces of the next frame; yield the frames whose window is complete."""
        if item.shot != self._shot:
            yield from self.flush()
            self._shot = item.shot
        if not self._active:
            yield item
            return
        self._moments.append(self._look(item))
        self._waiting.append(item)
        if len(self._waiting) > self.future:
            yield self._emit()

    def flush(self) -> Iterator[FrameFaces[Face]]:
        """Yield the frames held back, and drop all state."""
        while self._waiting:
            yield self._emit()
        self._moments.clear()

    def _look(self, item: FrameFaces[Face]) -> dict[int, _FrameState[View]]:
        before = self._moments[-1] if self._moments else {}
        moments = {track_of(face): self._moment(face, before) for face in item.faces}
        assert len(moments) == len(item.faces), "a track is in a frame once"  # noqa: S101  the tracker numbers them
        return moments

    def _moment(self, face: Face, before: dict[int, _FrameState[View]]) -> _FrameState[View]:
        """Compute features and flow of a face; reuse an earlier stage's flow, and compute none for `frames` of 0."""
        joint, crop, grey = aligned(face).link, aligned(face).crop, None
        earlier = before.get(track_of(face))
        if joint is None and self._frames:
            grey = grid_grey(crop)
            if earlier is not None:
                assert earlier.grey is not None, "a stage before links all faces or none"  # noqa: S101
                joint = link(earlier.grey, grey)
        return _FrameState(self.features(face), grey, joint if earlier is not None else None)

    def _emit(self) -> FrameFaces[Face]:
        now = len(self._moments) - len(self._waiting)
        item = self._waiting.popleft()
        faces = tuple(self._settle(face, now) for face in item.faces)
        for _ in range(now + 1 - self.past):
            self._moments.popleft()
        return replace(item, faces=faces)

    def _settle(self, face: Face, now: int) -> Face:
        track: int = track_of(face)
        neighbours = [*self._neighbours(track, now, range(now - 1, now - 1 - self.past, -1))]
        neighbours += self._neighbours(track, now, range(now + 1, now + 1 + self.future))
        moment = self._moments[now][track]
        return self.combine(linked(face, moment.link), moment.features, neighbours)

    def _neighbours(self, track: int, now: int, moments: Iterable[int]) -> Iterator[Neighbour[View]]:
        """Follow a track from frame to frame, away from `now`, until the window or the track ends."""
        path: FlowField | None = None
        for moment in moments:
            if not 0 <= moment < len(self._moments) or track not in self._moments[moment]:
                return
            joint = self._moments[moment + 1 if moment < now else moment][track].link
            assert joint is not None, "a track that is in two frames in a row is linked"  # noqa: S101
            step = joint.backward if moment < now else joint.forward
            path = step if path is None else compose(path, step)
            distance = (moment - now) / (self._frames + 1)
            yield Neighbour(1 - distance * distance, path, self._moments[moment][track].features)


def aligned(face: AlignedFace | Restoration) -> AlignedFace:
    """Return the aligned face of a face that is or is not yet restored."""
    return face.face if isinstance(face, Restoration) else face


def track_of(face: AlignedFace | Restoration) -> int:
    """Return the track id of a face."""
    return aligned(face).track.id


def linked(face: Face, joint: FlowPair | None) -> Face:
    """Return the same face with its flow to the previous frame."""
    if isinstance(face, Restoration):
        return replace(face, face=replace(face.face, link=joint))
    return replace(face, link=joint)
