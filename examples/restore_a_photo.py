"""Restore the faces of one picture with the parts alone: `python examples/restore_a_photo.py old.jpg new.png`."""

import sys
from fractions import Fraction

import cv2

from vidrestore.inference.local import load_models
from vidrestore.report import Recorder
from vidrestore.restoration.config import RestoreConfig
from vidrestore.restoration.pipeline import restore_frames
from vidrestore.types import Frame


def main(source: str, destination: str) -> None:
    """Treat the picture as a film of one frame, with nothing to look ahead to."""
    picture = cv2.imread(source)
    if picture is None:
        sys.exit(f"{source} is not a picture that OpenCV reads")
    height, width, _ = picture.shape
    planes = (picture[..., ::-1].copy(),)
    frame = Frame(0, 0, Fraction(1, 25), 1, width, height, "rgb24", planes)
    recorder = Recorder()
    config = RestoreConfig()
    models, _ = load_models(config)
    (restored,) = restore_frames([frame], models, config, recorder)
    cv2.imwrite(destination, restored.planes[0][..., ::-1])
    print(f"{recorder.counts['faces']} faces restored")


if __name__ == "__main__":
    main(*sys.argv[1:])
