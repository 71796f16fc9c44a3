"""Videos of several sizes with one or six faces, made on the spot from a video of one face.

Six faces are a grid of the face's video, as in a conference, each a few frames ahead of the last, so that there are
six people to find and to follow. Two seconds or more are encoded (x264, veryfast), and repeated without encoding.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from itertools import islice
from pathlib import Path
from tempfile import TemporaryDirectory

import av
import cv2
import numpy as np

from benchmarks.clips import repeat
from vidrestore.errors import ConfigError, InputError
from vidrestore.media.opening import open_source
from vidrestore.types import UInt8

SIZES = {"640x360": (640, 360), "1080p": (1920, 1080), "2160p": (3840, 2160)}
_GRIDS = {1: (1, 1), 6: (3, 2)}
"""Columns and rows for a number of faces."""
_CYCLE = 100
"""Most frames after which the video repeats: the period of the demonstration's camera."""
_RATE = 25


@dataclass(frozen=True, slots=True)
class VideoShape:
    """Size and number of faces of a video."""

    size: str
    """A key of `SIZES`."""
    faces: int

    @property
    def name(self) -> str:
        """The name that `--video` and the tables use, such as `1080p-6`."""
        return f"{self.size}-{self.faces}"

    @property
    def pixels(self) -> tuple[int, int]:
        """Width and height."""
        return SIZES[self.size]

    @classmethod
    def named(cls, name: str) -> "VideoShape":
        """Return the shape of that name.

        Raises:
            ConfigError: there is none.
        """
        known = {shape.name: shape for shape in SHAPES}
        if name not in known:
            raise ConfigError(f"there is no video {name!r} to make; take one of {', '.join(known)}")
        return known[name]


SHAPES = tuple(VideoShape(size, faces) for size in SIZES for faces in _GRIDS)


def make_video(face_video: Path, destination: Path, shape: VideoShape, *, frames: int) -> None:
    """Make a video of that size, that number of faces and that length.

    Args:
        face_video: shows one face, in the middle; its first hundred frames are used.
        destination: the video to write, MP4.
        shape: size and faces.
        frames: length.

    Raises:
        InputError: the face's video holds no frame.
        OutputError: the destination cannot be written.
    """
    with open_source(face_video) as video:
        decoded = islice(video.decode(video=0), _CYCLE)
        pictures = [np.asarray(frame.to_ndarray(format="rgb24"), np.uint8) for frame in decoded]
    if not pictures:
        raise InputError(f"{face_video} holds no frame; use another video")
    with TemporaryDirectory(prefix="vidrestore-film-") as folder:
        cycle = Path(folder, "cycle.mp4")
        _encode(islice(_grids(pictures, shape), frames), cycle, shape)
        repeat(cycle, destination, frames=frames)


def _grids(pictures: list[UInt8], shape: VideoShape) -> Iterator[UInt8]:
    columns, rows = _GRIDS[shape.faces]
    width, height = shape.pixels
    side = width // columns, height // rows
    for index in range(len(pictures)):
        canvas = np.zeros((height, width, 3), np.uint8)
        for face in range(shape.faces):
            picture = pictures[(index + face * len(pictures) // shape.faces) % len(pictures)]
            left, top = (face % columns) * side[0], (face // columns) * side[1]
            canvas[top : top + side[1], left : left + side[0]] = _covering(picture, *side)
        yield canvas


def _covering(picture: UInt8, width: int, height: int) -> UInt8:
    """Enlarge the middle of a picture so that it fills a rectangle."""
    scale = max(width / picture.shape[1], height / picture.shape[0])
    wide, high = min(picture.shape[1], round(width / scale)), min(picture.shape[0], round(height / scale))
    left, top = (picture.shape[1] - wide) // 2, (picture.shape[0] - high) // 2
    middle = picture[top : top + high, left : left + wide]
    return np.asarray(cv2.resize(middle, (width, height), interpolation=cv2.INTER_CUBIC), np.uint8)


def _encode(pictures: Iterator[UInt8], destination: Path, shape: VideoShape) -> None:
    with av.open(str(destination), "w") as result:
        # no B-frames: every pass then begins where the last one ended
        options = {"preset": "veryfast", "crf": "20", "bf": "0"}
        encoder = result.add_stream("libx264", rate=Fraction(_RATE), options=options)
        (encoder.width, encoder.height), encoder.pix_fmt = shape.pixels, "yuv420p"
        for index, picture in enumerate(pictures):
            frame = av.VideoFrame.from_ndarray(picture, format="rgb24")
            frame.pts = index
            result.mux(encoder.encode(frame))
        result.mux(encoder.encode(None))
