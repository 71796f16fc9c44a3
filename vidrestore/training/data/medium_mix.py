"""Share of a training's faces that get video damage; separate from the code that draws it, which needs PyAV."""

from dataclasses import dataclass
from typing import Annotated

from pydantic import Field

from vidrestore.config import Options
from vidrestore.errors import ConfigError


@dataclass(frozen=True, slots=True, kw_only=True)
class MediumMixConfig(Options):
    """Share of faces with video damage, and its kind.

    Raises:
        ConfigError: A value is out of its range.
    """

    share: Annotated[
        float, Field(gt=0, le=1, description="Share of each process's part of a batch, rounded to whole faces.")
    ] = 0.15
    preset: Annotated[
        str,
        Field(description='Name for `medium_preset`: "vhs", "film16", "webcam", "lowbitrate", "broadcast" or "mixed".'),
    ] = "mixed"
    frames: Annotated[int, Field(ge=1, description="Frames of the clip in which a face is damaged.")] = 5
    workers: Annotated[
        int,
        Field(
            ge=0,
            description="Drawing processes for each training process; 0 for the cores of the host, shared "
            "among the training processes, up to 16. Each takes 0.1 GB, or 0.5 GB where the program's main module "
            "imports torch.",
        ),
    ] = 0

    def count(self, batch: int) -> int:
        """Return the number of faces with video damage, of `batch` in one process.

        Raises:
            ConfigError: The share is less than half a face.
        """
        count = round(self.share * batch)
        if not count:
            raise ConfigError(
                f"medium_mix.share is {self.share} of the {batch} faces that each process has of a batch, which is "
                f"none; give {1 / batch:.2g} or more, or a larger batch"
            )
        return count
