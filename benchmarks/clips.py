"""Videos to measure with: cut short, or long and cheap to make."""

from collections.abc import Iterator
from fractions import Fraction
from itertools import count, islice
from pathlib import Path
from tempfile import TemporaryDirectory

import av
import cv2
import numpy as np
from av.container import OutputContainer

from vidrestore.errors import InputError, OutputError
from vidrestore.media.opening import open_source
from vidrestore.types import UInt8

CYCLE_SECONDS = 20
"""Period after which a sparse video repeats."""
FACE_SECONDS = 2
"""Part of each cycle in which faces are on screen."""
_BLUR_SIGMA = 25.0


def repeat(source: Path, destination: Path, *, frames: int) -> None:
    """Copy a video's picture without re-encoding, cut short or repeated from the beginning, to so many frames.

    Frames are counted as they are coded; with B-frames a cut can leave a short gap before the last one.

    Raises:
        InputError: the source holds no frame.
        OutputError: the destination cannot be written.
    """
    try:
        with av.open(str(destination), "w") as result, open_source(source) as video:
            stream = video.streams.video[0]
            copied = result.add_stream_from_template(stream)
            for packet in islice(_endless_packets(source), frames):
                packet.stream = copied
                result.mux(packet)
    except (av.FFmpegError, OSError) as error:
        raise OutputError(f"cannot copy {source} to {destination}: {error}; check both folders") from error


def cut(source: Path, destination: Path, *, frames: int) -> None:
    """Cut out the first frames of a video of constant rate, without loss (FFV1) and without audio; evenly timed.

    Raises:
        InputError: the video has no frame rate.
        OutputError: the destination cannot be written.
    """
    try:
        with open_source(source) as video, av.open(str(destination), "w") as result:
            stream = video.streams.video[0]
            rate = stream.average_rate
            if not rate:
                raise InputError(f"{source} has no frame rate; use another video")
            encoder = result.add_stream("ffv1", rate=rate)
            encoder.width, encoder.height, encoder.pix_fmt = stream.width, stream.height, stream.pix_fmt
            for index, frame in enumerate(islice(video.decode(stream), frames)):
                frame.pts, frame.time_base, frame.pict_type = index, 1 / Fraction(rate), 0
                result.mux(encoder.encode(frame))
            result.mux(encoder.encode(None))
    except (av.FFmpegError, OSError) as error:
        raise OutputError(f"cannot cut {source} to {destination}: {error}; check both folders") from error


def make_sparse_video(face_video: Path, destination: Path, *, minutes: float) -> None:
    """Make a long video with few faces: the first `FACE_SECONDS` of every `CYCLE_SECONDS` show the face video.

    The rest is the same picture blurred beyond recognition, drifting. One cycle is encoded (x264, veryfast) and then
    repeated without encoding, so an hour costs seconds.

    Raises:
        InputError: the face video has no frame rate.
        OutputError: the destination cannot be written.
    """
    with TemporaryDirectory(prefix="vidrestore-film-") as folder:
        cycle = Path(folder, "cycle.mp4")
        rate = _encode_cycle(face_video, cycle)
        repeat(cycle, destination, frames=round(minutes * 60 * rate))


def _endless_packets(source: Path) -> Iterator["av.Packet[av.VideoStream]"]:
    """Yield the packets of a video, again and again, each pass later than the last."""
    offset = 0
    for turn in count():
        end = 0
        with open_source(source) as video:
            stream = video.streams.video[0]
            for packet in video.demux(stream):
                if packet.pts is None or packet.dts is None:
                    continue
                end = max(end, packet.pts + (packet.duration or 0))
                packet.pts, packet.dts = packet.pts + offset, packet.dts + offset
                yield packet
        if not end:
            raise InputError(f"{source} holds no video that can be repeated (pass {turn}); use another video")
        offset += end


def _encode_cycle(face_video: Path, destination: Path) -> Fraction:
    with open_source(face_video) as video, av.open(str(destination), "w") as result:
        stream = video.streams.video[0]
        rate = stream.average_rate
        if not rate:
            raise InputError(f"{face_video} has no frame rate; use another video")
        # no B-frames: every pass then begins where the last one ended
        encoder = result.add_stream("libx264", rate=rate, options={"preset": "veryfast", "crf": "23", "bf": "0"})
        encoder.width, encoder.height, encoder.pix_fmt = stream.width, stream.height, "yuv420p"
        faces = [
            np.asarray(f.to_ndarray(format="rgb24"), np.uint8) for f in islice(video.decode(stream), _frames(rate))
        ]
        for index, picture in enumerate(_cycle(faces, round(CYCLE_SECONDS * rate))):
            _encode(result, encoder, picture, index)
        result.mux(encoder.encode(None))
    return Fraction(rate)


def _frames(rate: Fraction) -> int:
    return round(FACE_SECONDS * rate)


def _cycle(faces: list[UInt8], frames: int) -> Iterator[UInt8]:
    yield from faces
    blurred = cv2.GaussianBlur(faces[-1], (0, 0), _BLUR_SIGMA)
    for shift in range(frames - len(faces)):
        yield np.roll(blurred, shift, axis=1)


def _encode(result: OutputContainer, encoder: av.VideoStream, picture: UInt8, index: int) -> None:
    frame = av.VideoFrame.from_ndarray(picture, format="rgb24")
    frame.pts = index
    result.mux(encoder.encode(frame))
