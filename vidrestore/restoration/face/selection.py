"""Selection of the faces to restore, and their strength: the largest few, and none that would be mostly a guess.

A face that is too small, turned too far or uncertain to the detector fades back to the input: a blurred profile is
better than a stranger's.
"""

from dataclasses import replace

from vidrestore.restoration.config import SelectionConfig
from vidrestore.restoration.quality_limits import QualityLimits
from vidrestore.types import AlignedFace, FaceTrack, FrameFaces, Restoration, UInt8

FACE_WIDTH = 0.55
"""Width of a face, ear to ear, as a fraction of its aligned square: 2.2 times the eye distance of the template."""
_LEAST_CHANGE = 1 / 16
"""Slower fades would hold back more frames than any other stage."""
_HOLD = 1.25
"""Hysteresis: a face that is restored yields its place only to a face larger by this factor, so that equals do not
alternate."""


class FaceSelector:
    """Keeps the wanted tracks of each frame; remembers its choice, so that two equal faces do not alternate.

    With `limits` the limit may fall from one frame to the next; a face that loses its place then fades, by
    `max_weight_step` a frame.
    """

    def __init__(self, config: SelectionConfig, limits: QualityLimits | None = None) -> None:
        self._config = config
        self._limits = limits
        self._chosen: frozenset[int] = frozenset()
        self._presence: dict[int, float] = {}
        """Presence of the faces of the previous frame by track id, where there are limits."""

    def push(self, item: FrameFaces[FaceTrack]) -> tuple[FrameFaces[FaceTrack]]:
        """Drop faces that are too small, turned too far or too uncertain, and those above the limit."""
        good = [track for track in item.faces if restore_weight(track, self._config) > 0]
        most = self._most(len(good))
        if most < len(good) or self._config.max_faces:
            ranked = sorted(good, key=self._rank, reverse=True)[:most]
            self._chosen = frozenset(track.id for track in ranked)
            kept = [track for track in good if track.id in self._chosen]
        else:
            kept = good
        if self._limits is not None:
            kept = self._fade(good, kept)
        return (FrameFaces(item.frame, tuple(kept), item.shot, item.detector_ran),)

    def flush(self) -> tuple[()]:
        """Return nothing: no frame is held back."""
        return ()

    def _most(self, faces: int) -> int:
        most = self._config.max_faces or faces
        limit = self._limits.faces if self._limits else None
        return most if limit is None else min(most, limit)

    def _fade(self, good: list[FaceTrack], kept: list[FaceTrack]) -> list[FaceTrack]:
        """Return the faces that are kept, and those that were kept until now with less presence than before."""
        places = {track.id for track in kept}
        left = {track.id: self._presence.get(track.id, 0.0) - self._config.max_weight_step for track in good}
        faces = [
            track if track.id in places else replace(track, presence=min(track.presence, left[track.id]))
            for track in good
            if track.id in places or left[track.id] > 0
        ]
        self._presence = {track.id: track.presence for track in faces}
        return faces

    def _rank(self, track: FaceTrack) -> float:
        return track.size * (_HOLD if track.id in self._chosen else 1.0)


def face_width(track: FaceTrack) -> float:
    """Return the width of a face in display pixels."""
    return track.size * FACE_WIDTH


def restore_weight(track: FaceTrack, config: SelectionConfig) -> float:
    """Return how far a face should be restored, 0..1: the product of smoothsteps of its width, yaw and score."""
    width = _rise(face_width(track), config.min_face_px, config.min_face_px * config.full_strength_ratio)
    turned = _rise(-abs(track.yaw), -config.max_yaw, -config.full_yaw)
    return width * turned * _rise(track.score, config.min_score, config.full_score)


def with_blend_weight(face: AlignedFace, crop: UInt8, config: SelectionConfig) -> Restoration:
    """Join a crop with its restored form and its weight in the blend: presence times `restore_weight`."""
    return Restoration(face, crop, face.track.presence * restore_weight(face.track, config))


def _rise(value: float, low: float, high: float) -> float:
    """Return 0 up to `low`, 1 from `high` on, a smoothstep between; a step where the two are equal."""
    part = float(value > low) if high <= low else min(1.0, max(0.0, (value - low) / (high - low)))
    return part * part * (3 - 2 * part)
