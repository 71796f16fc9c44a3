"""Which faces to restore, and how strongly: the largest few, none too small to be more than a guess."""

from dataclasses import dataclass

from vidrestore.errors import ConfigError
from vidrestore.types import AlignedFace, FaceTrack, FrameFaces, Restoration, UInt8

FACE_WIDTH = 0.55
"""Width of a face, ear to ear, in sides of its aligned square: 2.2 times the eye distance of the template."""
_HOLD = 1.25
"""A face that is being restored gives up its place only to one that is this much larger."""


@dataclass(frozen=True, slots=True)
class SelectionConfig:
    """Which faces are restored."""

    faces: int = 0
    """At most so many a frame, the largest first; 0 means all."""
    min_face: float = 16.0
    """Face width in display pixels below which the input stays as it is."""
    full_face: float = 1.5
    """Multiple of `min_face` from which a face is restored in full; in between it fades, so that nothing pops."""

    def __post_init__(self) -> None:
        if self.faces < 0 or self.min_face < 0 or self.full_face < 1:
            message = f"{self}: faces and min_face must be at least 0, full_face at least 1"
            raise ConfigError(message)


class FaceSelector:
    """Keeps the wanted tracks of each frame; remembers whom it chose, so that two equals do not take turns."""

    def __init__(self, config: SelectionConfig) -> None:
        self._config = config
        self._chosen: frozenset[int] = frozenset()

    def push(self, item: FrameFaces[FaceTrack]) -> tuple[FrameFaces[FaceTrack]]:
        """Drop the faces that are too small or too many."""
        large = [track for track in item.faces if face_width(track) > self._config.min_face]
        if self._config.faces:
            ranked = sorted(large, key=self._rank, reverse=True)[: self._config.faces]
            self._chosen = frozenset(track.id for track in ranked)
            large = [track for track in large if track.id in self._chosen]
        return (FrameFaces(item.frame, tuple(large), item.shot, item.looked),)

    def flush(self) -> tuple[()]:
        """Nothing is held back."""
        return ()

    def _rank(self, track: FaceTrack) -> float:
        return track.size * (_HOLD if track.id in self._chosen else 1.0)


def face_width(track: FaceTrack) -> float:
    """Width of a face in display pixels."""
    return track.size * FACE_WIDTH


def weigh(face: AlignedFace, crop: UInt8, config: SelectionConfig) -> Restoration:
    """Join a crop with its restored form and the share of it to show: presence times a smoothstep of the width."""
    span = config.min_face * (config.full_face - 1)
    share = 1.0 if span <= 0 else min(1.0, max(0.0, (face_width(face.track) - config.min_face) / span))
    return Restoration(face, crop, face.track.presence * share * share * (3 - 2 * share))
