"""Checks before the clock starts: all systems compute the same thing.

A failed check aborts the benchmark: speeds of different work cannot be compared.
"""

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from benchmarks.reference import Faces, ReferenceFlow
from benchmarks.results import Check
from vidrestore.errors import RestorationError
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
FILM_FLOOR_DB = 30.0
"""Least PSNR between the two restored videos, inside the faces' boxes; alignment, mask and encoding differ."""
CLOSER_FLOOR_DB = 3.0
"""Least margin by which the restored videos are closer to one another than ours to its source: both are restored."""

_LEAST_ERROR = 1e-9


def check_networks(flow: ReferenceFlow, config: RestorerConfig, crops: Sequence[UInt8]) -> Iterator[Check]:
    """Compare the networks alone on the same crops, uint8 [S, S, 3] RGB.

    Raises:
        RestorationError: there is no crop to compare.
    """
    if not crops:
        raise RestorationError("the reference flow finds no face in this video; give one that shows faces")
    wanted = np.stack([flow.restore(crop) for crop in crops]).astype(np.float64)
    exact = np.stack(FaceRestorer(replace(config, device="cpu", precision="fp32"))(crops))
    used = np.stack(FaceRestorer(config)(crops))
    yield _ceiling(
        "network in fp32 against spandrel's, greatest difference", np.abs(exact - wanted).max(), FP32_CEILING
    )
    yield _ceiling("in the precision in use, mean difference", np.abs(used - wanted).mean(), MEAN_CEILING)
    error = float(np.square(used - wanted).mean())
    yield _floor("in the precision in use, PSNR", _decibels(error), NETWORK_FLOOR_DB)


def check_films(ours: Path, rival: Path, source: Path, faces: Sequence[Faces], *, system: str) -> Iterator[Check]:
    """Compare two restored videos inside the boxes of the faces, and with the video they were made from.

    Raises:
        RestorationError: the videos have different numbers of frames, or no face.
    """
    between = _decibels(_face_error(ours, rival, faces))
    changed = _decibels(_face_error(ours, source, faces))
    yield _floor(f"faces of *{system}* against the lightest reference, PSNR", between, FILM_FLOOR_DB)
    yield _floor("which is closer than to the source by", between - changed, CLOSER_FLOOR_DB)


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
                "nothing was timed"
            )
    return done


def _ceiling(what: str, value: float, limit: float) -> Check:
    return Check(what, float(value), limit, "grey levels", at_least=False)


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
