"""Put a restorer of your own into the pipeline: `python examples/own_restorer.py film.mp4 sharper.mp4`.

A batch stage is any callable that takes a list of aligned crops, uint8 [S, S, 3] RGB, and returns as many.
"""

import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np

from vidrestore.media.output import atomic_output, scratch_dir
from vidrestore.media.reader import VideoReader
from vidrestore.media.remux.mux import join
from vidrestore.media.writer import VideoWriter
from vidrestore.report import Recorder
from vidrestore.restoration.pipeline import RestoreConfig, restore_frames
from vidrestore.runtime.local import LocalRunner
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
    config = RestoreConfig()
    recorder = Recorder()
    with LocalRunner(config) as runner, scratch_dir(Path(destination)) as folder:
        parts = replace(runner.parts, restorer=Inline(sharpen))
        part = folder / "video"
        with VideoReader(source) as reader, VideoWriter(part, reader.info, config.encode) as writer:
            for frame in restore_frames(reader, parts, config, recorder):
                writer.write(frame)
        with atomic_output(Path(destination)) as result:
            join([part], Path(source), result)
    print(f"{recorder.counts['faces']} faces sharpened")


if __name__ == "__main__":
    main(*sys.argv[1:])
