"""Propagation: a face is restored in some frames only, and the network's change is carried along its motion to others.

The network is most of the work. What it adds to a face (detail that the video lost) moves with the face; what the video
shows of the moment (the position of eyes and mouth, the light) is taken from each frame. So a stream need not wait for
the network either: a face that can be followed keeps its last known change until the result arrives, which is then
moved to where the face is by that time.
"""

from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass

import cv2
import numpy as np

from vidrestore.media.colour import to_uint8
from vidrestore.restoration.config import SelectionConfig
from vidrestore.restoration.face.selection import with_blend_weight
from vidrestore.restoration.quality_limits import QualityLimits
from vidrestore.restoration.temporal.flow import compose, grid_grey, link, sampling_grid, warp
from vidrestore.types import AlignedFace, Float32, FlowField, FrameFaces, Restoration, UInt8

SubmitCrops = Callable[[Sequence[UInt8]], Future[Sequence[UInt8]]]
"""Sends crops to the network, which answers in the same order; the crop itself means that there is no result."""

_LEAST_TRUST = 0.5
"""Mean trust of the flow below which a face is restored again, whether it is due or not."""
_MOST_CHANGE = 12.0
"""Mean difference in grey levels from the warped previous frame above which a face is restored again."""


@dataclass(frozen=True, slots=True)
class _CachedResidual:
    """The last known change of a face, in the coordinates of the previous frame."""

    crop: UInt8
    correction: Float32
    """float32 [S, S, 3]: restored crop minus crop."""
    age: int
    """Number of frames since the one that the network saw."""


@dataclass(slots=True)
class _PendingRequest:
    """A face that the network is working on, and its motion since."""

    crop: UInt8
    path: FlowField | None = None
    """Flow from the latest frame's crop to this one; None in the frame of the request."""
    age: int = 0


class ResidualPropagator:
    """A stage that restores each face in every n-th frame, n being `limits.restore_every`, and propagates in between.

    Causal, without latency. Keeps one crop and its correction for each face of the previous frame, and for each face
    that the network is working on. The faces are spread over the frames, and no request holds more faces than their
    share of one frame: a slow network gets fewer requests, not larger ones. The stage waits only for a face that cannot
    be followed (it is new, or moved too far), or for all faces where `restore_every` is 1.

    Each frame takes four steps: follow known faces by optical flow and warp their corrections; restore those that
    cannot be followed, and wait; send a request for those that are due, without waiting; take in a finished request,
    whose corrections are warped along the motion since.

    Args:
        ask: sends crops to the network.
        config: decides the weight of each restored face.
        limits: `restore_every`; with 1 every face of every frame goes through the network.
    """

    def __init__(self, ask: SubmitCrops, config: SelectionConfig, limits: QualityLimits) -> None:
        self._ask = ask
        self._config = config
        self._limits = limits
        self._before: dict[int, _CachedResidual] = {}
        self._asked: tuple[Future[Sequence[UInt8]], dict[int, _PendingRequest | None]] | None = None
        """The pending result and its faces by track, in the same order; None for a face that was lost."""
        self._shot: int | None = None
        self._frames = 0
        self.carried = 0
        """Number of faces shown with a correction from an earlier frame."""

    def push(self, item: FrameFaces[AlignedFace]) -> tuple[FrameFaces[Restoration]]:
        """Take the faces of the next frame; return them restored."""
        if item.shot != self._shot or self._limits.restore_every <= 1:
            self._before, self._asked, self._shot = {}, None, item.shot
        faces = {face.track.id: face for face in item.faces}
        steps = {track: self._step(face) for track, face in faces.items()}
        followed = {track: step for track, step in steps.items() if step is not None}
        self._follow(followed)
        now = {track: self._carried(faces[track], step) for track, step in followed.items()}
        now |= self._restored([face for track, face in faces.items() if track not in followed])
        self._begin([faces[track] for track in followed if self._is_due(track)], of=len(followed))
        now |= self._answered(faces)
        self._before = now
        self._frames += 1
        self.carried += sum(known.age > 0 for known in now.values())
        restored = tuple(self._shown(face, now[track]) for track, face in faces.items())
        return (FrameFaces(item.frame, restored, item.shot, item.detector_ran),)

    def flush(self) -> tuple[()]:
        """Return nothing: no frame is held back."""
        return ()

    def _is_due(self, track: int) -> bool:
        every = self._limits.restore_every
        return self._before[track].age + 1 >= 2 * every or (self._frames + track) % every == 0

    def _step(self, face: AlignedFace) -> FlowField | None:
        """Return the flow from this frame's crop to the previous one; None where the face cannot be followed."""
        before = self._before.get(face.track.id)
        if before is None:
            return None
        now, then = grid_grey(face.crop), grid_grey(before.crop)
        motion = face.link.backward if face.link else link(then, now).backward
        moved = warp(then.astype(np.float32), sampling_grid(motion.shift), border=cv2.BORDER_REPLICATE)
        if motion.confidence.mean() < _LEAST_TRUST or np.abs(moved - now).mean() > _MOST_CHANGE:
            return None
        return motion

    def _follow(self, steps: dict[int, FlowField]) -> None:
        """Extend the path back to each face that the network is working on."""
        questions = self._asked[1] if self._asked else {}
        for track, question in questions.items():
            if question is None or track not in steps:
                questions[track] = None
                continue
            question.path = steps[track] if question.path is None else compose(steps[track], question.path)
            question.age += 1

    def _carried(self, face: AlignedFace, step: FlowField) -> _CachedResidual:
        before = self._before[face.track.id]
        return _CachedResidual(face.crop, _moved(before.correction, step), before.age + 1)

    def _begin(self, due: list[AlignedFace], *, of: int) -> None:
        """Send a request for the due faces that waited longest, without waiting, unless a request is still pending."""
        if not due or self._asked is not None:
            return
        due.sort(key=lambda face: self._before[face.track.id].age, reverse=True)
        chosen = due[: -(-of // self._limits.restore_every)]
        questions: dict[int, _PendingRequest | None] = {face.track.id: _PendingRequest(face.crop) for face in chosen}
        self._asked = self._ask([face.crop for face in chosen]), questions

    def _restored(self, faces: list[AlignedFace]) -> dict[int, _CachedResidual]:
        """Restore faces, and wait for the result."""
        if not faces:
            return {}
        answers = self._ask([face.crop for face in faces]).result()
        pairs = zip(faces, answers, strict=True)
        return {face.track.id: _CachedResidual(face.crop, _difference(answer, face.crop), 0) for face, answer in pairs}

    def _answered(self, faces: dict[int, AlignedFace]) -> dict[int, _CachedResidual]:
        """Return the finished corrections of these faces, moved to where the faces are now."""
        if self._asked is None or not self._asked[0].done():
            return {}
        answers, questions = self._asked[0].result(), self._asked[1]
        self._asked = None
        found = {}
        for (track, question), answer in zip(questions.items(), answers, strict=True):
            if question is None or answer is question.crop:
                continue
            correction = _difference(answer, question.crop)
            if question.path is not None:
                correction = _moved(correction, question.path)
            found[track] = _CachedResidual(faces[track].crop, correction, question.age)
        return found

    def _shown(self, face: AlignedFace, known: _CachedResidual) -> Restoration:
        return with_blend_weight(face, to_uint8(face.crop + known.correction), self._config)


def _difference(restored: UInt8, crop: UInt8) -> Float32:
    return np.asarray(cv2.subtract(restored, crop, dtype=cv2.CV_32F), dtype=np.float32)


def _moved(correction: Float32, path: FlowField) -> Float32:
    """Warp a correction float32 [S, S, 3] along a path, weighted by the trust of the path."""
    side = correction.shape[0]
    confidence = cv2.resize(path.confidence, (side, side), interpolation=cv2.INTER_LINEAR)
    moved: Float32 = warp(correction, sampling_grid(path.shift, side)) * confidence[..., None]
    return moved
