"""Restoring a face in some frames only: what the network changed there is carried along the motion to those between.

The network is most of the work. What it adds to a face (detail that the film lost) moves with the face; what the film
itself shows of the moment (where eyes and mouth are, the light) is taken from each frame. So a stream need not wait for
the network either: a face that can be followed goes on with what is known of it until the answer comes, which then is
moved to where the face has got to.
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
"""Sends crops to the network, which answers in the order of the questions; a crop itself stands for no answer."""

_LEAST_TRUST = 0.5
"""Mean trust of the flow below which a face is restored anew, due or not."""
_MOST_CHANGE = 12.0
"""Grey levels by which the film may differ, on average, from the frame before moved here; likewise."""


@dataclass(frozen=True, slots=True)
class _CachedResidual:
    """What is known of a face in the frame before."""

    crop: UInt8
    correction: Float32
    """float32 [S, S, 3]: restored crop minus crop."""
    age: int
    """Frames since the network saw it."""


@dataclass(slots=True)
class _PendingRequest:
    """A face that the network looks at, and how it has moved since."""

    crop: UInt8
    path: FlowField | None = None
    """From the latest frame's crop to this one; None in the frame of the question."""
    age: int = 0


class ResidualPropagator:
    """A stage that restores each face every so many frames, as `limits` says at the moment, and carries between.

    Causal, and holds nothing back; remembers one crop and its correction for each face of the frame before, and of the
    faces that the network is asked about. Which of several faces are due is spread over the frames, and no question is
    about more of them than that leaves to a frame: a slow network is asked less often, not for more at a time. Only a
    face that cannot be followed (it is new, or moved too far) is waited for, or all of them where `restore_every` is 1.

    Args:
        ask: the network.
        config: weighs what is restored.
        limits: `restore_every`; with 1 every face of every frame goes through the network.
    """

    def __init__(self, ask: SubmitCrops, config: SelectionConfig, limits: QualityLimits) -> None:
        self._ask = ask
        self._config = config
        self._effort = limits
        self._before: dict[int, _CachedResidual] = {}
        self._asked: tuple[Future[Sequence[UInt8]], dict[int, _PendingRequest | None]] | None = None
        """The network's answer to come and, by track and in its order, what it is about; None where that was lost."""
        self._shot: int | None = None
        self._frames = 0
        self.carried = 0
        """Faces that were shown with what the network made of an earlier frame."""

    def push(self, item: FrameFaces[AlignedFace]) -> tuple[FrameFaces[Restoration]]:
        """Take the faces of the next frame; give them restored."""
        if item.shot != self._shot or self._effort.restore_every <= 1:
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
        """Nothing is held back."""
        return ()

    def _is_due(self, track: int) -> bool:
        every = self._effort.restore_every
        return self._before[track].age + 1 >= 2 * every or (self._frames + track) % every == 0

    def _step(self, face: AlignedFace) -> FlowField | None:
        """From this frame's crop to the one before; None where the face moved beyond what can be followed."""
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
        """Keep the way back to each face that the network is asked about."""
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
        """Ask about those of the faces due that waited longest, without waiting, unless an answer is still to come."""
        if not due or self._asked is not None:
            return
        due.sort(key=lambda face: self._before[face.track.id].age, reverse=True)
        chosen = due[: -(-of // self._effort.restore_every)]
        questions: dict[int, _PendingRequest | None] = {face.track.id: _PendingRequest(face.crop) for face in chosen}
        self._asked = self._ask([face.crop for face in chosen]), questions

    def _restored(self, faces: list[AlignedFace]) -> dict[int, _CachedResidual]:
        """Ask about faces, and wait."""
        if not faces:
            return {}
        answers = self._ask([face.crop for face in faces]).result()
        pairs = zip(faces, answers, strict=True)
        return {face.track.id: _CachedResidual(face.crop, _difference(answer, face.crop), 0) for face, answer in pairs}

    def _answered(self, faces: dict[int, AlignedFace]) -> dict[int, _CachedResidual]:
        """What the network has found out of these faces since it was asked, where they are now."""
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
    """A correction float32 [S, S, 3] at the other end of a path, as far as that is trusted."""
    side = correction.shape[0]
    confidence = cv2.resize(path.confidence, (side, side), interpolation=cv2.INTER_LINEAR)
    moved: Float32 = warp(correction, sampling_grid(path.shift, side)) * confidence[..., None]
    return moved
