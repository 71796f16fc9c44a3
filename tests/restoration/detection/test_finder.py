"""Finding faces of all sizes and angles, with the embedded detector and with scripted ones."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from fractions import Fraction

import cv2
import numpy as np
import pytest
from skimage.data import astronaut

from vidrestore.config import update
from vidrestore.faces.alignment import TEMPLATE, similarity
from vidrestore.faces.boxes import box_iou
from vidrestore.faces.config import DetectorConfig
from vidrestore.faces.detector import FaceDetector
from vidrestore.live.config import live_restore_config
from vidrestore.report import Recorder
from vidrestore.restoration.config import RestoreConfig
from vidrestore.restoration.detection.schedule import find_faces
from vidrestore.restoration.support import reach
from vidrestore.stages import Executor, Inline
from vidrestore.types import Detection, Float64, Frame, FrameFaces, UInt8

FACE = 85.0
"""Width of the astronaut's face, pixels."""
Detect = Callable[[Sequence[UInt8]], Sequence[tuple[Detection, ...]]]


@pytest.fixture(scope="module")
def detector() -> FaceDetector:
    return FaceDetector(DetectorConfig(device="cpu", score_threshold=RestoreConfig().detection.candidate_score))


@pytest.fixture(scope="module")
def landmarks(detector: FaceDetector) -> Float64:
    """The five points of the astronaut, upright and at a good size."""
    ((face, *_),) = detector([np.asarray(astronaut(), np.uint8)])
    return face.landmarks.astype(np.float64)


def posed(landmarks: Float64, *, width: float, degrees: float, size: tuple[int, int]) -> tuple[UInt8, Float64]:
    """The astronaut in the middle of a grey picture, and the landmarks there."""
    scale = width / FACE
    source = np.asarray(astronaut(), np.uint8)[40:230, 140:310]
    points = landmarks - [140, 40]
    if scale < 1:
        source = np.asarray(cv2.resize(source, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA), np.uint8)
        points, scale = (points + 0.5) * scale - 0.5, 1.0
    turn = cv2.getRotationMatrix2D(tuple(points.mean(axis=0)), -degrees, scale)
    turn[:, 2] += np.array(size) / 2 - points.mean(axis=0)
    picture = cv2.warpAffine(source, turn, size, flags=cv2.INTER_CUBIC, borderValue=(120, 120, 120))
    return np.asarray(picture, np.uint8), points @ turn[:, :2].T + turn[:, 2]


def frames_of(pictures: Iterable[UInt8], *, rate: int = 25, first: int = 0) -> list[Frame]:
    return [
        Frame(index, index, Fraction(1, rate), 1, picture.shape[1], picture.shape[0], "rgb24", (picture,))
        for index, picture in enumerate(pictures, start=first)
    ]


def found(frames: Iterable[Frame], detect: Detect, config: RestoreConfig | None = None) -> list[FrameFaces[Detection]]:
    return list(find_faces(frames, Inline(detect), config or RestoreConfig(), Recorder()))


def error(face: Detection, truth: Float64) -> float:
    """Root mean square distance of the landmarks from the truth, in distances between the eyes."""
    squares = ((face.landmarks - truth) ** 2).sum(axis=1)
    return float(np.sqrt(squares.mean()) / np.hypot(*(truth[1] - truth[0])))


@pytest.mark.parametrize("degrees", range(0, 360, 30))
@pytest.mark.parametrize("width", [36, 110, 250])
def test_a_face_is_aligned_at_every_angle(
    detector: FaceDetector, landmarks: Float64, width: float, degrees: int
) -> None:
    picture, truth = posed(landmarks, width=width, degrees=degrees, size=(640, 480))
    ((item),) = found(frames_of([picture]), detector)
    (face,) = item.faces
    assert error(face, truth) < 0.18


@pytest.mark.parametrize("degrees", [0, 90, 180, 270])
def test_live_video_sees_how_a_face_lies_too(detector: FaceDetector, landmarks: Float64, degrees: int) -> None:
    picture, truth = posed(landmarks, width=110, degrees=degrees, size=(640, 480))
    recorder = Recorder()
    items = list(find_faces(frames_of([picture] * 5, rate=5), Inline(detector), live_restore_config(), recorder))
    for item in items:
        (face,) = item.faces
        assert error(face, truth) < 0.18
    assert recorder.counts.searches == 0
    # five pictures to find out how it lies, then one a frame; an upright face needs none
    assert recorder.counts.close_looks <= (0 if degrees == 0 else 5 + 4)


@pytest.mark.parametrize("share", [0.3, 0.5, 0.65, 0.8, 0.95, 1.05])
@pytest.mark.parametrize("size", [(960, 540), (540, 960)])
def test_one_face_is_seen_however_much_of_the_picture_it_fills(
    detector: FaceDetector, landmarks: Float64, share: float, size: tuple[int, int]
) -> None:
    width = share * (size[0] if size[0] > size[1] else 0.9 * size[0])
    picture, truth = posed(landmarks, width=width, degrees=0, size=size)
    for item in found(frames_of([picture] * 4), detector):
        if item.detector_ran:
            (face,) = item.faces
            assert error(face, truth) < 0.18


@pytest.mark.parametrize(("width", "size"), [(18, (1920, 1080)), (14, (640, 360)), (24, (3840, 2160))])
def test_a_small_face_is_found_when_a_shot_begins_and_followed_until_the_next_search(
    detector: FaceDetector, landmarks: Float64, width: float, size: tuple[int, int]
) -> None:
    pictures, truths = zip(*(moved(landmarks, width, size, step) for step in range(4)), strict=True)
    without = update(RestoreConfig(), {"detection": {"search_seconds": 0}})
    if size != (640, 360):
        assert not any(item.faces for item in found(frames_of(pictures[:1]), detector, without))
    for item, truth in zip(found(frames_of(pictures, rate=10), detector), truths, strict=True):
        (face,) = item.faces
        assert error(face, truth) < 0.25


def moved(landmarks: Float64, width: float, size: tuple[int, int], step: int) -> tuple[UInt8, Float64]:
    picture, truth = posed(landmarks, width=width, degrees=0, size=size)
    shift = step * round(width / 2)
    return np.roll(picture, shift, axis=1), truth + np.array([shift, 0])


def test_a_picture_without_faces_has_none(detector: FaceDetector) -> None:
    random = np.random.default_rng(0)
    noise = random.integers(0, 255, (45, 80, 3)).astype(np.uint8).repeat(8, 0).repeat(8, 1)
    y, x = np.mgrid[:360, :640]
    waves = np.repeat((127 + 120 * np.sin(x / 9) * np.sin(y / 11)).astype(np.uint8)[..., None], 3, axis=2)
    for picture in (noise, waves, np.full((360, 640, 3), 90, np.uint8)):
        (item,) = found(frames_of([picture]), detector)
        assert item.faces == ()


class Scripted:
    """Sees upright faces where they are: bright squares on black. Writes down the sizes of the pictures it gets."""

    def __init__(self, *, least: float = 14.0, most: float = 1e9) -> None:
        self.least, self.most = least, most
        self.calls: list[list[tuple[int, ...]]] = []

    def __call__(self, items: Sequence[UInt8]) -> list[tuple[Detection, ...]]:
        self.calls.append([item.shape[:2] for item in items])
        return [tuple(self._faces(item)) for item in items]

    def _faces(self, picture: UInt8) -> Iterator[Detection]:
        _, _, boxes, _ = cv2.connectedComponentsWithStats((picture[..., 0] > 127).astype(np.uint8))
        for left, top, wide, high, _ in boxes[1:]:
            side = max(wide, high)
            if self.least <= side <= self.most:
                points = (TEMPLATE - 0.5) * side / 0.55 + [left + wide / 2, top + high / 2]
                box = np.array([left, top - 0.17 * side, left + wide, top + 1.18 * side], np.float32)
                yield Detection(points.astype(np.float32), box, 0.99)


def squares(places: Iterable[tuple[int, int]], *, side: int = 18) -> UInt8:
    picture = np.zeros((1080, 1920, 3), np.uint8)
    for x, y in places:
        picture[y : y + side, x : x + side] = 255
    return picture


def test_segments_find_what_one_pass_over_the_video_finds() -> None:
    """Two faces, one of which appears between two searches and is seen from the next one on."""
    pictures = [squares([(300 + 3 * index, 200), *([(900, 800)] if index > 7 else [])]) for index in range(70)]
    frames = frames_of(pictures, rate=10)
    whole = found(frames, Scripted())
    assert [len(item.faces) for item in whole] == [1] * 30 + [2] * 40
    lead_in = RestoreConfig().detection.follow_seconds
    for start in (7, 13, 29):
        part = found(frames[start:], Scripted())
        same = [one for one in zip(whole[start:], part, strict=True) if one[0].frame.seconds >= start / 10 + lead_in]
        assert same
        for one, other in same:
            for face, twin in zip(one.faces, other.faces, strict=True):
                np.testing.assert_array_equal(face.landmarks, twin.landmarks)
    assert reach(RestoreConfig()).past_seconds > lead_in


def test_many_small_faces_are_looked_at_in_turn() -> None:
    places = [(100 + 170 * column, 100 + 170 * row) for row in range(6) for column in range(10)]
    scripted = Scripted()
    items = found(frames_of([squares(places)] * 4, rate=10), scripted)
    assert [len(item.faces) for item in items] == [60, 20, 20, 20]
    seen = np.concatenate([[face.box for face in item.faces] for item in items[1:]])
    overlaps = box_iou(seen, np.array([face.box for face in items[0].faces]))
    assert (overlaps.max(axis=0) > 0.5).all(), "after three detector runs each has been looked at"


def test_close_looks_can_be_turned_off() -> None:
    scripted = Scripted()
    config = update(RestoreConfig(), {"detection": {"search_seconds": 0, "close_looks": 0}})
    items = found(frames_of([squares([(300, 200)], side=60)] * 3, rate=10), scripted, config)
    assert [len(item.faces) for item in items] == [1, 1, 1]
    assert {shape for call in scripted.calls for shape in call} == {(540, 960)}


def test_a_shot_begins_with_a_search_and_the_others_lie_on_a_grid_of_the_videos_time() -> None:
    pictures = [squares([(300, 200)])] * 10 + [255 - squares([])] * 40
    recorder = Recorder()
    executor: Executor[UInt8, tuple[Detection, ...]] = Inline(Scripted())
    list(find_faces(frames_of(pictures, rate=10, first=15), executor, RestoreConfig(), recorder))
    # frames 15 to 64 of ten a second: at the beginning, at the cut (2.5 s), at 3 s and at 6 s
    assert (recorder.counts.shots, recorder.counts.searches) == (2, 4)


def test_a_face_has_one_pose_whatever_the_looks_that_saw_it(detector: FaceDetector, landmarks: Float64) -> None:
    picture, _ = posed(landmarks, width=110, degrees=180, size=(320, 320))
    items = [item for item in found(frames_of([picture] * 9), detector) if item.detector_ran]
    poses = np.array([similarity(face.landmarks) for item in items for face in item.faces])
    assert len(poses) == len(items) > 3
    assert np.ptp(poses[:, 2:], axis=0).max() < 0.02 * np.exp(poses[0, 0])
