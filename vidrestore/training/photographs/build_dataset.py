"""From photographs to a folder of aligned faces with their landmarks, which `open_face_folder` reads.

A second run into the same folder continues where the first one stopped, and does nothing when nothing has changed.
"""

import os
import shutil
from collections.abc import Callable, Iterator
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Annotated, Any, Final, Literal

import cv2
import numpy as np
from pydantic import Field

from vidrestore.config import Options
from vidrestore.errors import InputError, OutputError
from vidrestore.faces.alignment import TEMPLATE, residual
from vidrestore.faces.config import DetectorConfig
from vidrestore.faces.detector import FaceDetector
from vidrestore.files import atomic_path
from vidrestore.stages import BatchStage
from vidrestore.training.data.image_file import IMAGE_SUFFIXES
from vidrestore.training.photographs.build_record import (
    GatheredFace,
    GatheringReport,
    PhotographOutcome,
    read_report,
)
from vidrestore.training.photographs.faces import PhotographFaces, cut_face
from vidrestore.training.photographs.sources import Photograph, find_photographs, read_photograph
from vidrestore.types import Detection, Float32, UInt8

ImageFormat = Literal["png", "jpg"]
FindFaces = BatchStage[UInt8, tuple[Detection, ...]]

_CHUNK: Final = 8
"""Photographs searched together; as many again are decoded meanwhile."""
_THREADS: Final = min(8, os.cpu_count() or 1)
_WRITTEN_EVERY: Final = 512
"""Photographs after which the report is written, so that a killed run loses little."""
_AWAY_FROM_TEMPLATE: Final = 0.15
"""Root mean square distance from the template, in sides, beyond which a finding is not the face of a kept picture."""
_ENCODING: Final = {
    "png": [cv2.IMWRITE_PNG_COMPRESSION, 6],
    "jpg": [
        cv2.IMWRITE_JPEG_QUALITY, 97, cv2.IMWRITE_JPEG_SAMPLING_FACTOR, cv2.IMWRITE_JPEG_SAMPLING_FACTOR_444,
    ],
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class GatheringConfig(Options):
    """Selection and form of the gathered faces."""

    size: Annotated[int, Field(ge=1, description="Side of an aligned face in pixels.")] = 256
    min_face: Annotated[
        float, Field(ge=0, description="Face width in pixels of the photograph below which a face is skipped.")
    ] = 64.0
    max_residual: Annotated[
        float,
        Field(gt=0, description="Largest `alignment.residual`; above, a face is skipped: a far profile, or no face."),
    ] = 0.06
    largest: Annotated[bool, Field(description="Whether only the largest face of each photograph is taken.")] = False
    keep: Annotated[
        bool,
        Field(
            description="Whether the pictures are aligned faces already: only their landmarks are found, and no pixel "
            "is changed."
        ),
    ] = False
    image_format: ImageFormat = "png"
    detector: DetectorConfig = field(default_factory=lambda: DetectorConfig(score_threshold=0.9))


def gather_faces(
    source: str,
    destination: Path,
    config: GatheringConfig | None = None,
    *,
    detector: FindFaces | None = None,
    on_progress: Callable[[int, int], None] | None = None,
) -> GatheringReport:
    """Align the faces of photographs into a folder, with `landmarks.csv` and `report.json`.

    Args:
        source: a folder, a photograph or a pattern, as for `find_photographs`.
        destination: the folder; it is made where it is missing. The source itself only with `config.keep`.
        config: selection and form of the faces.
        detector: takes the place of the one that the configuration describes.
        on_progress: called with the photographs done and all photographs.

    Raises:
        InputError: there are no photographs. A photograph that cannot be used is no error, but named in the report.
        OutputError: the folder cannot be written, or holds faces of another source or of other options.
    """
    config = config or GatheringConfig()
    root, photographs = find_photographs(source, apart_from=destination)
    if destination.resolve() == root and not config.keep:
        raise OutputError(f"{destination} holds the photographs themselves; gather their faces in another folder")
    try:
        destination.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(f"the folder {destination} cannot be made: {error.strerror}; use another") from error
    report = read_report(destination, source=str(root), config=_recorded(config))
    waiting = [photograph for photograph in photographs if not report.done(photograph, destination)]
    done = len(photographs) - len(waiting)
    try:
        # Without work, not even the detector is loaded.
        for photograph, outcome in _outcomes(waiting, config, root, destination, detector) if waiting else ():
            if destination.resolve() != root:
                _remove_stale(report.photographs.get(str(photograph.name)), outcome, destination)
            report.photographs[str(photograph.name)] = outcome
            done += 1
            if on_progress:
                on_progress(done, len(photographs))
            if not done % _WRITTEN_EVERY:
                report.write(destination)
    finally:
        report.write(destination)
    return report


def _outcomes(
    photographs: list[Photograph], config: GatheringConfig, root: Path, destination: Path, detector: FindFaces | None
) -> Iterator[tuple[Photograph, PhotographOutcome]]:
    find = PhotographFaces(detector or FaceDetector(config.detector), min_face=None if config.keep else config.min_face)
    return _Gatherer(config, root, destination, find).outcomes(photographs)


@dataclass(frozen=True, slots=True)
class _Decoded:
    photograph: Photograph
    picture: UInt8 | None = field(repr=False)
    """uint8 [h, w, 3] RGB, or None where there is a problem."""
    problem: str = ""


class _Gatherer:
    def __init__(self, config: GatheringConfig, root: Path, destination: Path, find: FindFaces) -> None:
        self._config = config
        self._destination = destination
        self._in_place = destination.resolve() == root
        self._find = find

    def outcomes(self, photographs: list[Photograph]) -> Iterator[tuple[Photograph, PhotographOutcome]]:
        """Yield the outcome of each photograph, in order; holds the pictures of two chunks."""
        with ThreadPoolExecutor(_THREADS, thread_name_prefix="photographs") as pool:
            for chunk in self._decoded(pool, photographs):
                found = iter(self._find([item.picture for item in chunk if item.picture is not None]))
                made = [pool.submit(self._outcome, item, () if item.picture is None else next(found)) for item in chunk]
                for item, outcome in zip(chunk, made, strict=True):
                    yield item.photograph, outcome.result()

    def _decoded(self, pool: Executor, photographs: list[Photograph]) -> Iterator[list[_Decoded]]:
        ahead: list[Future[_Decoded]] = []
        for start in range(0, len(photographs), _CHUNK):
            following = [pool.submit(self._decode, item) for item in photographs[start : start + _CHUNK]]
            if ahead:
                yield [item.result() for item in ahead]
            ahead = following
        if ahead:
            yield [item.result() for item in ahead]

    def _decode(self, photograph: Photograph) -> _Decoded:
        try:
            picture = read_photograph(photograph.path)
        except InputError as error:
            return _Decoded(photograph, None, error.message)
        height, width = picture.shape[:2]
        if self._config.keep and height != width:
            return _Decoded(photograph, None, f"it is {width}x{height}; an aligned face is square")
        if self._config.keep and photograph.path.suffix.lower() not in IMAGE_SUFFIXES:
            return _Decoded(photograph, None, f"a training set holds {', '.join(sorted(IMAGE_SUFFIXES))}; convert it")
        return _Decoded(photograph, picture)

    def _outcome(self, item: _Decoded, found: tuple[Detection, ...]) -> PhotographOutcome:
        empty = PhotographOutcome(item.photograph.size_bytes, item.photograph.modified_ns, problem=item.problem)
        if item.picture is None:
            return empty
        if self._config.keep:
            return replace(empty, faces=(self._kept(item.photograph, item.picture, found),))
        wanted, outcome = self._chosen(found, empty)
        faces = (self._cut(item.photograph, item.picture, face, rank) for rank, face in enumerate(wanted))
        return replace(outcome, faces=tuple(faces))

    def _kept(self, photograph: Photograph, picture: UInt8, found: tuple[Detection, ...]) -> GatheredFace:
        if not self._in_place:
            _link(photograph.path, self._destination / photograph.name)
        side = picture.shape[0]
        near = [(_off_template(face, side), face) for face in found]
        distance, face = min(near, key=lambda pair: pair[0], default=(np.inf, None))
        if face is None or distance > _AWAY_FROM_TEMPLATE:
            return GatheredFace(str(photograph.name))
        return GatheredFace(str(photograph.name), round(face.score, 4), _rounded(face.landmarks))

    def _chosen(
        self, found: tuple[Detection, ...], outcome: PhotographOutcome
    ) -> tuple[list[Detection], PhotographOutcome]:
        """Return the wanted faces, and the counts of the others."""
        large = [face for face in found if _width(face) >= self._config.min_face]
        facing = [face for face in large if residual(face.landmarks) <= self._config.max_residual]
        wanted = sorted(facing, key=_width, reverse=True)[:1] if self._config.largest else facing
        return wanted, replace(
            outcome,
            too_small=len(found) - len(large),
            turned_away=len(large) - len(facing),
            not_largest=len(facing) - len(wanted),
        )

    def _cut(self, photograph: Photograph, picture: UInt8, face: Detection, rank: int) -> GatheredFace:
        size, image_format = self._config.size, self._config.image_format
        crop, landmarks, side = cut_face(picture, face.landmarks, size=size)
        # The photograph's extension stays in the name: a.jpg and a.png are two photographs.
        stem = str(photograph.name.with_suffix("")) + photograph.name.suffix.replace(".", "_")
        name = f"{stem}_{rank}.{image_format}"
        _, data = cv2.imencode(f".{image_format}", np.ascontiguousarray(crop[..., ::-1]), _ENCODING[image_format])
        with _placing(self._destination / name) as part:
            part.write_bytes(data.tobytes())
        return GatheredFace(name, round(face.score, 4), _rounded(landmarks), enlarged=side < size)


def _recorded(config: GatheringConfig) -> dict[str, Any]:
    """Return the options that change the result; others may differ from run to run."""
    options = asdict(config)
    for name in ("device", "batch_size_gpu"):
        del options["detector"][name]
    return options


def _width(face: Detection) -> float:
    return float(face.box[2] - face.box[0])


def _off_template(face: Detection, side: int) -> float:
    """Return the root mean square distance of the landmarks from those of an aligned picture, in sides."""
    distances = np.linalg.norm((face.landmarks + 0.5) / side - TEMPLATE, axis=1)
    return float(np.sqrt(np.mean(distances**2)))


def _rounded(landmarks: Float32) -> tuple[tuple[float, float], ...]:
    return tuple((round(float(x), 2), round(float(y), 2)) for x, y in landmarks)


def _link(original: Path, path: Path) -> None:
    """Put a picture into the folder without its bytes where the disk is the same, or else as a copy."""
    with _placing(path) as part:
        part.unlink(missing_ok=True)  # a run that was killed may have had the same process number
        try:
            part.hardlink_to(original.resolve())
        except OSError:  # another disk, or one that knows no links
            shutil.copy2(original, part)


@contextmanager
def _placing(path: Path) -> Iterator[Path]:
    """Replace a file as `files.replacing` does, and make its folder if needed; OutputError where that fails."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with atomic_path(path) as part:
            yield part
    except OSError as error:
        raise OutputError(
            f"{path} could not be written: {error.strerror}; check the disk and the permissions"
        ) from error


def _remove_stale(before: PhotographOutcome | None, now: PhotographOutcome, folder: Path) -> None:
    """Remove the faces of a photograph that has changed and no longer has them."""
    current = {face.name for face in now.faces}
    for face in before.faces if before else ():
        if face.name not in current:
            (folder / face.name).unlink(missing_ok=True)
