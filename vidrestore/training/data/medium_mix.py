"""How many of a training's faces a film damages; apart from what does it, which needs PyAV."""

from dataclasses import dataclass
from typing import Annotated

from pydantic import Field

from vidrestore.config import Options
from vidrestore.errors import ConfigError


@dataclass(frozen=True, slots=True, kw_only=True)
class FilmShareConfig(Options):
    """How many faces are damaged by a film, and how.

    Raises:
        ConfigError: A value is out of its range.
    """

    share: Annotated[
        float, Field(gt=0, le=1, description="Of what each process has of a batch, rounded to whole faces.")
    ] = 0.15
    preset: Annotated[
        str,
        Field(description='Of `film.film_preset`: "vhs", "film16", "webcam", "lowbitrate", "broadcast" or "mixed".'),
    ] = "mixed"
    frames: Annotated[int, Field(ge=1, description="Length of the clip that a still becomes a frame of.")] = 5
    workers: Annotated[
        int,
        Field(
            ge=0,
            description="Processes that draw, for each process that trains; 0 for the cores of the host, shared "
            "among those, up to 16. Each takes 0.1 GB, or 0.5 GB where the program's main module "
            "imports torch.",
        ),
    ] = 0

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
