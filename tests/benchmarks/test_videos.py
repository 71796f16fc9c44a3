from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from benchmarks import videos
from benchmarks.checks import frame_times
from benchmarks.videos import SHAPES, VideoShape, make_video
from vidrestore.errors import ConfigError
from vidrestore.faces.config import DetectorConfig
from vidrestore.faces.detector import FaceDetector


def pictures(path: Path) -> list[np.ndarray]:
    with av.open(str(path)) as container:
        return [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]


def test_shapes_have_names_and_come_back_by_them() -> None:
    assert [VideoShape.named(shape.name) for shape in SHAPES] == list(SHAPES)
    assert VideoShape.named("1080p-6").pixels == (1920, 1080)
    with pytest.raises(ConfigError, match="1080p-6"):
        VideoShape.named("1080p-7")


@pytest.mark.parametrize("shape", [VideoShape("640x360", 1), VideoShape("640x360", 6), VideoShape("1080p", 6)])
def test_every_face_of_a_video_is_found(
    shape: VideoShape, make_portrait_video: Callable[..., Path], tmp_path: Path
) -> None:
    make_video(make_portrait_video(frames=12), tmp_path / "film.mp4", shape, frames=2)
    first = pictures(tmp_path / "film.mp4")[0]
    assert first.shape == (*reversed(shape.pixels), 3)
    (found,) = FaceDetector(DetectorConfig(device="cpu"))([first])
    assert len([face for face in found if face.score > 0.9]) == shape.faces


def test_a_video_longer_than_its_source_goes_on_evenly(
    make_portrait_video: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(videos, "_CYCLE", 5)
    make_video(make_portrait_video(frames=12), tmp_path / "film.mp4", VideoShape("640x360", 1), frames=13)
    assert frame_times(tmp_path / "film.mp4") == [Fraction(number, 25) for number in range(13)]
    made = pictures(tmp_path / "film.mp4")
    np.testing.assert_array_equal(made[2], made[7])
    assert (made[2] != made[3]).any()
