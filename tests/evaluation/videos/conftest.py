"""Lossless films of a talking face, and of next to nothing with judges that cost nothing."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np
import pytest
import torch
from skimage.data import astronaut

from vidrestore.evaluation.images.metric_models import MetricModels
from vidrestore.faces.alignment import TEMPLATE
from vidrestore.types import Detection, UInt8

WIDTH, HEIGHT = 256, 192
_EYES, _MOUTH = ((204, 101), (247, 103)), (224, 141)
_BLINKS = {6, 7, 15, 16, 22}


@pytest.fixture(autouse=True, scope="module")
def one_thread() -> Iterator[None]:
    """Small networks gain nothing from a second thread, and on a busy machine each waits for the other."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def talking_face(index: int) -> UInt8:
    """A face that talks and blinks while the camera drifts; uint8 [HEIGHT, WIDTH, 3] RGB."""
    portrait = astronaut().copy()
    opening = 5 + 4 * np.sin(index * 0.9) + 3 * np.sin(index * 2.1 + 1)
    cv2.ellipse(portrait, _MOUTH, (15, max(1, round(opening))), 0, 0, 360, (60, 20, 20), -1, cv2.LINE_AA)
    for eye in _EYES if index in _BLINKS else ():
        cv2.ellipse(portrait, eye, (11, 7), 0, 0, 360, (200, 150, 130), -1, cv2.LINE_AA)
    turn = cv2.getRotationMatrix2D((224, 116), 3 * np.sin(index / 5), 0.6)
    turn[:, 2] += [WIDTH / 2 - 224 + 0.7 * index, HEIGHT / 2 - 116]
    return cv2.warpAffine(portrait, turn, (WIDTH, HEIGHT), flags=cv2.INTER_AREA, borderMode=cv2.BORDER_REFLECT_101)


def drawn_picture(index: int, *, width: int = 64, height: int = 64) -> UInt8:
    """A ball that moves over a textured ground; uint8 [height, width, 3] RGB."""
    rows, columns = np.indices((height, width))
    picture = np.dstack([rows * 3, columns * 3, (rows * columns) % 97]).astype(np.uint8)
    cv2.circle(picture, (20 + 2 * index, 30), 9, (220, 180, 160), -1, cv2.LINE_AA)
    return picture


@pytest.fixture
def write(tmp_path: Path) -> Callable[..., Path]:
    """Write pictures as a lossless film and give its path; `times` are in milliseconds."""

    def build(name: str, pictures: Iterable[UInt8], *, times: Sequence[int] | None = None) -> Path:
        path = tmp_path / f"{name}.mkv"
        write_video(path, list(pictures), times)
        return path

    return build


def write_video(path: Path, pictures: Sequence[UInt8], times: Sequence[int] | None = None) -> None:
    height, width = pictures[0].shape[:2]
    with av.open(str(path), "w") as container:
        stream = container.add_stream("ffv1", rate=25)
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv444p"
        stream.codec_context.time_base = Fraction(1, 1000)
        for picture, time in zip(pictures, times or range(0, 40 * len(pictures), 40), strict=True):
            frame = av.VideoFrame.from_ndarray(picture, format="rgb24")
            frame.pts, frame.time_base = time, Fraction(1, 1000)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))


@pytest.fixture(scope="session")
def talking() -> list[UInt8]:
    """A second of a talking face."""
    return [talking_face(index) for index in range(26)]


@pytest.fixture(scope="session")
def write_once(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str, Sequence[UInt8]], Path]:
    """As `write`, for fixtures of the whole session."""
    folder = tmp_path_factory.mktemp("films")

    def build(name: str, pictures: Sequence[UInt8]) -> Path:
        write_video(folder / f"{name}.mkv", pictures)
        return folder / f"{name}.mkv"

    return build


@pytest.fixture
def drawn() -> Callable[..., list[UInt8]]:
    """So many pictures of a moving ball."""
    return lambda count, **size: [drawn_picture(index, **size) for index in range(count)]


def detect_any(images: Sequence[UInt8]) -> list[tuple[Detection, ...]]:
    """Finds the template's face in every picture that is not plain."""
    return [_whole(image) if image.std() > 1 else () for image in images]


def _whole(image: UInt8) -> tuple[Detection, ...]:
    height, width = image.shape[:2]
    points = TEMPLATE * [width, height] - 0.5
    box = np.array([0.2 * width, 0.2 * height, 0.8 * width, 0.9 * height], np.float32)
    return (Detection(points.astype(np.float32), box, 0.95),)


@pytest.fixture
def judges() -> MetricModels:
    """Means as features, pixels as identity, a face in every picture."""
    return MetricModels(
        describe=lambda images: (images.mean(dim=(2, 3), keepdim=True),),
        embed=lambda images: torch.nn.functional.normalize(images.flatten(1) + 2),
        detect=detect_any,
        device=torch.device("cpu"),
    )
