"""The evaluation: known faces are damaged, every candidate restores the same images, and metric models compare.

Faces pass in batches; of each batch only numbers and the few images of a grid are kept.
"""

import hashlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import torch
from pydantic import Field

from vidrestore.config import Options
from vidrestore.errors import ConfigError, InputError
from vidrestore.evaluation.images.candidates import Candidate
from vidrestore.evaluation.images.degraded_faces import Degrade, damage, degrade_as
from vidrestore.evaluation.images.grid import Grid
from vidrestore.evaluation.images.metric_models import Measured, MetricModels, pictures, summarise
from vidrestore.evaluation.images.results import ContenderInfo, EvaluationReport, StrengthResult
from vidrestore.report import installed_versions
from vidrestore.training.data.dataset import open_face_folder
from vidrestore.training.data.image_file import read_face
from vidrestore.types import Float32, UInt8

Part = Literal["held-out", "all"]
OnProgress = Callable[[int, int, str], None]
"""Called with the restorations done, their total number, and the current strength."""

STRENGTHS = ("clean", "light", "medium", "heavy", "protocol")
_CODED_BLOCK = 16
"""Block side in pixels: the JPEG step of the damage takes multiples of it."""


@dataclass(frozen=True, slots=True)
class EvaluationConfig(Options):
    """Options of an evaluation; together with the folder it determines every image that a candidate sees.

    Raises:
        ConfigError: a value is out of range.
    """

    strengths: Annotated[
        tuple[str, ...],
        Field(description="Names of degradation presets or of media; each its own table."),
    ] = STRENGTHS
    part: Annotated[
        Part,
        Field(
            description="held-out: only faces that training on this folder never shows. all: for a folder that "
            "nobody trains on."
        ),
    ] = "held-out"
    count: Annotated[
        int | None,
        Field(ge=1, description="Most faces that are evaluated, a fixed choice among all names; None takes all."),
    ] = None
    seed: Annotated[int, Field(ge=0, description="Seed of the damage.")] = 0
    size: Annotated[int, Field(ge=1, description="Side of the pictures in pixels.")] = 256
    batch_size: Annotated[int, Field(ge=1, description="Faces that are held at once.")] = 16
    grid_faces: Annotated[int, Field(ge=0, description="Faces whose pictures are kept for the grids.")] = 24
    grid_strengths: Annotated[
        tuple[str, ...], Field(description="Strengths whose pictures are kept, if they are evaluated.")
    ] = ("protocol", "medium", "clean")

    def check_together(self) -> None:
        """Check that damage gets whole blocks and that each strength has one table."""
        if self.size % _CODED_BLOCK:
            self.refuse("size", f"use a multiple of {_CODED_BLOCK} pixels, such as 256")
        if not self.strengths or len(set(self.strengths)) < len(self.strengths):
            self.refuse("strengths", "use one or more, each once")


@dataclass(frozen=True, slots=True)
class Evaluation:
    """Result of an evaluation: the numbers, and images of some faces."""

    report: EvaluationReport
    grids: tuple[Grid, ...]
    """One for each evaluated strength of `grid_strengths`; none where `grid_faces` is 0."""


@dataclass(frozen=True, slots=True)
class _Face:
    """A face on disk."""

    name: str
    path: Path
    tabled: Float32 | None
    """float32 [5, 2], pixels of the picture as evaluated: its landmarks, where the folder's table lists them."""


def evaluate(
    folder: Path,
    candidates: Sequence[Candidate],
    judges: MetricModels,
    config: EvaluationConfig | None = None,
    *,
    on_progress: OnProgress | None = None,
) -> Evaluation:
    """Damage the faces of a folder, let every candidate restore them, and compare with the truth.

    Args:
        folder: folder of aligned square faces, as `vidrestore align` makes it.
        candidates: each with its own name.
        judges: models that compare.
        config: options: faces and damage.
        on_progress: called after every batch of a candidate.

    Raises:
        ConfigError: there is no such strength, or candidates share a name.
        InputError: the folder is missing or has no faces in that part, or a picture cannot be read.
        RestorationError: a candidate failed.
    """
    config = config or EvaluationConfig()
    if not candidates or len({one.name for one in candidates}) < len(candidates):
        raise ConfigError(
            f"candidates are {[one.name for one in candidates]}; give one or more, each with its own name"
        )
    degrades = {strength: degrade_as(strength) for strength in config.strengths}
    whole = open_face_folder(folder, size=config.size)
    available = whole.held_out if config.part == "held-out" else whole
    if not len(available):
        raise InputError(
            f"none of the {len(whole)} faces in {folder} is held out; give more faces, or --all if no model was "
            "trained on them"
        )
    # shuffled by a hash of the name: the first few are of all kinds, whatever the names begin with
    lots = [hashlib.sha256(name.encode()).digest() for name in available.names]
    order = sorted(range(len(available)), key=lots.__getitem__)[: config.count]
    faces = [
        _Face(
            available.names[index],
            available.folder / available.names[index],
            available.landmarks[index] if available.found[index] else None,
        )
        for index in order
    ]
    runs = [_Run(candidates, judges, config, strength, degrades[strength]) for strength in config.strengths]
    total, done = len(faces) * len(candidates) * len(runs), 0
    for run in runs:
        for count in run.pass_through(faces):
            done += count
            if on_progress:
                on_progress(done, total, run.strength)
    report = EvaluationReport(
        folder=str(folder),
        part=config.part,
        faces=len(faces),
        faces_available=len(available),
        faces_enlarged=int((available.sides[order] < config.size).sum()),
        size=config.size,
        seed=config.seed,
        candidates=tuple(ContenderInfo(one.name, one.what, one.sha256) for one in candidates),
        versions=installed_versions(),
        results=tuple(run.result() for run in runs),
    )
    return Evaluation(report, tuple(run.grid() for run in runs if run.rows))


class _Run:
    """All candidates at one strength."""

    def __init__(
        self,
        candidates: Sequence[Candidate],
        judges: MetricModels,
        config: EvaluationConfig,
        strength: str,
        degrade: Degrade,
    ) -> None:
        self._candidates = candidates
        self._judges = judges
        self._config = config
        self.strength = strength
        self._degrade = degrade
        self._seen = hashlib.sha256()
        self._measured: dict[str, list[Measured]] = {one.name: [] for one in candidates}
        self._rows_wanted = config.grid_faces if strength in config.grid_strengths else 0
        self.rows: list[tuple[UInt8, ...]] = []
        """Rows of the grid: an image from each candidate and the truth, for at most `grid_faces` faces."""

    def pass_through(self, faces: Sequence[_Face]) -> Iterator[int]:
        """Pass all faces to all candidates; yield the number of faces after each batch of a candidate."""
        for start in range(0, len(faces), self._config.batch_size):
            batch = faces[start : start + self._config.batch_size]
            names = [face.name for face in batch]
            shown = torch.stack([torch.from_numpy(read_face(face.path, self._config.size)) for face in batch])
            damaged, target = damage(
                shown, names, strength=self.strength, seed=self._config.seed, degrade=self._degrade
            )
            self._seen.update(damaged.numpy().tobytes())
            truth = self._judges.know(target, [face.tabled for face in batch])
            columns = []
            for candidate in self._candidates:
                restored = candidate(damaged.clone())  # a candidate that writes on its input spoils it for no other
                self._measured[candidate.name].append(self._judges.measure(restored, truth))
                columns.append(restored)
                yield len(batch)
            missing = self._rows_wanted - len(self.rows)
            if missing > 0:
                self.rows += zip(*(pictures(column[:missing]) for column in (*columns, target)), strict=True)

    def result(self) -> StrengthResult:
        """Return the scores so far."""
        scores = tuple(summarise(name, measured) for name, measured in self._measured.items())
        return StrengthResult(self.strength, self._seen.hexdigest(), scores)

    def grid(self) -> Grid:
        """Return the images kept."""
        labels = (*(one.name for one in self._candidates), "truth")
        return Grid(self.strength, labels, tuple(self.rows))
