"""Restoring a face in some frames only: what the network changed there is carried along the motion to those between.

The network is most of the work. What it adds to a face (detail that the film lost) moves with the face; what the film
itself shows of the moment (where eyes and mouth are, the light) is taken from each frame.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import cv2
import numpy as np

from vidrestore.restoration.effort import Effort
from vidrestore.restoration.flow import grid_grey, link, positions, warp
from vidrestore.restoration.selection import SelectionConfig, weigh
from vidrestore.types import AlignedFace, Float32, FrameFaces, Restoration, UInt8
from vidrestore.video.colour import to_uint8

Restore = Callable[[Sequence[UInt8]], Sequence[UInt8]]

_LEAST_TRUST = 0.5
"""Mean trust of the flow below which a face is restored anew, due or not."""
_MOST_CHANGE = 12.0
"""Grey levels by which the film may differ, on average, from the frame before moved here; likewise."""


@dataclass(frozen=True, slots=True)
class _Carried:
    """What is known of a face in the frame before."""

    crop: UInt8
    correction: Float32
    """float32 [S, S, 3]: restored crop minus crop."""
    age: int
    """Frames since the network saw it."""


class Carrier:
    """A stage that restores each face every so many frames, as `effort` says at the moment, and carries between.

    Causal, and holds nothing back; remembers one crop and its correction for each face of the frame before. Which of
    several faces are due is spread over the frames.

    Args:
        restore: the network.
        config: weighs what is restored.
        effort: `restore_every`; with 1 every face of every frame goes through the network.
    """

    def __init__(self, restore: Restore, config: SelectionConfig, effort: Effort) -> None:
        self._restore = restore
        self._config = config
        self._effort = effort
        self._before: dict[int, _Carried] = {}
        self._shot: int | None = None
        self._frames = 0
        self.carried = 0
        """Faces that did not go through the network."""

    def push(self, item: FrameFaces[AlignedFace]) -> tuple[FrameFaces[Restoration]]:
        """Take the faces of the next frame; give them restored."""
        if item.shot != self._shot:
            self._before.clear()
            self._shot = item.shot
        corrections = {face.track.id: self._carry(face) for face in item.faces if not self._is_due(face)}
        anew = [face for face in item.faces if corrections.get(face.track.id) is None]
        crops = dict(zip([face.track.id for face in anew], self._restore([face.crop for face in anew]), strict=True))
        faces, now = [], {}
        for face in item.faces:
            track = face.track.id
            correction = corrections.get(track)
            if correction is None:
                crop, age = crops[track], 0
                correction = crop.astype(np.float32) - face.crop
            else:
                crop, age = to_uint8(face.crop + correction), self._before[track].age + 1
                self.carried += 1
            now[track] = _Carried(face.crop, correction, age)
            faces.append(weigh(face, crop, self._config))
        self._before = now
        self._frames += 1
        return (FrameFaces(item.frame, tuple(faces), item.shot, item.looked),)

    def flush(self) -> tuple[()]:
        """Nothing is held back."""
        return ()

    def _is_due(self, face: AlignedFace) -> bool:
        every, before = self._effort.restore_every, self._before.get(face.track.id)
        if before is None or every <= 1 or before.age + 1 >= 2 * every:
            return True
        return (self._frames + face.track.id) % every == 0

    def _carry(self, face: AlignedFace) -> Float32 | None:
        """The correction at this frame, or None where the face moved beyond what can be followed."""
        before = self._before[face.track.id]
        now, then = grid_grey(face.crop), grid_grey(before.crop)
        motion = face.link.backward if face.link else link(then, now).backward
        moved = warp(then.astype(np.float32), positions(motion.shift), border=cv2.BORDER_REPLICATE)
        if motion.trust.mean() < _LEAST_TRUST or np.abs(moved - now).mean() > _MOST_CHANGE:
            return None
        side = face.crop.shape[0]
        trust = np.asarray(cv2.resize(motion.trust, (side, side), interpolation=cv2.INTER_LINEAR), dtype=np.float32)
        carried: Float32 = warp(before.correction, positions(motion.shift, side)) * trust[..., None]
        return carried
