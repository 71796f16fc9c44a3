"""What an evaluation found: values that go to JSON and come back the same."""

import os
from dataclasses import dataclass
from pathlib import Path

from pydantic import TypeAdapter, ValidationError

from vidrestore.errors import InputError, OutputError


@dataclass(frozen=True, slots=True)
class Score:
    """One contender at one strength of damage: means over the faces, each against its own truth."""

    contender: str
    faces: int
    """Restored and measured."""
    psnr_decibels: float
    """Higher is closer; identical images count with `fidelity.PSNR_CEILING_DECIBELS`."""
    ssim: float
    """At most 1; higher is closer."""
    feature_distance: float
    """0 or more, MobileNetV2; lower is closer."""
    identity_cosine: float
    """-1..1; higher is more the same person."""
    sharpness_ratio: float
    """1 is as sharp as the truth, less is smoother; noise counts as sharpness."""
    sharpness_ratio_median: float
    """The mean is drawn up by the few faces whose truth is smooth."""
    landmark_percent: float | None
    """Per cent of the inter-ocular distance, of the faces found in both; None where there are none."""
    landmark_missed: int
    """Faces that the detector finds in the truth and not in the restoration."""
    landmark_unknown: int
    """Faces that the detector does not find in the truth: in no landmark error."""


@dataclass(frozen=True, slots=True)
class StrengthResult:
    """All contenders on the same damaged pictures."""

    strength: str
    inputs_sha256: str
    """Of the damaged pictures, byte for byte in their order: reports with the same one compare directly."""
    scores: tuple[Score, ...]


@dataclass(frozen=True, slots=True)
class ContenderInfo:
    """Who competed."""

    name: str
    what: str
    sha256: str | None
    """Of its file of weights."""


@dataclass(frozen=True, slots=True)
class EvaluationReport:
    """Everything that one evaluation measured; the same faces, seed, machine and models give the same report."""

    folder: str
    """Where the faces came from."""
    part: str
    """held-out or all."""
    faces: int
    """Evaluated at each strength."""
    faces_available: int
    """In that part of the folder."""
    faces_enlarged: int
    """Of those evaluated, how many were smaller than `size`: their truth is soft."""
    size: int
    """Side of the pictures in pixels."""
    seed: int
    contenders: tuple[ContenderInfo, ...]
    versions: dict[str, str]
    results: tuple[StrengthResult, ...]

    def to_json(self) -> str:
        """Serialise."""
        return _ADAPTER.dump_json(self, indent=2).decode() + "\n"

    @classmethod
    def from_json(cls, text: str) -> "EvaluationReport":
        """Read what `to_json` wrote.

        Raises:
            InputError: the text is something else.
        """
        try:
            return _ADAPTER.validate_json(text)
        except ValidationError as error:
            first = error.errors()[0]
            where = ".".join(map(str, first["loc"]))
            raise InputError(f"this is not the JSON of an evaluation: {where or 'text'}: {first['msg']}") from error

    def write(self, path: Path) -> None:
        """Write the JSON.

        Raises:
            OutputError: the file cannot be written.
        """
        replace_bytes(path, self.to_json().encode())


_ADAPTER = TypeAdapter(EvaluationReport)


def replace_bytes(path: Path, content: bytes) -> None:
    """Write a file beside its place and rename it there, so that no reader sees half of it.

    Raises:
        OutputError: the folder cannot be written.
    """
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        part.write_bytes(content)
        part.replace(path)
    except OSError as error:
        part.unlink(missing_ok=True)
        raise OutputError(f"{path} could not be written: {error.strerror}; check the folder and the disk") from error
