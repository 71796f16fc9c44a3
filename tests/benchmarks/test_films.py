from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from benchmarks import films
from benchmarks.checks import frame_times
from benchmarks.films import SHAPES, FilmShape, make_film
from vidrestore.errors import ConfigError
from vidrestore.faces.config import DetectorConfig
from vidrestore.faces.detector import FaceDetector


def pictures(path: Path) -> list[np.ndarray]:
    with av.open(str(path)) as container:
        return [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]


def test_shapes_have_names_and_come_back_by_them() -> None:
    assert [FilmShape.named(shape.name) for shape in SHAPES] == list(SHAPES)
    assert FilmShape.named("1080p-6").pixels == (1920, 1080)
    with pytest.raises(ConfigError, match="1080p-6"):
        FilmShape.named("1080p-7")


@pytest.mark.parametrize("shape", [FilmShape("640x360", 1), FilmShape("640x360", 6), FilmShape("1080p", 6)])
def test_every_face_of_a_film_is_found(
    shape: FilmShape, make_portrait_film: Callable[..., Path], tmp_path: Path
) -> None:
    make_film(make_portrait_film(frames=12), tmp_path / "film.mp4", shape, frames=2)
    first = pictures(tmp_path / "film.mp4")[0]
    assert first.shape == (*reversed(shape.pixels), 3)
    (found,) = FaceDetector(DetectorConfig(device="cpu"))([first])
    assert len([face for face in found if face.score > 0.9]) == shape.faces


def test_a_film_longer_than_its_source_goes_on_evenly(
    make_portrait_film: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(films, "_CYCLE", 5)
    make_film(make_portrait_film(frames=12), tmp_path / "film.mp4", FilmShape("640x360", 1), frames=13)
    assert frame_times(tmp_path / "film.mp4") == [Fraction(number, 25) for number in range(13)]
    made = pictures(tmp_path / "film.mp4")
    np.testing.assert_array_equal(made[2], made[7])
    assert (made[2] != made[3]).any()
