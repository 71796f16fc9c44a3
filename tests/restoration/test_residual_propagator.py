"""Restoring every so many frames, and carrying between."""

from collections.abc import Callable, Sequence
from concurrent.futures import Future
from fractions import Fraction

import cv2
import numpy as np
import pytest
from skimage.data import astronaut

from vidrestore.restoration.config import SelectionConfig
from vidrestore.restoration.quality_limits import QualityLimits
from vidrestore.restoration.temporal.residual_propagator import ResidualPropagator
from vidrestore.types import AlignedFace, FaceTrack, Frame, FrameFaces, Restoration, UInt8

SIDE = 128
FACE = cv2.resize(astronaut()[20:220, 120:320], (SIDE, SIDE), interpolation=cv2.INTER_AREA)
SOFT = cv2.GaussianBlur(FACE, (0, 0), 2.0)


def sharpen(crops: Sequence[UInt8]) -> list[UInt8]:
    """The truth, wherever the crop was moved to."""
    return [shifted(FACE, offset_of(crop)) for crop in crops]


def shifted(picture: UInt8, by: int) -> UInt8:
    matrix = np.array([[1, 0, by], [0, 1, 0]], np.float64)
    return np.asarray(cv2.warpAffine(picture, matrix, (SIDE, SIDE), borderMode=cv2.BORDER_REFLECT_101), dtype=np.uint8)


def offset_of(crop: UInt8) -> int:
    return min(range(-6, 7), key=lambda by: float(np.abs(shifted(SOFT, by).astype(int) - crop).mean()))


def a_face(crop: UInt8, track: int = 0) -> AlignedFace:
    pose = np.array([[100.0, 0, 0], [0, 100.0, 0]])
    return AlignedFace(FaceTrack(track, pose, 200.0, 0.99, np.eye(4)), crop, np.eye(2, 3))


def item(*faces: AlignedFace, shot: int = 0) -> FrameFaces[AlignedFace]:
    planes = (np.zeros((4, 4), np.uint8),)
    return FrameFaces(Frame(0, 0, Fraction(1, 25), 1, 4, 4, "gray", planes), faces, shot)


class Network:
    """Answers at once, or, where it is slow, when it is told to."""

    def __init__(self, restore: Callable[[Sequence[UInt8]], list[UInt8]] = sharpen) -> None:
        self.batches: list[int] = []
        self.slow = False
        self._restore = restore
        self._open: list[tuple[Future[Sequence[UInt8]], Sequence[UInt8]]] = []

    def __call__(self, crops: Sequence[UInt8]) -> Future[Sequence[UInt8]]:
        self.batches.append(len(crops))
        answer: Future[Sequence[UInt8]] = Future()
        self._open.append((answer, crops))
        if not self.slow:
            self.answer()
        return answer

    def answer(self) -> None:
        for answer, crops in self._open:
            answer.set_result(self._restore(crops))
        self._open.clear()


def run(carrier: ResidualPropagator, items: Sequence[FrameFaces[AlignedFace]]) -> list[tuple[Restoration, ...]]:
    return [out.faces for one in items for out in carrier.push(one)]


def test_every_frame_goes_through_the_network_by_default() -> None:
    network = Network()
    out = run(ResidualPropagator(network, SelectionConfig(), QualityLimits()), [item(a_face(SOFT)) for _ in range(5)])
    assert network.batches == [1] * 5
    assert all(np.array_equal(faces[0].crop, FACE) for faces in out)


def test_a_still_face_that_is_carried_is_the_restored_one() -> None:
    network = Network()
    out = run(
        ResidualPropagator(network, SelectionConfig(), QualityLimits(restore_every=4)),
        [item(a_face(SOFT)) for _ in range(12)],
    )
    assert sum(network.batches) == 3
    for faces in out:
        assert np.abs(faces[0].crop.astype(int) - FACE).max() <= 1


def test_what_was_restored_moves_with_the_face() -> None:
    network = Network()
    crops = [shifted(SOFT, by) for by in (0, 1, 2, 3)]
    out = run(
        ResidualPropagator(network, SelectionConfig(), QualityLimits(restore_every=4)),
        [item(a_face(crop)) for crop in crops],
    )
    assert sum(network.batches) == 1
    inside = np.s_[16:-16, 16:-16]
    for crop, by, faces in zip(crops, (0, 1, 2, 3), out, strict=True):
        truth = shifted(FACE, by)[inside].astype(float)
        carried, soft = (np.abs(picture[inside] - truth).mean() for picture in (faces[0].crop, crop))
        assert carried < 0.6 * soft


def test_two_faces_take_turns() -> None:
    network = Network()
    both = [item(a_face(SOFT, 0), a_face(SOFT, 1)) for _ in range(9)]
    run(ResidualPropagator(network, SelectionConfig(), QualityLimits(restore_every=2)), both)
    assert network.batches[0] == 2, "both are new"
    assert network.batches[1:] == [1] * 8


def test_a_face_that_cannot_be_followed_is_restored_anew() -> None:
    network = Network()
    noise = np.random.default_rng(0).integers(0, 255, (2, SIDE, SIDE, 3), dtype=np.uint8)
    run(
        ResidualPropagator(network, SelectionConfig(), QualityLimits(restore_every=4)),
        [item(a_face(crop)) for crop in noise],
    )
    assert sum(network.batches) == 2


def test_a_cut_carries_nothing_over() -> None:
    network = Network()
    run(
        ResidualPropagator(network, SelectionConfig(), QualityLimits(restore_every=9)),
        [item(a_face(SOFT), shot=n) for n in range(3)],
    )
    assert network.batches == [1, 1, 1]


@pytest.mark.parametrize("every", [2, 3, 4])
def test_the_effort_may_change_at_any_frame(every: int) -> None:
    network, limits = Network(), QualityLimits()
    carrier = ResidualPropagator(network, SelectionConfig(), limits)
    run(carrier, [item(a_face(SOFT)) for _ in range(3)])
    limits.restore_every = every
    run(carrier, [item(a_face(SOFT)) for _ in range(2 * every)])
    limits.restore_every = 1
    run(carrier, [item(a_face(SOFT)) for _ in range(3)])
    assert sum(network.batches) == 3 + 2 + 3
    assert carrier.carried == 2 * every - 2


def test_a_face_that_is_followed_waits_for_no_answer() -> None:
    network = Network()
    carrier = ResidualPropagator(network, SelectionConfig(), QualityLimits(restore_every=2))
    first = run(carrier, [item(a_face(SOFT))])[0][0]
    network.slow = True
    out = run(carrier, [item(a_face(SOFT)) for _ in range(6)])
    assert network.batches == [1, 1], "one question at a time"
    assert all(np.array_equal(faces[0].crop, first.crop) for faces in out), "carried on"


def moved(picture: UInt8, by: float, zoom: float) -> UInt8:
    """Moved across, then enlarged around the middle: the two do not commute."""
    middle = (SIDE - 1) / 2
    matrix = np.array([[zoom, 0, zoom * by + (1 - zoom) * middle], [0, zoom, (1 - zoom) * middle]])
    return np.asarray(cv2.warpAffine(picture, matrix, (SIDE, SIDE), borderMode=cv2.BORDER_REFLECT_101), dtype=np.uint8)


def test_a_late_answer_is_moved_to_where_the_face_is() -> None:
    network = Network(lambda crops: [FACE for _ in crops])
    carrier = ResidualPropagator(network, SelectionConfig(), QualityLimits(restore_every=5))
    run(carrier, [item(a_face(FACE, 4))])  # nothing to add: what is shown later comes from the answer
    network.slow = True
    ways = [(0, 1), *((by, 1) for by in (3, 6, 9, 12)), *((12, 1 + step / 20) for step in range(1, 7))]
    run(carrier, [item(a_face(moved(SOFT, *way), 4)) for way in ways])
    assert network.batches == [1, 1]
    network.answer()
    late, later = (out[0].crop for out in run(carrier, [item(a_face(moved(SOFT, *ways[-1]), 4))] * 2))
    inside = np.s_[24:-24, 24:-24]
    truth, soft = (moved(picture, *ways[-1])[inside].astype(float) for picture in (FACE, SOFT))
    for shown in (late, later):
        assert np.abs(shown[inside] - truth).mean() < 0.75 * np.abs(soft - truth).mean()
    assert network.batches == [1, 1, 1], "what is shown is long overdue: the network is asked again at once"


def test_no_answer_in_time_takes_nothing_away() -> None:
    network = Network()
    carrier = ResidualPropagator(network, SelectionConfig(), QualityLimits(restore_every=2))
    run(carrier, [item(a_face(SOFT))])
    network._restore = list
    out = run(carrier, [item(a_face(SOFT)) for _ in range(6)])
    assert len(network.batches) > 2
    assert all(np.abs(faces[0].crop.astype(int) - FACE).max() <= 1 for faces in out)


def test_a_slow_network_is_asked_about_no_more_faces_at_a_time() -> None:
    network = Network()
    carrier = ResidualPropagator(network, SelectionConfig(), QualityLimits(restore_every=4))
    crowd = item(*(a_face(SOFT, track) for track in range(6)))
    run(carrier, [crowd])
    network.slow = True
    for _ in range(3):
        run(carrier, [crowd] * 9)
        network.answer()
    assert network.batches[0] == 6, "all are new"
    assert max(network.batches[1:]) == 2
    assert len(network.batches) == 4


def test_a_new_face_does_not_wait_for_one_that_is_due() -> None:
    network = Network()
    carrier = ResidualPropagator(network, SelectionConfig(), QualityLimits(restore_every=2))
    run(carrier, [item(*(a_face(SOFT, track) for track in range(4)))])
    run(carrier, [item(*(a_face(SOFT, track) for track in (0, 1, 2, 3, 5)))])
    assert network.batches == [4, 1, 2], "the new one first"


@pytest.mark.parametrize("change", ["cut", "gone", "everything"])
def test_an_answer_about_what_is_no_longer_there_is_left(change: str) -> None:
    network, limits = Network(), QualityLimits(restore_every=2)
    carrier = ResidualPropagator(network, SelectionConfig(), limits)
    run(carrier, [item(a_face(SOFT))])
    network.slow = True
    run(carrier, [item(a_face(SOFT))] * 2)
    network.answer()
    network.slow = False
    if change == "gone":
        run(carrier, [item()])
    if change == "everything":
        limits.restore_every = 1
    other = shifted(SOFT, 5)
    shown = run(carrier, [item(a_face(other), shot=int(change == "cut"))])[0][0].crop
    assert np.array_equal(shown, shifted(FACE, 5))
