"""How many faces are found and aligned, by size, angle and number, and how often something else is taken for one.

Pictures are drawn from a folder of portraits. A still picture stands for the first frame of a shot, and its repetition
for the frames after it; a face is found where a box lies over it, and aligned where the root mean square error of its
landmarks is below a fifth of the distance between the eyes.
"""

import statistics
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import partial
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch

from benchmarks.crowds import Crowd, Person, Portrait, draw_crowd, draw_without_people, load_portraits
from benchmarks.machine import describe_machine
from vidrestore.config import update
from vidrestore.faces.detector import FaceDetector
from vidrestore.live.config import live_restore_config
from vidrestore.markdown import markdown_table
from vidrestore.report import Recorder
from vidrestore.restoration.config import RestoreConfig
from vidrestore.restoration.detection.schedule import find_faces
from vidrestore.stages import Inline
from vidrestore.types import Detection, Frame, UInt8

ALIGNED: Final = 0.2
"""Error of the landmarks, in distances between the eyes, up to which a face is aligned."""
_NEAR: Final = 0.6
"""Distance between the middles of a box and a face, in widths of the face, up to which the box is that face's."""
_RATE: Final = 10
"""Frames a second: few enough for the detector to run on each."""
_RUNS: Final = 3
"""Detector runs after the first: those in which each of many small faces is looked at once."""
_OFF: Final[Mapping[str, Any]] = {"detection": {"search_seconds": 0.0, "close_looks": 0}}
WAYS: Final[Mapping[str, RestoreConfig]] = {
    "previews alone": update(RestoreConfig(), _OFF),
    "with searches": RestoreConfig(),
    "live": live_restore_config(),
}
"""Name -> configuration. The first is what a detector sees that looks at nothing but a small copy of each frame."""

Faces = Sequence[tuple[float, float]]
"""Width in pixels, and clockwise degrees, of each face."""


@dataclass(frozen=True, slots=True)
class Scene:
    """A kind of picture."""

    name: str
    width: int
    height: int
    faces: Callable[[np.random.Generator], Faces]


@dataclass(frozen=True, slots=True)
class Figures:
    """What came out of the pictures of a scene."""

    faces: int
    found: float
    """Share of the faces that were found, 0..1."""
    aligned: float
    """Share of the faces that were aligned."""
    error: float | None
    """Median error of the landmarks of those that were found, in distances between the eyes."""
    false_alarms: int
    """Detections that a track may begin with, where there is no face."""
    first_ms: float
    """CPU milliseconds of the first detector run in a shot, median."""
    next_ms: float
    """CPU milliseconds of one of the next, which search nothing, mean."""


def _upright(width: float, count: int, random: np.random.Generator) -> Faces:
    return [(width, float(random.uniform(-20, 20))) for _ in range(count)]


def _turned(width: float, count: int, random: np.random.Generator) -> Faces:
    start = random.uniform(0, 360)
    return [(width, float(start + 360 * index / count)) for index in range(count)]


def _mixed(count: int, random: np.random.Generator) -> Faces:
    return [
        (float(np.exp(random.uniform(np.log(16), np.log(160)))), float(random.uniform(-30, 30))) for _ in range(count)
    ]


def scenes() -> list[Scene]:
    """Return every kind of picture with people."""
    sizes: dict[tuple[int, int], tuple[int, ...]] = {
        (640, 360): (12, 16, 20, 24, 32, 48, 100, 200, 300, 400),
        (1920, 1080): (16, 20, 24, 32, 48, 80, 200, 500, 900),
        (3840, 2160): (16, 24, 40, 56, 200),
    }
    hd, full_hd = (1280, 720), (1920, 1080)
    return [
        *(
            Scene(f"{width} px, upright", *size, partial(_upright, width, _fitting(width, size)))
            for size, widths in sizes.items()
            for width in widths
        ),
        *(
            Scene(f"{width} px, all angles", *hd, partial(_turned, width, _fitting(width, hd)))
            for width in (20, 32, 64, 128, 300, 600)
        ),
        *(Scene(f"{count} people, 16 to 160 px", *full_hd, partial(_mixed, count)) for count in (2, 8, 30)),
    ]


def _fitting(width: float, size: tuple[int, int]) -> int:
    return int(np.clip(size[0] * size[1] / (3 * width) ** 2, 1, 8))


def measure(folder: Path, *, pictures: int = 3, portraits: int = 60, on_step: Callable[[str], None]) -> str:
    """Measure all scenes in all ways, and return the tables in Markdown.

    Args:
        folder: of portraits, one upright face in each.
        pictures: number of pictures of each scene.
        portraits: most portraits to use.
        on_step: called with a line for each scene.

    Raises:
        InputError: the folder holds no portraits.
    """
    torch.set_num_threads(1)  # seconds of one core are told
    host = describe_machine()
    people = load_portraits(folder, FaceDetector(), most=portraits)
    detectors = {
        name: FaceDetector(way.detector if name == "previews alone" else way.candidate_detector)
        for name, way in WAYS.items()
    }
    rows, alarms = [], []
    for scene in scenes():
        drawn = _draw(scene, people, pictures)
        figures = {name: _figures(drawn, detectors[name], way) for name, way in WAYS.items()}
        rows.append(
            [f"{scene.width}x{scene.height}, {scene.name}", *(cell for one in figures.values() for cell in _cells(one))]
        )
        on_step(" | ".join(rows[-1]))
    for width, height in ((640, 360), (1920, 1080)):
        random = np.random.default_rng(1)
        kinds = [pair for _ in range(pictures) for pair in draw_without_people(random, width=width, height=height)]
        for kind in dict.fromkeys(name for name, _ in kinds):
            empty = [Crowd(picture, ()) for name, picture in kinds if name == kind]
            counted = [str(_figures(empty, detectors[name], way).false_alarms) for name, way in WAYS.items()]
            alarms.append([f"{width}x{height}, {kind}", *counted])
            on_step(" | ".join(alarms[-1]))
    header = [
        "picture",
        *(f"{name}: {what}" for name in WAYS for what in ("found / aligned", "error", "ms first / next")),
    ]
    lines = [
        markdown_table(header, rows),
        "",
        f"False alarms in {pictures} pictures of each kind, without people:",
        "",
        markdown_table(["picture", *WAYS], alarms),
        "",
        f"- {host.cpu}, {host.cores} cores, one thread.",
    ]
    return "\n".join(lines)


def _draw(scene: Scene, people: Sequence[Portrait], pictures: int) -> list[Crowd]:
    random = np.random.default_rng(5)
    return [
        draw_crowd(people, random, width=scene.width, height=scene.height, faces=scene.faces(random))
        for _ in range(pictures)
    ]


def _cells(figures: Figures) -> list[str]:
    error = "-" if figures.error is None else f"{figures.error:.3f}"
    shares = f"{100 * figures.found:.0f} / {100 * figures.aligned:.0f} %"
    return [shares, error, f"{figures.first_ms:.0f} / {figures.next_ms:.0f}"]


def _figures(drawn: Iterable[Crowd], detector: FaceDetector, config: RestoreConfig) -> Figures:
    errors: list[float | None] = []
    first, later, false_alarms = [], [], 0
    for crowd in drawn:
        found, times = _found(crowd.picture, detector, config)
        first.append(times[0])
        later += times[1:]
        # a face counts as the tracker sees it: where it is looked at in turn, in any of three runs
        several = [face for faces in found[-3:] for face in faces]
        errors += [_error(person, several) for person in crowd.people]
        sure = [face for face in found[0] if face.score >= config.tracker.new_track_score]
        false_alarms += sum(not any(_shows(face, person) for person in crowd.people) for face in sure)
    seen = [error for error in errors if error is not None]
    count = max(1, len(errors))
    return Figures(
        faces=len(errors),
        found=len(seen) / count,
        aligned=sum(error < ALIGNED for error in seen) / count,
        error=statistics.median(seen) if seen else None,
        false_alarms=false_alarms,
        first_ms=1000 * statistics.median(first),
        next_ms=1000 * statistics.mean(later),
    )


def _found(
    picture: UInt8, detector: FaceDetector, config: RestoreConfig
) -> tuple[list[tuple[Detection, ...]], list[float]]:
    """Return the faces of each detector run over a still shot, and its CPU seconds."""
    frames = (
        Frame(index, index, Fraction(1, _RATE), 1, picture.shape[1], picture.shape[0], "rgb24", (picture,))
        for index in range(1 + _RUNS)
    )
    config = update(config, {"detection": {"batch_size": 1, "frames_per_batch": 1}})
    found, times = [], []
    started = time.process_time()
    for item in find_faces(frames, Inline(detector), config, Recorder()):
        found.append(item.faces)
        times.append(time.process_time() - started)
        started = time.process_time()
    return found, times


def _shows(face: Detection, person: Person) -> bool:
    away = face.box.reshape(2, 2).mean(axis=0) - person.landmarks.mean(axis=0)
    return float(np.hypot(*away)) < _NEAR * person.width


def _error(person: Person, found: Iterable[Detection]) -> float | None:
    errors = [
        float(np.sqrt(((face.landmarks - person.landmarks) ** 2).sum(axis=1).mean())) / person.eye_distance
        for face in found
        if _shows(face, person)
    ]
    return statistics.median(errors) if errors else None
