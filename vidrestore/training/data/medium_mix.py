"""How many of a training's faces a film damages; apart from what does it, which needs PyAV."""

from dataclasses import dataclass

from vidrestore.errors import ConfigError


@dataclass(frozen=True, slots=True, kw_only=True)
class FilmShareConfig:
    """How many faces are damaged by a film, and how.

    Raises:
        ConfigError: A value is out of its range.
    """

    share: float = 0.15
    """Of what each process has of a batch, rounded to whole faces."""
    preset: str = "mixed"
    """Of `film.film_preset`: "vhs", "film16", "webcam", "lowbitrate", "broadcast" or "mixed"."""
    frames: int = 5
    """Length of the clip that a still becomes a frame of."""
    workers: int = 0
    """Processes that draw, for each process that trains; 0 for the cores of the host, shared among those, up to 16.
    Each takes 0.1 GB, or 0.5 GB where the program's main module imports torch."""

    def __post_init__(self) -> None:
        if not 0 < self.share <= 1:
            raise ConfigError(f"films.share is {self.share}; give a share above 0 and up to 1")
        if self.frames < 1:
            raise ConfigError(f"films.frames is {self.frames}; give 1 or more")
        if self.workers < 0:
            raise ConfigError(f"films.workers is {self.workers}; give 0 or more")

    def count(self, batch: int) -> int:
        """Faces that are damaged by a film, of `batch` in one process.

        Raises:
            ConfigError: The share is less than half a face.
        """
        count = round(self.share * batch)
        if not count:
            raise ConfigError(
                f"films.share is {self.share} of the {batch} faces that each process has of a batch, which is none; "
                f"give {1 / batch:.2g} or more, or a larger batch"
            )
        return count
