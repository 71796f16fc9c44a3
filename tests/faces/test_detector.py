"""The embedded detector on real faces."""

import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from vidrestore.errors import ConfigError, ModelError, RestorationError
from vidrestore.faces.boxes import box_iou, nms, scale
from vidrestore.faces.config import DetectorConfig
from vidrestore.faces.detector import FaceDetector
from vidrestore.faces.retinaface import anchors, load_network
from vidrestore.models.retinaface import MobileRetinaFace
from vidrestore.models.torchvision_ops import ensure_torchvision_imports
from vidrestore.types import UInt8


@pytest.fixture(scope="module")
def detector() -> FaceDetector:
    return FaceDetector(DetectorConfig(device="cpu"))


@pytest.fixture(scope="module")
def astronaut() -> UInt8:
    image: UInt8 = pytest.importorskip("skimage.data").astronaut()
    return image


def test_the_astronaut_is_found(detector: FaceDetector, astronaut: UInt8) -> None:
    ((face,),) = detector([astronaut])

    assert face.score > 0.99
    np.testing.assert_allclose(face.box, [177, 56, 272, 176], atol=4)
    np.testing.assert_allclose(face.landmarks, [[204, 100], [247, 103], [223, 129], [202, 138], [244, 140]], atol=3)
    assert face.landmarks.dtype == face.box.dtype == np.float32


def test_a_picture_without_faces_has_none(detector: FaceDetector) -> None:
    assert detector([np.full((120, 160, 3), 90, np.uint8)]) == [()]


def test_an_empty_batch_gives_an_empty_result(detector: FaceDetector) -> None:
    assert detector([]) == []


def test_the_result_does_not_depend_on_the_rest_of_the_batch(detector: FaceDetector, astronaut: UInt8) -> None:
    small, flipped = astronaut[::2, ::2], astronaut[::2, ::-2]
    alone = [detector([image])[0] for image in (small, flipped, astronaut)]
    together = detector([small, astronaut, flipped, small])

    for one, other in zip((alone[0], alone[2], alone[1], alone[0]), together, strict=True):
        assert [face.score for face in one] == [face.score for face in other]
        for face, same in zip(one, other, strict=True):
            assert np.array_equal(face.landmarks, same.landmarks)
            assert np.array_equal(face.box, same.box)


def test_landmarks_mirror_with_the_picture(detector: FaceDetector, astronaut: UInt8) -> None:
    ((face,),) = detector([astronaut])
    ((mirrored,),) = detector([np.ascontiguousarray(astronaut[:, ::-1])])

    back = mirrored.landmarks[[1, 0, 2, 4, 3]] * [-1, 1] + [astronaut.shape[1] - 1, 0]
    np.testing.assert_allclose(back, face.landmarks, atol=2.5)


@pytest.mark.parametrize("shape", [(97, 131), (33, 64), (1, 1), (250, 31)])
def test_pictures_of_any_size_are_taken(detector: FaceDetector, shape: tuple[int, int]) -> None:
    height, width = shape
    assert len(detector([np.zeros((height, width, 3), np.uint8)])) == 1
    assert anchors(height, width).shape[1] == 4


@pytest.mark.parametrize(
    "image", [np.zeros((8, 8), np.uint8), np.zeros((8, 8, 3), np.float32), np.zeros((0, 8, 3), np.uint8)]
)
def test_what_is_no_picture_is_refused(detector: FaceDetector, image: UInt8) -> None:
    with pytest.raises(RestorationError, match="uint8"):
        detector([image])


def test_scaling_keeps_pixel_centres(detector: FaceDetector, astronaut: UInt8) -> None:
    ((face,),) = detector([astronaut])

    twice = scale(face, (2.0, 2.0))

    np.testing.assert_allclose(twice.landmarks, face.landmarks * 2 + 0.5, rtol=1e-6)
    np.testing.assert_allclose(scale(twice, (0.5, 0.5)).box, face.box, rtol=1e-6)
    assert twice.score == face.score


def test_of_overlapping_boxes_the_best_stays() -> None:
    boxes = np.array([[0, 0, 10, 10], [1, 0, 11, 10], [30, 30, 40, 40], [0, 0, 10, 5]], np.float32)
    scores = np.array([0.8, 0.9, 0.7, 0.8], np.float32)

    assert nms(boxes, scores, threshold=0.6) == [1, 3, 2]
    assert nms(boxes[:0], scores[:0], threshold=0.6) == []
    np.testing.assert_allclose(box_iou(boxes[:1], boxes)[0], [1, 9 / 11, 0, 0.5])


def test_another_training_of_the_same_network_sees_the_same_face(
    detector: FaceDetector, astronaut: UInt8, shared: Path
) -> None:
    state = torch.load(shared / "weights" / "detection_mobilenet0.25_Final.pth", map_location="cpu", weights_only=True)
    network = load_network("retinaface-mobile0.25", torch.device("cpu"), state=state)
    other = FaceDetector(DetectorConfig(device="cpu"), network=network)

    ((one,),), ((two,),) = detector([astronaut]), other([astronaut])

    np.testing.assert_allclose(one.landmarks, two.landmarks, atol=5)


def test_the_small_network_gives_what_facexlibs_gives(shared: Path) -> None:
    ensure_torchvision_imports()
    from facexlib.detection.retinaface import RetinaFace  # noqa: PLC0415  torchvision must be mended first

    weights = shared / "weights" / "detection_mobilenet0.25_Final.pth"
    state = {
        key.removeprefix("module."): value
        for key, value in torch.load(weights, map_location="cpu", weights_only=True).items()
    }
    theirs, ours = RetinaFace("mobile0.25", device=torch.device("cpu")), MobileRetinaFace().eval()
    theirs.load_state_dict(state)
    ours.load_state_dict(state)
    images = torch.randn(2, 3, 97, 130, generator=torch.Generator().manual_seed(1)) * 50

    with torch.inference_mode():
        assert all(torch.equal(one, two) for one, two in zip(theirs(images), ours(images), strict=True))


@pytest.mark.parametrize(("height", "width"), [(97, 131), (360, 640), (1, 1)])
def test_anchors_are_those_of_facexlib(height: int, width: int) -> None:
    ensure_torchvision_imports()
    from facexlib.detection.retinaface_utils import PriorBox  # noqa: PLC0415  torchvision must be mended first

    levels = {"min_sizes": [[16, 32], [64, 128], [256, 512]], "steps": [8, 16, 32], "clip": False}

    assert torch.equal(anchors(height, width), PriorBox(levels, image_size=(height, width)).forward())


@pytest.mark.parametrize("prefix", ["", "module."])
def test_the_larger_network_takes_its_published_keys(prefix: str) -> None:
    ensure_torchvision_imports()
    from facexlib.detection.retinaface import RetinaFace  # noqa: PLC0415  torchvision must be mended first

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # facexlib asks torchvision for the network in the old way
        state = RetinaFace("resnet50", device=torch.device("cpu")).state_dict()
    network = load_network(
        "retinaface-resnet50", torch.device("cpu"), state={prefix + key: value for key, value in state.items()}
    )
    with torch.inference_mode():
        boxes, scores, landmarks = network(torch.zeros(1, 3, 64, 96))

    assert [boxes.shape[2], scores.shape[2], landmarks.shape[2]] == [4, 2, 10]
    assert boxes.shape[1] == len(anchors(64, 96))


def test_weights_of_another_network_are_refused() -> None:
    with pytest.raises(ModelError, match=r"retinaface-mobile0\.25 do not fit"):
        load_network("retinaface-mobile0.25", torch.device("cpu"), state={"body.weight": torch.zeros(1)})


@pytest.mark.gpu
def test_on_a_gpu_the_result_does_not_depend_on_the_rest_of_the_batch(astronaut: UInt8, cuda: torch.device) -> None:
    detector = FaceDetector(DetectorConfig(device=str(cuda)))
    images = [np.roll(astronaut, 3 * step, axis=1) for step in range(11)]

    together = detector(images)

    for image, faces in zip(images, together, strict=True):
        ((alone,),) = detector([image])
        assert np.array_equal(alone.landmarks, faces[0].landmarks)


@pytest.mark.parametrize(
    "options",
    [{"score_threshold": 0}, {"nms_threshold": 1.5}, {"name": "yolo"}, {"batch_size_gpu": 0}],
)
def test_impossible_options_are_refused(options: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match=r"is .*; use"):
        DetectorConfig(**options)


def test_an_unknown_device_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"detector\.device is 'toaster'"):
        FaceDetector(DetectorConfig(device="toaster"))
