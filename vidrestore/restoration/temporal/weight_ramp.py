"""Gradual weights: the blend weight of a face never jumps from frame to frame.

A face fades when it appears, is lost, turns away, becomes small or uncertain. At a high frame rate that takes many
frames, but a video of few frames a second has none to spare, and detections may change abruptly. Here the slope of the
weights over time is limited.
"""

import math
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, replace

from vidrestore.restoration.config import SelectionConfig
from vidrestore.types import FrameFaces, Restoration


class WeightRamp:
    """A stage after which no weight changes by more than `max_weight_step` between two frames of a shot.

    The weight of frame t is the minimum of w(t + k) + |k| * `max_weight_step` over the window, where an absent face
    has weight 0: the largest weights below the requested ones with that slope. Nothing fades where a shot begins or
    ends. Support: `1 / max_weight_step` frames, less one, to both sides. With a shorter `lag` the weight of a face that
    falls without warning stays too high until the ramp is down; a face that disappears without warning is gone at once.

    Args:
        config: holds `max_weight_step`.
        lag: maximum number of frames held back, for live video; the reach of the window when not given.
    """

    def __init__(self, config: SelectionConfig, *, lag: int | None = None) -> None:
        self._slope = config.max_weight_step
        self.past = math.ceil(1 / self._slope) - 1
        """Number of frames before a frame that influence it."""
        self.future = self.past if lag is None else min(self.past, lag)
        """Number of frames after a frame that influence it, and for which it waits."""
        self._shot: int | None = None
        self._moments: deque[_FrameState] = deque()
        self._waiting = 0
        self._shown: dict[int, float] = {}

    def push(self, item: FrameFaces[Restoration], /) -> Iterator[FrameFaces[Restoration]]:
        """Take the faces of the next frame; yield the frames whose window is complete."""
        if item.shot != self._shot:
            yield from self.flush()
            self._shot = item.shot
        self._moments.append(_FrameState(item, {face.face.track.id: face.weight for face in item.faces}))
        self._waiting += 1
        if self._waiting > self.future:
            yield self._emit()

    def flush(self) -> Iterator[FrameFaces[Restoration]]:
        """Yield the frames held back, and drop all state."""
        while self._waiting:
            yield self._emit()
        self._moments.clear()
        self._shown.clear()

    def _emit(self) -> FrameFaces[Restoration]:
        now = len(self._moments) - self._waiting
        item = self._moments[now].item
        self._waiting -= 1
        faces = tuple(replace(face, weight=self._weight(face.face.track.id, now)) for face in item.faces)
        self._shown = {face.face.track.id: face.weight for face in faces}
        while now >= self.past:
            self._moments.popleft()
            now -= 1
        return replace(item, faces=faces)

    def _weight(self, track: int, now: int) -> float:
        """Return a track's weight at `now`; the held frames are the window: `past` before, up to `future` after."""
        highest = min(
            moment.weights.get(track, 0.0) + abs(place - now) * self._slope
            for place, moment in enumerate(self._moments)
        )
        if self.future == self.past:  # the window holds; what was shown differs by rounding where a segment begins
            return highest
        return max(highest, self._shown.get(track, 0.0) - self._slope)


@dataclass(frozen=True, slots=True)
class _FrameState:
    item: FrameFaces[Restoration]
    weights: dict[int, float]
    """Requested weight by track id."""
