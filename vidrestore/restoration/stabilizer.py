"""The same restored face from frame to frame: no flicker that the film itself does not have.

    film crop ──> flow between neighbours ──┐
    restored crop ──────────────────────────┴─> blend along the motion ──> fine detail ──> colour lock ──> crop

A network turns the noise of the film into wrinkles that come and go. Crops of one track lie in one nearly still space,
so what it found at the same point of the face in the frames around can be averaged; Lai et al. 2018 and Lei et al. 2020
train networks for this, here a bounded window of frames does.
"""

from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace

import cv2
import numpy as np

from vidrestore.errors import ConfigError
from vidrestore.restoration.colour_lock import enlarge, steady_difference
from vidrestore.restoration.detail import match_detail
from vidrestore.restoration.flow import Field, Link, compose, link
from vidrestore.restoration.temporal_blend import BlendView, Neighbour, blend, view_of
from vidrestore.types import Float32, FrameFaces, Restoration, UInt8

_MOST_FRAMES = 16


@dataclass(frozen=True, slots=True)
class StabilizerConfig:
    """How restored faces are held together over time; each part can be switched off alone.

    Raises:
        ConfigError: A value is out of range.
    """

    frames: int = 2
    """Frames before, and as many after, that have a say in a face, 0..16; 0 leaves each frame to itself."""
    blend: bool = True
    """Whether faces are averaged along the motion over these frames."""
    pattern_levels: float = 6.0
    """Grey levels, 0..255, by which the film may differ beyond its noise; there a neighbour counts 1/e."""
    look_levels: float = 14.0
    """Levels, 0..255, by which restored faces may differ at low frequencies; there a neighbour counts 1/e."""
    most_detail_gain: float = 2.0
    """0..8: how far fine detail may be raised to the energy that it had before averaging; 0: not at all."""
    colour_lock: float = 1.0
    """0..1: the share of the film's low-frequency colour and light that the restored face takes; 0: none."""

    def __post_init__(self) -> None:
        if not 0 <= self.frames <= _MOST_FRAMES:
            raise ConfigError(f"stabilizer.frames is {self.frames}; it must lie between 0 and {_MOST_FRAMES}")
        for name, least, most in (("most_detail_gain", 0, 8), ("colour_lock", 0, 1)):
            if not least <= getattr(self, name) <= most:
                message = f"stabilizer.{name} is {getattr(self, name)}; it must lie between {least} and {most}"
                raise ConfigError(message)
        for name in ("pattern_levels", "look_levels"):
            if not 0 < getattr(self, name) <= 255:  # noqa: PLR2004  the range of 8 bits
                raise ConfigError(f"stabilizer.{name} is {getattr(self, name)}; use more than 0, and 255 at most")


class Stabilizer:
    """A stage that replaces each restored crop by its stabilised one; all else of a face stays as it is.

    Support: the crop that comes out is a function of the film's and the restored crops of the same track in the
    `past` frames before and the `future` frames after, as far as the shot and the track reach without a gap; bit for
    bit, wherever the stream began. Equal crops come out equal, and without colour lock unchanged.

    Latency: frame t leaves when frame t + `future` was pushed, a shot began, or the stream was flushed.

    Memory: `future` frames, and per face `past + future + 1` views of 1.5 MB each at 256 px, flow
    included.

    Args:
        config: how much is done.
        lag: most frames that may be held back, for live video; as many as `config.frames` when not given.
    """

    def __init__(self, config: StabilizerConfig | None = None, *, lag: int | None = None) -> None:
        self._config = config or StabilizerConfig()
        if lag is not None and lag < 0:
            raise ConfigError(f"the stabilizer's lag is {lag} frames; use 0 or more")
        active = self._config.blend or self._config.colour_lock > 0
        self.past = self._config.frames if active else 0
        """Frames before a frame that have a say in it."""
        self.future = self.past if lag is None else min(self.past, lag)
        """Frames after a frame that have a say in it, and that it waits for."""
        self._active = active
        self._shot: int | None = None
        self._waiting: deque[FrameFaces[Restoration]] = deque()
        self._moments: deque[dict[int, _Moment]] = deque()

    def push(self, item: FrameFaces[Restoration], /) -> Iterator[FrameFaces[Restoration]]:
        """Take the restored faces of the next frame; give the frames whose window is complete."""
        if item.shot != self._shot:
            yield from self.flush()
            self._shot = item.shot
        self._moments.append(self._look(item) if self._active else {})
        self._waiting.append(item)
        if len(self._waiting) > self.future:
            yield self._emit()

    def flush(self) -> Iterator[FrameFaces[Restoration]]:
        """Give the frames held back, and forget everything."""
        while self._waiting:
            yield self._emit()
        self._moments.clear()

    def _look(self, item: FrameFaces[Restoration]) -> "dict[int, _Moment]":
        before = self._moments[-1] if self._moments else {}
        moments: dict[int, _Moment] = {}
        for face in item.faces:
            view = view_of(face.face.crop, face.crop)
            earlier = before.get(face.face.track.id)
            joint = None if earlier is None else link(earlier.view.grey, view.grey)
            moments[face.face.track.id] = _Moment(view, joint)
        assert len(moments) == len(item.faces), "a track is in a frame once"  # noqa: S101  the tracker numbers them
        return moments

    def _emit(self) -> FrameFaces[Restoration]:
        now = len(self._moments) - len(self._waiting)
        item = self._waiting.popleft()
        faces = item.faces
        if self._active:
            faces = tuple(replace(face, crop=self._stabilize(face.face.track.id, now)) for face in faces)
        for _ in range(now + 1 - self.past):
            self._moments.popleft()
        return replace(item, faces=faces)

    def _stabilize(self, track: int, now: int) -> UInt8:
        """Crop uint8 [S, S, 3] RGB of a track in the moment numbered `now`."""
        config, own = self._config, self._moments[now][track].view
        neighbours = [*self._neighbours(track, now, range(now - 1, now - 1 - self.past, -1))]
        neighbours += self._neighbours(track, now, range(now + 1, now + 1 + self.future))
        difference = steady_difference(own.difference, [(near.nearness, near.view.difference) for near in neighbours])
        change = np.float32(config.colour_lock) * difference
        restored = own.restored.astype(np.float32)
        result = restored
        if config.blend:
            result = blend(own, neighbours, pattern_levels=config.pattern_levels, look_levels=config.look_levels)
            if config.most_detail_gain:
                result = match_detail(result, restored, most_gain=config.most_detail_gain)
            change += own.difference - difference
        return _to_uint8(result + enlarge(change, result.shape[0]))

    def _neighbours(self, track: int, now: int, moments: Iterable[int]) -> Iterator[Neighbour]:
        """Follow a track from moment to moment, away from `now`, until the window or the track ends."""
        path: Field | None = None
        for moment in moments:
            if not 0 <= moment < len(self._moments) or track not in self._moments[moment]:
                return
            later = self._moments[moment + 1 if moment < now else moment][track]
            assert later.link is not None, "a track that is in two frames in a row is linked"  # noqa: S101
            step = later.link.backward if moment < now else later.link.forward
            path = step if path is None else compose(path, step)
            distance = (moment - now) / (self._config.frames + 1)
            yield Neighbour(1 - distance * distance, path, self._moments[moment][track].view)


@dataclass(frozen=True, slots=True)
class _Moment:
    """A track in one frame."""

    view: BlendView
    link: Link | None
    """To the frame before, if the track is there."""


def _to_uint8(values: Float32) -> UInt8:
    """Round and saturate."""
    return np.asarray(cv2.convertScaleAbs(np.maximum(values, 0)), dtype=np.uint8)
