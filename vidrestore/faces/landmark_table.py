"""The landmarks of a folder of faces: the text file `landmarks.csv` in the folder of the images.

One line per face: `name,score,x0,y0,...,x4,y4`. The name is the image's path below the folder, with slashes; the points
are in pixels of that image, pixel centres at integers, in the order of `types.Detection`.
"""

import csv
import io
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import numpy as np

from vidrestore.errors import InputError
from vidrestore.files import replace_bytes
from vidrestore.types import Float32

TABLE_NAME: Final = "landmarks.csv"

_BYTES: Final = "surrogateescape"
"""Error handler with which file names that are not UTF-8 are kept byte for byte."""
_POINTS: Final = 5
_HEADER: Final = ["name", "score", *(f"{axis}{point}" for point in range(_POINTS) for axis in "xy")]


@dataclass(frozen=True, slots=True, eq=False)
class FaceLandmarks:
    """Landmarks of the face in one image."""

    points: Float32 = field(repr=False)
    """float32 [5, 2], pixels of the image (x, y): left eye, right eye, nose tip, left and right mouth corner."""
    score: float
    """0..1: the detector's confidence."""


def read_landmarks(path: Path) -> dict[str, FaceLandmarks]:
    """Read a table: image name -> landmarks.

    Raises:
        InputError: the table cannot be read, or a line is malformed.
    """
    try:
        with path.open(encoding="utf-8", errors=_BYTES, newline="") as file:
            return dict(_rows(path, csv.reader(file)))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise InputError(f"{path} cannot be read: {error}; write it again with `vidrestore align --keep`") from error


def write_landmarks(path: Path, landmarks: Mapping[str, FaceLandmarks]) -> None:
    """Write a table, sorted by name, to a temporary file and rename it to `path`.

    Raises:
        OutputError: it cannot be written.
    """
    table = io.StringIO()
    writer = csv.writer(table, lineterminator="\n")
    writer.writerow(_HEADER)
    for name, face in sorted(landmarks.items()):
        writer.writerow([name, f"{face.score:.4f}", *(f"{value:.2f}" for value in face.points.flat)])
    replace_bytes(path, table.getvalue().encode(errors=_BYTES))


def _rows(path: Path, lines: Iterator[list[str]]) -> Iterator[tuple[str, FaceLandmarks]]:
    header = next(lines, [])
    if header != _HEADER:
        raise InputError(f"{path} begins with {','.join(header)!r}; wanted the header {','.join(_HEADER)!r}")
    seen = set()
    for number, line in enumerate(lines, start=2):
        values = _numbers(line)
        if values is None:
            raise InputError(
                f"{path}, line {number}, is {','.join(line)!r}; wanted a name, a score and {2 * _POINTS} finite numbers"
            )
        if line[0] in seen:
            raise InputError(f"{path}, line {number}, names {line[0]} a second time; leave one line for each image")
        seen.add(line[0])
        yield line[0], FaceLandmarks(np.array(values[1:], np.float32).reshape(_POINTS, 2), values[0])


def _numbers(line: list[str]) -> list[float] | None:
    if len(line) != len(_HEADER):
        return None
    try:
        values = [float(value) for value in line[1:]]
    except ValueError:
        return None
    return values if all(map(math.isfinite, values)) else None
