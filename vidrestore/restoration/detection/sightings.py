"""Sightings: what the detector saw in a look, how far it is to be believed, and which sightings are of one face."""

import math
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Final

import numpy as np

from vidrestore.errors import RestorationError
from vidrestore.faces.alignment import Pose, residual, similarity
from vidrestore.faces.boxes import box_iou
from vidrestore.restoration.detection.looks import LARGEST_FACE, Look
from vidrestore.restoration.face.selection import FACE_WIDTH
from vidrestore.types import Detection, Float64

_POOR_FIT: Final = 0.05
"""Distance of the landmarks to the template (see `faces.alignment.residual`) from which they need not be a face's: a
profile fits as well as this, a turned face worse."""
_NO_FACE: Final = 0.12
"""Distance of points that are no face's."""
_FIT_COST: Final = 6.0
_NARROW: Final = 0.8
"""Width by the landmarks over width by the box, from which a face need not be upright: its chin is taken for eyes."""
_NARROW_COST: Final = 0.4
_SIZE_COST: Final = 0.02
_TURNED_LOOK_COST: Final = 0.03
"""What a look pays that is turned: most faces are upright."""
_UPRIGHT: Final = 20.0
"""Degrees up to which a face in a look is seen as well as an upright one."""
_TURNED: Final = 40.0
"""Degrees from which a look sees a face no better than by chance."""
_TURN_COST: Final = 0.006
_TURNED_LOOK: Final = math.pi / 4
_SAME_FACE: Final = 0.4
"""Intersection over union from which two boxes show one face."""
_INSIDE: Final = 0.6
"""Share of a box that lies in a larger face's, from which it shows a part of that face."""
_BEST_WIDTH: Final = 160.0
"""Width in pixels of a look at which landmarks are most exact."""
_BOX_WIDTH: Final = 1.35
"""Length of a detection's box, in widths of the face."""


@dataclass(frozen=True, slots=True)
class Sighting:
    """A detection in display pixels and the look that it was seen in."""

    found: Detection
    look: Look = field(repr=False)
    pose: Pose
    misfit: float
    """Distance of the landmarks to the template, in sides of the aligned square."""
    box_width: float
    """Width of the face by its box, display pixels: landmarks that are not a face's say nothing of it."""

    @property
    def width(self) -> float:
        """Width of the face by its landmarks, display pixels."""
        return float(np.exp(self.pose[0])) * FACE_WIDTH

    @property
    def turn(self) -> float:
        """Degrees, 0 to 180, that the face is turned in the look."""
        return abs(math.degrees(math.remainder(self.pose[1] - self.look.angle, math.tau)))

    @property
    def trust(self) -> float:
        """Rank among sightings of one face: the detector's score less what poor fits, turns and awkward sizes cost."""
        poor = _FIT_COST * self.misfit + _NARROW_COST * max(0.0, -math.log(self.width / self.box_width))
        awkward = _SIZE_COST * abs(math.log(self.width * self.look.scale / _BEST_WIDTH))
        turned = _TURN_COST * max(0.0, self.turn - _UPRIGHT) + _TURNED_LOOK_COST * (abs(self.look.angle) > _TURNED_LOOK)
        return self.found.score - poor - awkward - turned

    @property
    def is_doubtful(self) -> bool:
        """Whether the face may be turned so far that its landmarks are wrong."""
        narrow = self.width < _NARROW * self.box_width
        return self.misfit > _POOR_FIT or self.turn > _TURNED or narrow

    @property
    def is_face(self) -> bool:
        """Whether the landmarks can be those of a face at all."""
        return self.misfit < _NO_FACE

    @property
    def is_cut(self) -> bool:
        """Whether the face is larger than the detector's anchors in this look, so that a part may stand for it."""
        return self.box_width * self.look.scale > LARGEST_FACE

    @property
    def middle(self) -> Float64:
        """Middle of the box, display pixels."""
        return middle_of(self.found)


def sight(found: Iterable[Detection], look: Look) -> list[Sighting]:
    """Map a look's detections to the display; those whose landmarks span no area are left out."""
    sightings = []
    for one in found:
        moved = look.in_display(one)
        try:
            pose, misfit = similarity(moved.landmarks), residual(moved.landmarks)
        except RestorationError:
            continue
        left, top, right, bottom = map(float, one.box)
        length = max(1.0, right - left, bottom - top)
        sightings.append(Sighting(moved, look, pose, misfit, length / look.scale / _BOX_WIDTH))
    return sightings


def one_for_each_face(sightings: Iterable[Sighting]) -> list[Sighting]:
    """Keep the most trusted sighting of every face, best first; parts of a face that is seen whole are dropped."""
    kept: list[Sighting] = []
    for one in by_trust(sightings):
        if not any(is_same_face(one, other) for other in kept):
            kept.append(one)
    return [one for one in kept if not any(_is_part(one, other) for other in kept)]


def by_trust(sightings: Iterable[Sighting]) -> list[Sighting]:
    """Sort sightings: those that show whole faces first, then the most trusted."""
    return sorted(sightings, key=lambda one: (one.is_cut, -one.trust))


def is_same_face(one: Sighting, other: Sighting) -> bool:
    """Return whether two boxes overlap so far that they show one face, or one a part of the other."""
    overlap = float(box_iou(one.found.box[None], other.found.box[None])[0, 0])
    return overlap > _SAME_FACE or (one.is_cut and _is_part(one, other))


def middle_of(found: Detection) -> Float64:
    """Return the middle of a detection's box, float64 [2], display pixels."""
    middle: Float64 = found.box.reshape(2, 2).mean(axis=0).astype(np.float64)
    return middle


def _is_part(one: Sighting, whole: Sighting) -> bool:
    """Return whether a box lies mostly in that of a larger face, whose part it may be."""
    if whole.is_cut or one.box_width >= whole.box_width:
        return False
    low = np.maximum(one.found.box[:2], whole.found.box[:2])
    high = np.minimum(one.found.box[2:], whole.found.box[2:])
    shared = float(np.prod(np.clip(high - low, 0, None)))
    return shared > _INSIDE * float(np.prod(one.found.box[2:] - one.found.box[:2]))
