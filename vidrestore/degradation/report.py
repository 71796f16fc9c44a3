"""What a run of the damage simulator did."""

from dataclasses import dataclass
from pathlib import Path

from vidrestore.degradation.medium.profiles import DegradationProfile
from vidrestore.files import replace_text
from vidrestore.report_json import to_json


@dataclass(frozen=True, slots=True)
class DegradeReport:
    """Everything worth knowing of a degraded video; `write` stores it as JSON."""

    source: str
    destination: str
    frames: int
    seconds: float
    """Wall-clock time from the call to the renamed result."""
    seed: int
    profile: DegradationProfile
    """What was drawn: the damage of all frames."""
    streams: dict[str, tuple[str, ...]]
    """The other streams, by what became of them: `copied`, `converted`, `left_out`."""
    warnings: tuple[str, ...]
    versions: dict[str, str]

    @property
    def frames_per_second(self) -> float:
        """Speed from end to end."""
        return self.frames / self.seconds if self.seconds > 0 else 0.0

    def __str__(self) -> str:
        return f"{self.destination}: {self.frames} frames, {self.seconds:.1f} s ({self.frames_per_second:.1f} fps)"

    def save(self, path: str | Path) -> None:
        """Write the JSON next to its place and rename it there; OutputError when it cannot be written."""
        replace_text(Path(path), to_json(self))
