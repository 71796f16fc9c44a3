"""Results of an evaluation: values that survive a round trip through JSON."""

from dataclasses import dataclass
from pathlib import Path

from vidrestore.files import replace_text
from vidrestore.report_json import from_json, to_json


@dataclass(frozen=True, slots=True)
class Score:
    """One candidate at one strength of damage: means over the faces, each against its own truth."""

    candidate: str
    faces: int
    """Number of faces restored and measured."""
    psnr_decibels: float
    """PSNR; higher is closer; identical images count with `fidelity.PSNR_CEILING_DECIBELS`."""
    ssim: float
    """SSIM, at most 1; higher is closer."""
    feature_distance: float
    """Distance of MobileNetV2's features, 0 or more; lower is closer."""
    identity_cosine: float
    """Cosine of the embeddings, -1..1; higher is more the same person."""
    sharpness_ratio: float
    """Mean sharpness as a share of the truth's: 1 is as sharp, less is smoother; noise counts as sharpness."""
    sharpness_ratio_median: float
    """Median of the same; the few faces whose truth is smooth raise the mean."""
    landmark_percent: float | None
    """Landmark error, per cent of the inter-ocular distance, of the faces found in both; None where there are none."""
    landmark_missed: int
    """Faces that the detector finds in the truth and not in the restoration."""
    landmark_unknown: int
    """Faces that the detector does not find in the truth; no landmark error includes them."""
    iris_chroma: float | None
    """Mean distance in the a*b* plane of CIELAB, 0 or more, as are the next two; lower is closer. None where no
    landmarks are known."""
    mouth_chroma: float | None
    cheek_chroma: float | None


@dataclass(frozen=True, slots=True)
class StrengthResult:
    """All candidates on the same damaged images."""

    strength: str
    inputs_sha256: str
    """SHA-256 of the damaged images, byte for byte in their order: reports with the same one compare directly."""
    scores: tuple[Score, ...]


@dataclass(frozen=True, slots=True)
class ContenderInfo:
    """A candidate of the evaluation."""

    name: str
    what: str
    sha256: str | None
    """SHA-256 of its file of weights."""


@dataclass(frozen=True, slots=True)
class EvaluationReport:
    """Everything that one evaluation measured; the same faces, seed, host and models give the same report."""

    folder: str
    """Folder of the faces."""
    part: str
    """Part of the folder: `held-out` or `all`."""
    faces: int
    """Faces evaluated at each strength."""
    faces_available: int
    """Faces in that part of the folder."""
    faces_enlarged: int
    """Evaluated faces that were smaller than `size`: their truth is soft."""
    size: int
    """Side of the images in pixels."""
    seed: int
    candidates: tuple[ContenderInfo, ...]
    versions: dict[str, str]
    results: tuple[StrengthResult, ...]

    def to_json(self) -> str:
        """Serialise to JSON."""
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
