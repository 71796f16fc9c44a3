"""Videos read in step: for every frame of the reference, the frame of another video that should look like it."""

from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

from vidrestore.errors import InputError
from vidrestore.media.probe import VideoInfo
from vidrestore.media.reader import ReadStatistics, VideoReader
from vidrestore.types import Frame


class AlignedReader:
    """A video that is read in step with the reference; both are open, and `reader` is at its beginning.

    Times count from each video's first frame, since containers begin where they like, and may differ by one tick of
    each container's clock, since each rounds to its own.

    Raises:
        InputError: the videos do not show pictures of one size.
    """

    def __init__(self, path: Path, reader: VideoReader, reference: VideoInfo) -> None:
        self.path = path
        self._reader = reader
        self._reference = reference
        self._frames: Iterator[Frame] = iter(reader)
        self._tolerance = reference.time_base + reader.info.time_base
        self._seen = 0
        ours, theirs = _picture(reader.info), _picture(reference)
        if ours != theirs:
            raise InputError(
                f"{path} shows {ours} and {reference.path} {theirs}; metrics compare pictures of one size, so scale "
                "one of the videos first"
            )

    @property
    def statistics(self) -> ReadStatistics:
        """Statistics of the video's packets so far."""
        return self._reader.statistics

    def beside(self, frame: Frame) -> Frame:
        """Read the next frame, the counterpart of `frame`; the reference's frames come one by one, in order.

        Raises:
            InputError: this video has ended, or its frame is of another time.
        """
        mine = next(self._frames, None)
        if mine is None:
            raise InputError(
                f"{self.path} ends after {self._seen} frames and {self._reference.path} goes on; metrics compare "
                "videos frame by frame, so give videos of the same frames"
            )
        self._seen += 1
        here, there = _since(mine, self._reader.info), _since(frame, self._reference)
        if abs(here - there) > self._tolerance:
            raise InputError(
                f"frame {frame.index} of {self.path} comes {float(here):.4f} s after its first and that of "
                f"{self._reference.path} {float(there):.4f} s; metrics compare videos frame by frame, so give videos "
                "with the same timestamps"
            )
        return mine

    def end(self) -> None:
        """Check that this video ends where the reference ended.

        Raises:
            InputError: this video goes on.
        """
        if next(self._frames, None) is not None:
            raise InputError(
                f"{self._reference.path} ends after {self._seen} frames and {self.path} goes on; metrics compare "
                "videos frame by frame, so give videos of the same frames"
            )


def losses(path: Path, read: ReadStatistics) -> tuple[str, ...]:
    """Describe what of a video could not be read: it is not in the figures, or counts against them."""
    return tuple(f"{path}: {loss}" for loss in read.losses())


def _since(frame: Frame, info: VideoInfo) -> Fraction:
    return frame.seconds - info.start_pts * info.time_base


def _picture(info: VideoInfo) -> str:
    """Describe the size and what a viewer does to it: equal descriptions mean that pixels lie upon each other."""
    turned = f" turned by {info.rotation} degrees" if info.rotation else ""
    turned = f" mirrored{turned}" if info.mirrored else turned
    shape = f" with pixels of {info.sample_aspect_ratio}" if info.sample_aspect_ratio != 1 else ""
    return f"{info.width}x{info.height}{turned}{shape}"
