"""Simulated face workers that only take time: what runs around the networks can be measured and tested by itself."""

import asyncio
from collections.abc import Sequence

import numpy as np

from vidrestore.faces.alignment import TEMPLATE
from vidrestore.inference.worker import ModelInfo
from vidrestore.restoration.config import VideoRestoreConfig
from vidrestore.restoration.detection.looks import CLOSE_FACE, CLOSE_SIDE
from vidrestore.restoration.face.selection import FACE_WIDTH
from vidrestore.types import Detection, UInt8

CROP = 64


class SimulatedInferenceWorker:
    """Finds one face in the middle of every picture, and restores crops to their negatives, after a sleep each.

    It sleeps one crop after the other, as a device does. Its answers depend on its input alone.
    """

    seconds = 0.01
    """Seconds that a crop takes."""

    def __init__(self, config: VideoRestoreConfig, *, workers_per_host: int, max_delay_seconds: float) -> None:
        del config, workers_per_host, max_delay_seconds
        self._busy = asyncio.Lock()
        self._slept = 0.0

    async def ready(self) -> bool:
        """Return as soon as the worker runs."""
        return True

    async def describe(self) -> ModelInfo:
        """Describe the worker as a simulation."""
        return ModelInfo(CROP, 1, "simulated")

    async def network_seconds(self) -> float:
        """Return the seconds for which it slept."""
        return self._slept

    async def detect(self, previews: list[UInt8]) -> Sequence[tuple[Detection, ...]]:
        """Find one upright face in the middle of each picture."""
        return [(face_in_the_middle(preview),) for preview in previews]

    async def see(self, crops: list[UInt8]) -> Sequence[UInt8]:
        """Return all of each face as visible."""
        return [np.full((64, 64), 255, np.uint8) for _ in crops]

    async def restore(self, crops: list[UInt8]) -> Sequence[UInt8]:
        """Return the crops' negatives, after the time that they take."""
        async with self._busy:
            await asyncio.sleep(self.seconds * len(crops))
        self._slept += self.seconds * len(crops)
        return [255 - crop for crop in crops]


def simulated(seconds: float) -> type[SimulatedInferenceWorker]:
    """Make a face worker that takes so long for a crop."""
    return type("SimulatedInferenceWorker", (SimulatedInferenceWorker,), {"seconds": seconds})


def face_in_the_middle(preview: UInt8) -> Detection:
    """Return an upright face of half the picture's height; of the size that close looks give it in a close look."""
    height, width = preview.shape[:2]
    side = CLOSE_FACE / FACE_WIDTH if (height, width) == (CLOSE_SIDE, CLOSE_SIDE) else height / 2
    landmarks = TEMPLATE * side + [(width - side) / 2, (height - side) / 2]
    box = np.array([(width - side) / 2, (height - side) / 2, (width + side) / 2, (height + side) / 2], np.float32)
    return Detection(landmarks.astype(np.float32), box, 0.99)
