"""Faces come and go softly: the weight of a face in the picture never jumps.

Whatever makes a face fade (it appears, is lost, turns away, grows small or unsure), it does so over time where frames
are many, but a film of few frames a second has none to spare, and a detector may change its mind at once. Here the
weights are held below a cone of a stated slope around each of them.
"""

import math
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, replace

from vidrestore.restoration.config import SelectionConfig
from vidrestore.types import FrameFaces, Restoration


class WeightRamp:
    """A stage after which no weight changes by more than `max_weight_step` between two frames of a shot.

    The weight of frame t is the least of w(t + k) + |k| * `max_weight_step` over the window, where an absent face
    counts 0: the largest weights below the wanted ones that change so slowly. Where a shot begins or ends nothing
    fades. Support: `1 / max_weight_step` frames, less one, to both sides. With a shorter `lag` a face that sinks
    without warning stays
    above what it should be, until it is down; only one that is gone without warning is gone.

    Args:
        config: `max_weight_step`.
        lag: most frames that may be held back, for live video; as many as the window wants when not given.
    """

    def __init__(self, config: SelectionConfig, *, lag: int | None = None) -> None:
        self._slope = config.max_weight_step
        self.past = math.ceil(1 / self._slope) - 1
        """Frames before a frame that have a say in it."""
        self.future = self.past if lag is None else min(self.past, lag)
        """Frames after a frame that have a say in it, and that it waits for."""
        self._shot: int | None = None
        self._moments: deque[_FrameState] = deque()
        self._waiting = 0
        self._shown: dict[int, float] = {}

    def push(self, item: FrameFaces[Restoration], /) -> Iterator[FrameFaces[Restoration]]:
        """Take the faces of the next frame; give the frames whose window is complete."""
        if item.shot != self._shot:
            yield from self.flush()
            self._shot = item.shot
        self._moments.append(_FrameState(item, {face.face.track.id: face.weight for face in item.faces}))
        self._waiting += 1
        if self._waiting > self.future:
            yield self._emit()

    def flush(self) -> Iterator[FrameFaces[Restoration]]:
        """Give the frames held back, and forget everything."""
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
        """What is held is the window: `past` frames before `now`, and as many after as are waited for."""
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
    """Wanted, by track."""
