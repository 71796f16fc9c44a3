"""Checks before a number is written: all systems do the same work, and do it right.

A failed check aborts the benchmark: speeds of different or of wrong work cannot be compared.
"""

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from benchmarks.reference import Faces, ReferenceFlow
from benchmarks.results import Check, Run
from benchmarks.systems import Setting, restore
from benchmarks.videos import VideoShape
from vidrestore.errors import RestorationError
from vidrestore.faces.alignment import similarity, transform
from vidrestore.faces.config import DetectorConfig
from vidrestore.faces.detector import FaceDetector
from vidrestore.media.opening import open_source
from vidrestore.restoration.config import RestorerConfig
from vidrestore.restoration.face.restorer import FaceRestorer
from vidrestore.types import UInt8

FP32_CEILING = 1.0
"""Grey levels: the greatest difference of two float32 implementations, one step of rounding."""
MEAN_CEILING = 1.0
"""Grey levels: the mean difference that the precision in use may make."""
NETWORK_FLOOR_DB = 40.0
"""Least PSNR between the network in the precision in use and the reference's in float32."""
VIDEO_FLOOR_DB = 30.0
"""Least PSNR between the two restored videos, inside the faces' boxes; alignment, mask and encoding differ."""
CLOSER_FLOOR_DB = 3.0
"""Least margin by which the restored videos are closer to one another than ours to its source: both are restored."""

FOUND_FLOOR = 0.98
"""Least share of the faces that our command finds and restores."""

_LEAST_ERROR = 1e-9
_SEARCHED_WIDTH = 960
_MARGIN = 1.15
"""Size of the square that may change, in sides of the aligned crop: tracks are smoothed, so theirs differ a little."""


def check_networks(
    flow: ReferenceFlow, config: RestorerConfig, crops: Sequence[UInt8], *, trained: bool = True
) -> Iterator[Check]:
    """Compare the networks alone on the same crops, uint8 [S, S, 3] RGB.

    The precision in use is compared where the weights are trained: what random ones make of rounding says nothing.

    Raises:
        RestorationError: there is no crop to compare.
    """
    if not crops:
        raise RestorationError("the reference flow finds no face in this video; give one that shows faces")
    wanted = np.stack([flow.restore(crop) for crop in crops]).astype(np.float64)
    exact = np.stack(FaceRestorer(replace(config, device="cpu", precision="fp32"))(crops))
    yield _ceiling(
        "network in fp32 against spandrel's, greatest difference", np.abs(exact - wanted).max(), FP32_CEILING
    )
    if not trained:
        return
    used = np.stack(FaceRestorer(config)(crops))
    yield _ceiling("in the precision in use, mean difference", np.abs(used - wanted).mean(), MEAN_CEILING)
    error = float(np.square(used - wanted).mean())
    yield _floor("in the precision in use, PSNR", _decibels(error), NETWORK_FLOOR_DB)


def check_videos(ours: Path, rival: Path, source: Path, faces: Sequence[Faces], *, system: str) -> Iterator[Check]:
    """Compare two restored videos inside the boxes of the faces, and with the video they were made from.

    Raises:
        RestorationError: the videos have different numbers of frames, or no face.
    """
    between = _decibels(_face_error(ours, rival, faces))
    changed = _decibels(_face_error(ours, source, faces))
    yield _floor(f"faces of *{system}* against the lightest reference, PSNR", between, VIDEO_FLOOR_DB)
    yield _floor("which is closer than to the source by", between - changed, CLOSER_FLOOR_DB)


def check_command(source: Path, shape: VideoShape, setting: Setting) -> Iterator[Check]:
    """Restore a short video twice, losslessly, by the whole command, and compare pixels.

    Raises:
        RestorationError: a run failed, or the videos have different numbers of frames.
    """
    one, other = (source.with_name(f"{source.stem}-lossless-{number}.mkv") for number in range(2))
    for destination in (one, other):
        run, _ = restore(source, destination, setting, options=("--lossless",))
    yield from check_run(run, source, one, shape)
    yield _ceiling(f"{shape.name}: pixels that differ between two runs", _differing(one, other), 0, "pixels")
    outside = _differing(source, one, outside_faces=True)
    yield _ceiling(f"{shape.name}: pixels changed outside the faces", outside, 0, "pixels")
    inside = _differing(source, one) - outside
    yield Check(f"{shape.name}: pixels changed at the faces", inside, 1, "pixels", at_least=True)


def check_run(
    run: Run, source: Path, destination: Path, shape: VideoShape, *, frames: int | None = None
) -> list[Check]:
    """Check the frames of one result, their times, and the number of faces; of the first frames only, if given."""
    wanted, got = frame_times(source)[:frames], frame_times(destination)
    wrong = abs(len(wanted) - len(got)) + sum(one != other for one, other in zip(wanted, got, strict=False))
    found = run.faces / (shape.faces * max(1, run.frames))
    return [
        _ceiling(f"{shape.name}: frames that are missing or at other times", wrong, 0, "frames"),
        Check(f"{shape.name}: share of faces found", found, FOUND_FLOOR, "", at_least=True),
    ]


def frame_times(path: Path) -> list[Fraction]:
    """Return the presentation times of all frames in seconds, rising, counted from the first."""
    with open_source(path) as video:
        stream = video.streams.video[0]
        times = sorted(
            round(Fraction(packet.pts * (stream.time_base or 1)), 3)
            for packet in video.demux(stream)
            if packet.pts is not None
        )
    return [time - times[0] for time in times]


def require(checks: Iterable[Check]) -> list[Check]:
    """Return all checks, once they have passed.

    Raises:
        RestorationError: one failed.
    """
    done = list(checks)
    for check in done:
        if not check.passed:
            wanted = f"at {'least' if check.at_least else 'most'} {check.limit:g} {check.unit}"
            raise RestorationError(
                f"the systems do not do the same work: {check.what} is {check.value:.3f}, wanted {wanted}; "
                "nothing was written down"
            )
    return done


def _ceiling(what: str, value: float, limit: float, unit: str = "grey levels") -> Check:
    return Check(what, float(value), limit, unit, at_least=False)


def _floor(what: str, value: float, limit: float) -> Check:
    return Check(what, value, limit, "dB", at_least=True)


def _decibels(mean_square_error: float) -> float:
    return 10 * math.log10(255**2 / max(mean_square_error, _LEAST_ERROR))


def _face_error(first: Path, second: Path, faces: Sequence[Faces]) -> float:
    """Return the mean square difference over all pixels in boxes of faces, in squared grey levels."""
    errors = []
    try:
        for one, other, found in zip(_pictures(first), _pictures(second), faces, strict=True):
            difference = np.square(one.astype(np.float64) - other)
            errors += [difference[_inside(face, one.shape)].ravel() for face in found]
    except ValueError as error:
        raise RestorationError(f"{first.name} and {second.name} do not have {len(faces)} frames each") from error
    if not errors:
        raise RestorationError("there is no face in this video; give one that shows faces")
    return float(np.concatenate(errors).mean())


def _inside(face: Faces, shape: tuple[int, ...]) -> tuple[slice, slice]:
    left, top, right, bottom = (round(float(edge)) for edge in face[:4])
    return slice(max(0, top), min(shape[0], bottom)), slice(max(0, left), min(shape[1], right))


def _pictures(path: Path) -> Iterator[UInt8]:
    with open_source(path) as video:
        for frame in video.decode(video=0):
            yield np.asarray(frame.to_ndarray(format="rgb24"), dtype=np.uint8)


def _differing(first: Path, second: Path, *, outside_faces: bool = False) -> int:
    """Count the pixels that differ in any plane, or only those outside the squares of the first video's faces."""
    detect = FaceDetector(DetectorConfig(device="cpu")) if outside_faces else None
    count = 0
    with open_source(first) as one, open_source(second) as other:
        try:
            for frame, twin in zip(one.decode(video=0), other.decode(video=0), strict=True):
                changed = frame.to_ndarray() != twin.to_ndarray(format=frame.format.name)
                if detect:
                    picture = np.asarray(frame.to_ndarray(format="rgb24"), np.uint8)
                    _clear_faces(changed, picture, detect)
                count += int(changed.sum())
        except ValueError as error:
            raise RestorationError(f"{first.name} and {second.name} do not have the same frames: {error}") from error
    return count


def _clear_faces(changed: NDArray[np.bool_], picture: UInt8, detect: FaceDetector) -> None:
    """Clear the squares of all faces in an array of yuv420p's planes as PyAV stacks them: luma, then packed chroma."""
    height, width = picture.shape[:2]
    chroma = changed[height:].reshape(2, height // 2, width // 2)
    corners = np.array([[-1, -1], [1, -1], [1, 1], [-1, 1]]) * _MARGIN / 2 + 0.5
    # as our command searches: in a large picture, faces are larger than the detector's anchors
    scale = max(1.0, width / _SEARCHED_WIDTH)
    searched = cv2.resize(picture, (round(width / scale), round(height / scale)), interpolation=cv2.INTER_AREA)
    for face in detect([np.asarray(searched, np.uint8)])[0]:
        matrix = transform(similarity(face.landmarks))
        points = (corners @ matrix[:, :2].T + matrix[:, 2] + 0.5) * scale - 0.5
        (left, top), (right, bottom) = np.floor(points.min(0)).astype(int), np.ceil(points.max(0)).astype(int)
        left, top = max(0, left), max(0, top)
        changed[top : min(bottom, height), left:right] = False
        chroma[:, top // 2 : (bottom + 1) // 2, left // 2 : (right + 1) // 2] = False
