"""Outcome of each photograph, kept as `report.json` next to the faces: counts, and the state to continue from."""

import json
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Final

import numpy as np
import pydantic

from vidrestore.errors import OutputError
from vidrestore.faces.landmark_table import TABLE_NAME, FaceLandmarks, write_landmarks
from vidrestore.files import replace_text
from vidrestore.training.photographs.sources import Photograph

REPORT_NAME: Final = "report.json"


@dataclass(frozen=True, slots=True)
class GatheredFace:
    """A face of the folder."""

    name: str
    """Path of its picture, below the folder."""
    score: float = 0.0
    """Confidence of the detector, 0..1; 0 where no landmarks were found."""
    landmarks: tuple[tuple[float, float], ...] = ()
    """Five points (x, y) in pixels of the picture; none where the picture was kept and no face found in it."""
    enlarged: bool = False
    """Whether the face was smaller in the photograph than it is now."""


@dataclass(frozen=True, slots=True)
class PhotographOutcome:
    """Outcome of one photograph."""

    size_bytes: int
    modified_ns: int
    faces: tuple[GatheredFace, ...] = ()
    too_small: int = 0
    """Faces narrower than the least width."""
    turned_away: int = 0
    """Faces whose landmarks do not fit the template: profiles, and what is no face."""
    not_largest: int = 0
    """Faces left out because only the largest one was wanted."""
    problem: str = ""
    """Reason why the file could not be used; empty if it could."""

    @property
    def nobody(self) -> bool:
        """Whether the picture is sound and no face was found in it."""
        found = any(face.landmarks for face in self.faces) or self.too_small or self.turned_away or self.not_largest
        return not (found or self.problem)


@dataclass(frozen=True, slots=True)
class GatheringReport:
    """A folder of gathered faces: where from, how, and every photograph's outcome."""

    source: str
    config: dict[str, Any]
    photographs: dict[str, PhotographOutcome] = field(default_factory=dict, repr=False)

    @property
    def counts(self) -> dict[str, int]:
        """Counts of what was written and of what was not."""
        outcomes = self.photographs.values()
        faces = [face for outcome in outcomes for face in outcome.faces]
        return {
            "photographs": len(self.photographs),
            "unusable": len(self.unusable),
            "without_face": len(self.without_face),
            "faces": len(faces),
            "faces_without_landmarks": sum(not face.landmarks for face in faces),
            "faces_enlarged": sum(face.enlarged for face in faces),
            "skipped_too_small": sum(outcome.too_small for outcome in outcomes),
            "skipped_turned_away": sum(outcome.turned_away for outcome in outcomes),
            "skipped_not_largest": sum(outcome.not_largest for outcome in outcomes),
        }

    @property
    def unusable(self) -> dict[str, str]:
        """For each unusable photograph, the reason."""
        return {name: outcome.problem for name, outcome in self.photographs.items() if outcome.problem}

    @property
    def without_face(self) -> list[str]:
        """Photographs in which no face was found."""
        return [name for name, outcome in self.photographs.items() if outcome.nobody]

    def done(self, photograph: Photograph, folder: Path) -> bool:
        """Return whether a photograph has not changed since its faces were made, and these are still there."""
        outcome = self.photographs.get(str(photograph.name))
        if outcome is None or (outcome.size_bytes, outcome.modified_ns) != (
            photograph.size_bytes,
            photograph.modified_ns,
        ):
            return False
        return all((folder / face.name).is_file() for face in outcome.faces)

    def write(self, folder: Path) -> None:
        """Write the table of landmarks and the report, each next to its place and renamed there.

        Raises:
            OutputError: they cannot be written.
        """
        faces = (face for outcome in self.photographs.values() for face in outcome.faces if face.landmarks)
        points = {face.name: FaceLandmarks(np.array(face.landmarks, np.float32), face.score) for face in faces}
        write_landmarks(folder / TABLE_NAME, points)
        content = {
            "source": self.source,
            "config": self.config,
            "counts": self.counts,
            "unusable": self.unusable,
            "without_face": self.without_face,
            "photographs": {name: asdict(outcome) for name, outcome in sorted(self.photographs.items())},
        }
        replace_text(folder / REPORT_NAME, json.dumps(content, indent=1) + "\n")


def read_report(folder: Path, *, source: str, config: dict[str, Any]) -> GatheringReport:
    """Read the report of an earlier run into the folder; without one return an empty report.

    Raises:
        OutputError: the folder was made from another source or with other options, or its report is damaged.
    """
    path = folder / REPORT_NAME
    if not path.exists():
        return GatheringReport(source, config)
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        photographs = pydantic.TypeAdapter(dict[str, PhotographOutcome]).validate_python(content["photographs"])
        before = (content["source"], content["config"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise OutputError(f"{path} is no report of gathered faces ({error}); use another folder") from error
    if before != (source, config):
        changed = f"from {before[0]}" if before[0] != source else f"with {_differences(before[1], config)}"
        raise OutputError(f"{folder} holds faces gathered {changed}; use another folder, or take the old one away")
    return GatheringReport(source, config, photographs)


def _differences(before: dict[str, Any], now: dict[str, Any]) -> str:
    names = [name for name in now if before.get(name) != now[name]] or list(before)
    return ", ".join(f"{name}={before.get(name)!r} instead of {now.get(name)!r}" for name in names)
