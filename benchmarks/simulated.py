"""Face workers that cost time and nothing else: what runs around the networks, measured and tested by itself."""

import asyncio
from collections.abc import Sequence

import numpy as np

from vidrestore.faces.alignment import TEMPLATE
from vidrestore.inference.worker import ModelInfo
from vidrestore.restoration.config import VideoRestoreConfig
from vidrestore.types import Detection, UInt8

CROP = 64


class SimulatedInferenceWorker:
    """Finds one face in the middle of every picture, and restores crops to their negatives, after a sleep each.

    It sleeps one crop after the other, as a device does. Its answers depend on what it is given alone.
    """

    seconds = 0.01
    """That a crop takes."""

    def __init__(self, config: VideoRestoreConfig, *, workers_per_host: int, max_delay_seconds: float) -> None:
        del config, workers_per_host, max_delay_seconds
        self._busy = asyncio.Lock()
        self._slept = 0.0

    async def ready(self) -> bool:
        """Answer."""
        return True

    async def describe(self) -> ModelInfo:
        """Say that it is none."""
        return ModelInfo(CROP, 1, "simulated")

    async def network_seconds(self) -> float:
        """For which it slept."""
        return self._slept

    async def detect(self, previews: list[UInt8]) -> Sequence[tuple[Detection, ...]]:
        """One upright face in the middle of each."""
        return [(face_in_the_middle(preview),) for preview in previews]

    async def see(self, crops: list[UInt8]) -> Sequence[UInt8]:
        """All of each face."""
        return [np.full((64, 64), 255, np.uint8) for _ in crops]

    async def restore(self, crops: list[UInt8]) -> Sequence[UInt8]:
        """Negatives, after the time that they take."""
        async with self._busy:
            await asyncio.sleep(self.seconds * len(crops))
        self._slept += self.seconds * len(crops)
        return [255 - crop for crop in crops]


def simulated(seconds: float) -> type[SimulatedInferenceWorker]:
    """A face worker that takes so long for a crop."""
    return type("SimulatedInferenceWorker", (SimulatedInferenceWorker,), {"seconds": seconds})


def face_in_the_middle(preview: UInt8) -> Detection:
    """An upright face of half the picture's height."""
    height, width = preview.shape[:2]
    side = height / 2
    landmarks = TEMPLATE * side + [(width - side) / 2, (height - side) / 2]
    box = np.array([(width - side) / 2, (height - side) / 2, (width + side) / 2, (height + side) / 2], np.float32)
    return Detection(landmarks.astype(np.float32), box, 0.99)
