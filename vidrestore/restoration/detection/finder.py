"""Finding: the faces of a frame, from what the detector saw in its preview, and from closer looks where it may err.

A preview shows most faces well. It shows part of a face that is nearly as large as the picture: then the picture is
seen from afar. It shows faces that lie or hang poorly: then those are looked at turned upright. And it does not show
small faces at all: a search of the whole frame, now and then, finds them, and a close look follows each from then on.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Final

from vidrestore.report import Recorder
from vidrestore.restoration.config import DetectionConfig
from vidrestore.restoration.detection.looks import (
    LARGEST_FACE,
    Look,
    close_look,
    cut_look,
    far_look,
    preview_look,
    tiles,
    turned_looks,
)
from vidrestore.restoration.detection.sightings import Sighting, by_trust, is_same_face, one_for_each_face, sight
from vidrestore.stages import Executor
from vidrestore.types import Detection, Frame, FrameFaces, UInt8

_TURNED_LOOKS: Final = 3
_QUARTERS: Final = (0.0, math.pi / 2, math.pi, -math.pi / 2)
_POOR_IN_PREVIEW: Final = 28.0
"""Width in preview pixels below which landmarks in the preview are so rough that a close look is worth its time."""
_LEANS: Final = math.radians(20)
"""Angle from which landmarks are rough in faces of up to half as much again."""
_LIES: Final = math.radians(40)
"""Angle from which a face is followed by looks turned as it is."""
_TURNED_ASIDE: Final = 60.0
"""Degrees beyond which a face is better seen in the next of the turned looks."""
_SMALL: Final = 2 * _POOR_IN_PREVIEW
"""Width in preview pixels from which tiles show no more of a face than the preview."""
_LARGE: Final = 0.6 * LARGEST_FACE
"""Width in preview pixels up to which the look from afar shows less of a face than the preview."""
_RIVAL: Final = 0.15
_OTHERWISE: Final = math.radians(60)
"""Angle by which two sightings of one face differ when one of them must be wrong."""
_STILL_TURNED: Final = 15.0
"""Degrees that a face may be turned in the look that decided how it lies; beyond, it is looked at once more."""
_NEAR: Final = 0.8
"""Distance from the middle of a close look, in widths of the face, within which a face is the one that was meant."""
_TURNS: Final = 3
"""Looks at the preview in which each followed face is looked at once, however many there are; the tracker bridges
two without."""
_CONFIRMED: Final = 0.98
"""Score of people in close looks; drawn heads and patterns that resemble faces rarely reach it."""
_LOST: Final = 4
"""Close looks without the face after which it is not followed any more."""


@dataclass(slots=True)
class _Followed:
    """A face that close looks show better than the preview."""

    x: float
    y: float
    width: float
    angle: float
    """Radians, clockwise."""
    missed: int = 0

    @property
    def look(self) -> Look:
        return close_look(self.x, self.y, width=self.width, angle=self.angle)

    @classmethod
    def of(cls, one: Sighting) -> "_Followed":
        x, y = one.middle
        return cls(float(x), float(y), one.width, one.pose[1])


def search_looks(frame: Frame, preview: Look, *, min_face: float) -> list[Look]:
    """Return the looks of a search other than the preview: turned, from afar, and tiles at the scale of small faces."""
    return [*turned_looks(preview), far_look(frame), *tiles(frame, preview, min_face=min_face)]


class FaceFinder:
    """A stage from detections in previews, and in the other looks of a search, to faces in display pixels.

    A frame's item holds what the detector found in each of its pictures: in the preview alone, or in the preview and
    the `search_looks`. What comes out for a frame depends on it and on the frames since its shot began, or since the
    latest multiple of `search_seconds` of the video's time, whichever is later. Close looks are calls of the detector
    of their own, while the frame waits.

    Args:
        detector: where detection runs; it may return detections of any score.
        config: how often frames are searched, and how many closer looks they may have.
        min_score: score from which a detection counts.
        min_face: width of the smallest wanted face, display pixels.
        recorder: counts faces found and close looks, of frames that count.
        is_counted: whether a frame counts.
    """

    def __init__(
        self,
        detector: Executor[UInt8, tuple[Detection, ...]],
        config: DetectionConfig,
        *,
        min_score: float,
        min_face: float,
        recorder: Recorder,
        is_counted: Callable[[Frame], bool],
    ) -> None:
        self._detector = detector
        self._config = config
        self._min_score = min_score
        self._min_face = min_face
        self._recorder = recorder
        self._is_counted = is_counted
        self._followed: list[_Followed] = []
        self._settled: list[_Followed] = []
        """Doubtful faces of which looks in all directions showed no more: profiles."""
        self._turn = 0
        self._since: tuple[int, int] | None = None
        """Shot and period of time since whose begin faces are followed."""

    def push(self, item: FrameFaces[tuple[Detection, ...]]) -> tuple[FrameFaces[Detection]]:
        """Return the frame with its faces, best first; without any where the detector did not run."""
        if not item.faces:
            return (FrameFaces(item.frame, (), item.shot, item.detector_ran),)
        frame, (first, *others) = item.frame, item.faces
        since = (item.shot, search_period(frame, self._config))
        if others or since != self._since:
            self._since, self._turn = since, 0
            self._followed.clear()
            self._settled.clear()
        preview = preview_look(frame, longest_side=self._config.preview_side)
        seen = sight(first, preview)
        if others:
            looks = search_looks(frame, preview, min_face=self._min_face)
            searched = [sight(found, look) for look, found in zip(looks, others, strict=True)]
            known = [one for one in seen if self._is_sure(one)]
            candidates = [*seen, *_worth_having(searched, preview, known)]
            faces = self._search(frame, preview, candidates, known) if self._config.close_looks else candidates
        else:
            faces = self._glance(frame, preview, [one for one in seen if self._is_sure(one)])
        faces = [one for one in one_for_each_face(faces) if self._is_sure(one) and one.is_face]
        self._recorder.counts.faces_found += len(faces) if self._is_counted(frame) else 0
        ranked = sorted(faces, key=lambda one: one.found.score, reverse=True)
        return (FrameFaces(frame, tuple(one.found for one in ranked), item.shot, item.detector_ran),)

    def flush(self) -> tuple[()]:
        """Return nothing: no frame is held back."""
        return ()

    def _is_sure(self, one: Sighting) -> bool:
        return one.found.score >= self._min_score

    def _glance(self, frame: Frame, preview: Look, seen: list[Sighting]) -> list[Sighting]:
        """Return the faces of a frame of which the preview was seen."""
        if not self._config.close_looks:
            return seen
        if any(one.is_cut for one in seen):
            (afar,) = self._see(frame, [far_look(frame)])
            seen = one_for_each_face([*seen, *(one for one in afar if self._is_sure(one) and _is_large(one, preview))])
        followed = self._follow(frame)
        seen = [one for one in seen if not any(is_same_face(one, other) for other in followed)]
        # where a face is followed that was not looked at this time, or not seen, the tracker knows better
        seen = [one for one in seen if not (one.is_doubtful and self._is_followed(one))]
        doubtful = [one for one in seen if one.is_doubtful and not self._is_known(one)]
        most = max(1, self._config.close_looks // len(_QUARTERS))
        faces = {id(one): self._turned_upright(frame, one) for one in doubtful[:most]}
        self._settled += [_Followed.of(one) for one in faces.values() if one.is_doubtful]
        self._followed += [_Followed.of(one) for one in faces.values() if self._needs_following(one, preview)]
        return [*followed, *(faces.get(id(one), one) for one in seen)]

    def _search(self, frame: Frame, preview: Look, seen: list[Sighting], known: Sequence[Sighting]) -> list[Sighting]:
        """Return the faces of a frame that was searched, and follow those that previews do not show well.

        What is not `known` from the preview must turn out to be a face beyond doubt.
        """
        faces: list[Sighting] = []
        for one in by_trust(seen):
            # where a close look does not confirm the best sighting of a face, the next best has its turn
            if any(is_same_face(one, other) for other in faces):
                continue
            least = self._min_score if any(is_same_face(one, other) for other in known) else _CONFIRMED
            fits = one.box_width * preview.scale < LARGEST_FACE
            if one.is_doubtful or (fits and any(_contradicts(other, one) for other in seen)):
                best = self._turned_upright(frame, one)
                self._settled += [_Followed.of(best)] if best.is_doubtful else []
                faces += [best] if best.found.score >= least else []
            elif self._is_sure(one) and not self._needs_following(one, preview):
                faces.append(one)
            else:
                faces += self._confirmed(frame, one, least=least)
        self._followed = [_Followed.of(one) for one in one_for_each_face(faces) if self._needs_following(one, preview)]
        return faces

    def _needs_following(self, one: Sighting, preview: Look) -> bool:
        if not self._is_sure(one) or one.is_doubtful:
            return False
        least = 1.5 * _POOR_IN_PREVIEW if abs(one.pose[1]) > _LEANS else _POOR_IN_PREVIEW
        return one.width * preview.scale < least or abs(one.pose[1]) > _LIES

    def _is_known(self, one: Sighting) -> bool:
        """Return whether this face is followed, or was looked at in all directions since the latest search."""
        if self._is_followed(one):
            return True
        x, y = map(float, one.middle)
        settled = [face for face in self._settled if math.hypot(x - face.x, y - face.y) < _NEAR * one.box_width]
        for face in settled:
            face.x, face.y = x, y
        return bool(settled)

    def _is_followed(self, one: Sighting) -> bool:
        x, y = map(float, one.middle)
        return any(math.hypot(x - face.x, y - face.y) < _NEAR * face.width for face in self._followed)

    def _follow(self, frame: Frame) -> list[Sighting]:
        """Look at the followed faces, or in turn at some of them, and return those that are seen."""
        count = len(self._followed)
        share = min(count, max(self._config.close_looks, math.ceil(count / _TURNS)))
        chosen = [self._followed[(self._turn + step) % count] for step in range(share)]
        self._turn = (self._turn + share) % max(1, count)
        found = []
        for face, seen in zip(chosen, self._see(frame, [face.look for face in chosen]), strict=True):
            best = _best_near([one for one in seen if self._is_sure(one)], face.x, face.y, face.width)
            if best is None or best.is_doubtful:
                face.missed += 1
                continue
            found.append(best)
            now = _Followed.of(best)
            face.x, face.y, face.width, face.angle, face.missed = now.x, now.y, now.width, now.angle, 0
        self._followed = [face for face in self._followed if face.missed < _LOST]
        return found

    def _confirmed(self, frame: Frame, one: Sighting, *, least: float) -> list[Sighting]:
        """Return the face as a close look shows it, if it does so with the `least` score or more."""
        face = _Followed.of(one)
        (seen,) = self._see(frame, [face.look])
        best = _best_near(seen, face.x, face.y, face.width)
        if best is None or best.is_doubtful:
            return []
        return [best] if best.found.score >= least else []

    def _turned_upright(self, frame: Frame, one: Sighting) -> Sighting:
        """Return the face as the best of four close looks in all directions shows it, or as it was seen."""
        (x, y), width = one.middle, one.box_width
        looks = [close_look(x, y, width=width, angle=angle) for angle in _QUARTERS]
        seen = [near for found in self._see(frame, looks) if (near := _best_near(found, x, y, width)) is not None]
        best = max([one, *seen], key=lambda sighting: sighting.trust)
        if best is one or best.turn < _STILL_TURNED:
            return best
        return max([best, *self._confirmed(frame, best, least=self._min_score)], key=lambda sighting: sighting.trust)

    def _see(self, frame: Frame, looks: Sequence[Look]) -> list[list[Sighting]]:
        """Return what the detector sees in looks at a frame."""
        if not looks:
            return []
        self._recorder.counts.close_looks += len(looks) if self._is_counted(frame) else 0
        pictures = [cut_look(frame, look) for look in looks]
        found = [faces for result in self._detector.map([pictures]) for faces in result]
        return [sight(faces, look) for faces, look in zip(found, looks, strict=True)]


def search_period(frame: Frame, config: DetectionConfig) -> int:
    """Return the number of the period of time, from one search to the next, in which a frame lies."""
    return int(frame.seconds // Fraction(config.follow_seconds))


def _worth_having(searched: Sequence[Sequence[Sighting]], preview: Look, known: Sequence[Sighting]) -> list[Sighting]:
    """Return of what the `search_looks` showed that for which each of them is there: tiles show what is not known."""
    turned, (afar, *tiled) = searched[:_TURNED_LOOKS], searched[_TURNED_LOOKS:]
    return [
        *(one for found in turned for one in found if one.turn < _TURNED_ASIDE),
        *(one for one in afar if _is_large(one, preview)),
        *(
            one
            for found in tiled
            for one in found
            if one.box_width * preview.scale < _SMALL and not any(is_same_face(one, other) for other in known)
        ),
    ]


def _contradicts(other: Sighting, one: Sighting) -> bool:
    """Return whether another sighting shows the same face lying otherwise, and is trusted nearly as much."""
    if other.trust < one.trust - _RIVAL or not is_same_face(other, one):
        return False
    return abs(math.remainder(other.pose[1] - one.pose[1], math.tau)) > _OTHERWISE


def _is_large(one: Sighting, preview: Look) -> bool:
    return one.box_width * preview.scale > _LARGE


def _best_near(seen: Sequence[Sighting], x: float, y: float, width: float) -> Sighting | None:
    near = [one for one in seen if math.hypot(one.middle[0] - x, one.middle[1] - y) < _NEAR * width]
    return max(near, key=lambda one: one.trust, default=None)
