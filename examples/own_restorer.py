"""Put a restorer of your own into the pipeline: `python examples/own_restorer.py film.mp4 sharper.mp4`.

A batch stage is any callable that takes a list of aligned crops, uint8 [S, S, 3] RGB, and returns as many.
"""

import sys
from collections.abc import Sequence
from dataclasses import replace

import cv2
import numpy as np

from vidrestore.inference.local import load_models
from vidrestore.jobs.config import JobConfig
from vidrestore.jobs.restore import restore_video
from vidrestore.runtime.worker_pool import LocalWorkerPool
from vidrestore.stages import Inline
from vidrestore.types import UInt8


def sharpen(crops: Sequence[UInt8]) -> list[UInt8]:
    """Unsharp masking in place of a network."""
    return [
        np.asarray(cv2.addWeighted(crop, 1.6, cv2.GaussianBlur(crop, (0, 0), 2), -0.6, 0), dtype=np.uint8)
        for crop in crops
    ]


def main(source: str, destination: str) -> None:
    """Use every other part as it is."""
    config = JobConfig()
    models, _ = load_models(config.restore)
    models = replace(models, restorer=Inline(sharpen))
    report = restore_video(source, destination, config, open_pool=lambda: LocalWorkerPool(models, "sharpen"))
    print(f"{report.faces_restored} faces sharpened")


if __name__ == "__main__":
    main(*sys.argv[1:])
