"""What a run did: counts and timings while it runs, a report when it ends."""

import json
import os
import platform
import threading
import time
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, TypeVar

from vidrestore.errors import OutputError
from vidrestore.files import replace_text

T = TypeVar("T")

_REPORTED_PACKAGES = ("vidrestore", "torch", "av", "numpy", "opencv-python", "facexlib", "filterpy", "ray")


class Recorder:
    """Counts things and adds up the seconds of each stage.

    Stages pull from one another, so their calls nest; a stage is charged only for its own share. Several threads may
    use one recorder, each with stages and counts of its own.
    """

    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()
        self.seconds: defaultdict[str, float] = defaultdict(float)
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
        """Draw a stream through, charging what it takes to make each item."""
        source = iter(items)
        while True:
            with self.timing(stage):
                try:
                    item = next(source)
                except StopIteration:
                    return
            yield item


@dataclass(frozen=True, slots=True)
class RunReport:
    """Everything worth knowing of a finished run; `to_json` writes it for machines."""

    source: str
    destination: str
    frames_read: int
    frames_written: int
    frames_missing: int
    """Frames that the container promises and the file does not hold (a truncated or damaged film)."""
    packets_undecodable: int
    frames_damaged: int
    """Frames in which the decoder found damage and hid it."""
    frames_with_faces: int
    faces_restored: int
    tracks: int
    shots: int
    seconds: float
    """Wall-clock time from the call to the renamed result."""
    seconds_per_stage: dict[str, float]
    """Busy seconds of each stage in the segment worker; waiting for a face worker counts to the stage that waits."""
    model: str
    model_sha256: str
    runtime: str
    retries: int
    streams: dict[str, list[str]]
    """What became of the other streams: `copied`, `converted`, `left_out`."""
    warnings: list[str]
    counts: dict[str, int]
    """Every further count of the run."""
    config: dict[str, Any]
    versions: dict[str, str] = field(default_factory=dict)

    @property
    def frames_per_second(self) -> float:
        """End to end."""
        return self.frames_written / self.seconds if self.seconds > 0 else 0.0

    @property
    def complete(self) -> bool:
        """Whether every frame that the source promises was decoded undamaged and written."""
        losses = self.frames_missing + self.packets_undecodable + self.frames_damaged
        return losses == 0 and self.frames_read == self.frames_written

    def to_json(self) -> str:
        """Serialise, with the derived figures."""
        values = {**asdict(self), "frames_per_second": self.frames_per_second, "complete": self.complete}
        return json.dumps(values, indent=2, default=str) + "\n"

    def write(self, path: Path) -> None:
        """Write the JSON beside its place and rename it there.

        Raises:
            OutputError: it cannot be written.
        """
        replace_text(path, self.to_json())


def check_report(path: Path) -> None:
    """Make sure that a report can be written, before the work that it reports.

    Raises:
        OutputError: it is a folder, or its folder is missing or may not be written.
    """
    if path.is_dir() or not path.parent.is_dir() or not os.access(path.parent, os.W_OK | os.X_OK):
        message = f"the report {path} cannot be written; name a file in a folder that exists and may be written"
        raise OutputError(message)


def installed_versions() -> dict[str, str]:
    """Versions of this package, its important parts and Python."""
    found = {"python": platform.python_version()}
    for package in _REPORTED_PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found
