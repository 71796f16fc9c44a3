"""What an evaluation found: values that go to JSON and come back the same."""

from dataclasses import dataclass
from pathlib import Path

from vidrestore.files import replace_text
from vidrestore.report_json import from_json, to_json


@dataclass(frozen=True, slots=True)
class Score:
    """One contender at one strength of damage: means over the faces, each against its own truth."""

    candidate: str
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
    iris_chroma: float | None
    """Mean distance in the a*b* plane of CIELAB, 0 or more, as are the next two; lower is closer. None where no
    landmarks are known."""
    mouth_chroma: float | None
    cheek_chroma: float | None


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
    candidates: tuple[ContenderInfo, ...]
    versions: dict[str, str]
    results: tuple[StrengthResult, ...]

    def to_json(self) -> str:
        """Serialise."""
        return to_json(self)

    @classmethod
    def from_json(cls, text: str) -> "EvaluationReport":
        """Read what `to_json` wrote.

        Raises:
            InputError: the text is something else.
        """
        return from_json(cls, text, what="an evaluation")

    def write(self, path: Path) -> None:
        """Write the JSON.

        Raises:
            OutputError: the file cannot be written.
        """
        replace_text(path, self.to_json())
