"""Follow the faces of a video, as CSV on standard output: `python examples/track_faces.py video.mp4 > faces.csv`."""

import sys
from collections.abc import Iterator

from vidrestore.faces.boxes import scale
from vidrestore.faces.detector import FaceDetector
from vidrestore.faces.tracker import Tracker
from vidrestore.media.geometry import make_preview, preview_scale
from vidrestore.media.reader import VideoReader
from vidrestore.stages import run
from vidrestore.types import Detection, FrameFaces


def main(source: str) -> None:
    """Print where each face is, smoothed, in display pixels."""
    detector = FaceDetector()
    with VideoReader(source) as reader:

        def found() -> Iterator[FrameFaces[Detection]]:
            for frame in reader:
                (faces,) = detector([make_preview(frame, longest_side=640)])
                factors = preview_scale(frame, longest_side=640)
                yield FrameFaces(frame, tuple(scale(face, factors) for face in faces))

        print("seconds,face,x,y,side,score")
        for item in run(Tracker(), found()):
            for face in item.faces:
                x, y = face.to_display @ [0.5, 0.5, 1]
                print(f"{float(item.frame.seconds):.3f},{face.id},{x:.1f},{y:.1f},{face.size:.1f},{face.score:.3f}")


if __name__ == "__main__":
    main(*sys.argv[1:])
