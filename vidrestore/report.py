"""Reports of a run: counts and timings while it runs, a report when it ends."""

import json
import os
import platform
import threading
import time
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, field, fields
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, Self, TypeVar

from vidrestore import __version__
from vidrestore.errors import OutputError
from vidrestore.files import open_regular, replace_text

T = TypeVar("T")

_MOST_BYTES = 1 << 28
"""Largest report that is recognised, in bytes."""
_REPORTED_PACKAGES = ("vidrestore", "torch", "av", "numpy", "opencv-python", "facexlib", "filterpy", "ray")


FORMER_COUNTS = {"looks": "detector_runs"}
"""Names of counts until this release -> today's: they are read until the next one, and reports have them too."""


@dataclass(slots=True)
class Counts:
    """Counts of one run of the pipeline, over the frames that it was asked for, without those around them."""

    frames: int = 0
    """Frames restored, or let through because they have no face."""
    shots: int = 0
    """Shots begun; the first frame begins one."""
    detector_runs: int = 0
    """Frames on which the face detector ran."""
    searches: int = 0
    """Frames of these whose whole picture was searched for small and lying faces."""
    close_looks: int = 0
    """Further pictures of single faces that the detector saw."""
    faces_found: int = 0
    """Faces that it found in all of them."""
    detections_rejected: int = 0
    """Detections that the tracker took for no face, in the frames around included."""
    tracks: int = 0
    """Tracks with a face to restore in any of the frames."""
    frames_with_faces: int = 0
    """Frames with a face to restore."""
    faces: int = 0
    """Faces restored, one for each frame that shows it."""
    faces_propagated: int = 0
    """Faces of these restored from an earlier frame, without the network: live, when time is short."""

    @classmethod
    def from_names(cls, values: Mapping[str, int]) -> Self:
        """Read counts by name, former names included; an unknown name is ignored, a missing one is 0."""
        known = {one.name for one in fields(cls)}
        named = {FORMER_COUNTS.get(name, name): value for name, value in values.items()}
        return cls(**{name: value for name, value in named.items() if name in known})

    def __add__(self, other: "Counts") -> "Counts":
        return Counts(*(getattr(self, one.name) + getattr(other, one.name) for one in fields(self)))

    def __getitem__(self, name: str) -> int:
        """Return a count by its name of now or until this release."""
        value = getattr(self, self._field(name))
        assert isinstance(value, int), "all counts are"  # noqa: S101
        return value

    def _field(self, name: str) -> str:
        name = FORMER_COUNTS.get(name, name)
        if name not in self.__slots__:
            raise KeyError(name)
        return name


class Recorder:
    """Counts events and adds up the seconds of each stage.

    Stages pull from one another, so their calls nest; a stage is charged only for its own share. Several threads may
    use one recorder, each with stages and counts of its own.
    """

    def __init__(self) -> None:
        self.counts = Counts()
        self.seconds: defaultdict[str, float] = defaultdict(float)
        self.tracks_in_frame = 0
        """Tracks in the latest frame: a level, which must not be summed over segments."""
        self._nesting = threading.local()

    @contextmanager
    def timing(self, stage: str) -> Iterator[None]:
        """Charge the enclosed seconds to a stage, less what stages inside are charged."""
        started = time.perf_counter()
        inner: list[float] = self._nesting.__dict__.setdefault("inner", [])
        inner.append(0.0)
        try:
            yield
        finally:
            elapsed = time.perf_counter() - started
            self.seconds[stage] += elapsed - inner.pop()
            if inner:
                inner[-1] += elapsed

    def timed(self, stage: str, items: Iterable[T]) -> Iterator[T]:
        """Yield the items of a stream, and charge the time of making each to a stage."""
        source = iter(items)
        while True:
            with self.timing(stage):
                try:
                    item = next(source)
                except StopIteration:
                    return
            yield item


@dataclass(frozen=True, slots=True)
class RestoreReport:
    """Everything worth knowing of a finished run; `to_json` writes it for programs."""

    source: str
    destination: str
    frames_read: int
    frames_written: int
    frames_missing: int
    """Frames that the container promises and the file does not hold (a truncated or damaged video)."""
    packets_undecodable: int
    frames_damaged: int
    """Frames in which the decoder found damage and hid it."""
    frames_with_faces: int
    faces_restored: int
    tracks: int
    shots: int
    narrowest_face_searched: float | None
    """Width in display pixels from which faces were looked for."""
    seconds: float
    """Wall-clock time from the call to the renamed result."""
    seconds_per_stage: dict[str, float]
    """Busy seconds of each stage in the segment workers, added up. `wait` is the time for which a worker has waited for
    the networks: in this process while they run for other workers, on Ray for the answers of the face workers."""
    model: str
    model_sha256: str
    runtime: str
    retries: int
    streams: dict[str, list[str]]
    """Description of the other streams, by `copied`, `converted`, `left_out`."""
    warnings: list[str]
    counts: Counts
    """All counts of the run, added up over its segments."""
    config: dict[str, Any]
    versions: dict[str, str] = field(default_factory=dict)

    @property
    def frames_per_second(self) -> float:
        """Frames per second from the call to the renamed result."""
        return self.frames_written / self.seconds if self.seconds > 0 else 0.0

    @property
    def complete(self) -> bool:
        """Whether every frame that the source promises was decoded undamaged and written."""
        losses = self.frames_missing + self.packets_undecodable + self.frames_damaged
        return losses == 0 and self.frames_read == self.frames_written

    def to_json(self) -> str:
        """Serialise, with the derived figures, and counts under their former names too."""
        former = {name: self.counts[name] for name in FORMER_COUNTS}
        counts = {**asdict(self.counts), **former}
        values = {
            **asdict(self),
            "counts": counts,
            "frames_per_second": self.frames_per_second,
            "complete": self.complete,
        }
        return json.dumps(values, indent=2, default=str) + "\n"

    def __str__(self) -> str:
        return (
            f"{self.destination}: {self.frames_written} frames, {self.faces_restored} faces in {self.tracks} tracks, "
            f"{self.shots} shots, {self.seconds:.1f} s ({self.frames_per_second:.1f} fps)"
        )

    def save(self, path: str | Path) -> None:
        """Write the JSON next to its place and rename it there.

        Raises:
            OutputError: it cannot be written.
        """
        replace_text(Path(path), self.to_json())


def check_report(path: Path, *, apart_from: Iterable[Path] = (), overwrite: bool = False) -> None:
    """Check that a report can be written, and replaces nothing but a report: before the work, and after it.

    Args:
        path: file of the report.
        apart_from: files that it may never replace: the source, the result.
        overwrite: whether it may replace other files.

    Raises:
        OutputError: it is a folder, its folder is missing or may not be written, or it would replace something else.
    """
    if path.is_dir() or not path.parent.is_dir() or not os.access(path.parent, os.W_OK | os.X_OK):
        message = f"the report {path} cannot be written; name a file in a folder that exists and may be written"
        raise OutputError(message)
    for other in apart_from:
        if _is_same(path, other):
            raise OutputError(f"the report {path} would replace {other}; name another file for the report")
    if not overwrite and os.path.lexists(path) and not _is_free(path):
        raise OutputError(f"{path} exists and is no report of vidrestore; name another file for the report")


def is_report(data: bytes) -> bool:
    """Return whether a file's content is a report that some command of this package wrote."""
    try:
        values = json.loads(data)
    except (ValueError, RecursionError):
        return False
    if not isinstance(values, dict):
        return False
    versions = values.get("versions")
    # what earlier versions wrote of streams names no versions
    return (isinstance(versions, dict) and {"python", "vidrestore"} <= versions.keys()) or values.keys() == {
        "streams",
        "problems",
    }


def _is_same(one: Path, other: Path) -> bool:
    with suppress(OSError):
        if one.samefile(other):
            return True
    return os.path.realpath(one) == os.path.realpath(other)


def _is_free(path: Path) -> bool:
    """Return whether a file is empty or an earlier report."""
    try:
        with open(open_regular(path, os.O_RDONLY), "rb") as file:  # noqa: PTH123  a handle
            data = file.read(_MOST_BYTES)
    except (OSError, OutputError):
        return False
    return not data or is_report(data)


def installed_versions() -> dict[str, str]:
    """Return the versions of this package, its important dependencies and Python."""
    found = {"python": platform.python_version(), "vidrestore": __version__}
    for package in _REPORTED_PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found
