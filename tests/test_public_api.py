"""What `import vidrestore` offers, and what it does not load."""

import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest

import vidrestore
from vidrestore.config import update
from vidrestore.jobs.config import JobConfig
from vidrestore.types import UInt8

MakeVideo = Callable[..., Path]


class Striped(vidrestore.FaceModel):
    """Striped faces are easy to recognise; the mean colour stays, for the pipeline would set it right."""

    crop_size = 64

    def __call__(self, crops: Sequence[UInt8]) -> list[UInt8]:
        stripes = np.where(np.arange(self.crop_size) % 16 < 8, 60, -60)[:, None, None]
        return [np.clip(crop + stripes, 0, 255).astype(np.uint8) for crop in crops]


def change(one: UInt8, other: UInt8) -> int:
    return int(np.abs(one.astype(int) - other).max())


def test_every_name_is_there_and_says_what_it_is() -> None:
    for name in vidrestore.__all__:
        found = getattr(vidrestore, name)
        assert name in dir(vidrestore)
        assert name == "__version__" or found.__doc__, f"{name} has no docstring"


def test_a_name_that_is_not_there_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="has no attribute 'restore_movie'"):
        _ = vidrestore.restore_movie


def test_the_import_loads_nothing_heavy() -> None:
    program = "import sys, vidrestore; print(*{'torch', 'ray', 'av', 'cv2', 'numpy', 'pydantic'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == ""


@pytest.mark.parametrize(
    ("image", "came"),
    [(np.zeros((4, 4), np.uint8), r"uint8 \[4, 4\]"), (np.zeros((4, 4, 3), np.float32), r"float32 \[4, 4, 3\]")],
)
def test_an_image_of_another_kind_is_refused(image: np.ndarray, came: str) -> None:
    with pytest.raises(vidrestore.InputError, match=f"the image is {came}; give uint8"):
        vidrestore.Restorer().restore_image(image)


def test_a_restorer_that_is_not_open_says_so() -> None:
    with pytest.raises(vidrestore.ConfigError, match="use it as a context manager"):
        vidrestore.Restorer()([])


def test_what_is_no_number_of_faces_is_refused() -> None:
    with pytest.raises(vidrestore.ConfigError, match="faces is 'some'; use all, largest or a number"):
        vidrestore.Restorer(faces="some")  # type: ignore[arg-type]


def test_a_model_of_ones_own_does_not_run_on_a_cluster(tmp_path: Path) -> None:
    with pytest.raises(vidrestore.ConfigError, match="runs in this process"):
        vidrestore.restore_video(tmp_path / "a.mp4", tmp_path / "b.mp4", model=Striped(), address="auto")


@pytest.mark.integration
@pytest.mark.parametrize("backend", ["opencv", "torch"])
def test_a_model_of_ones_own_restores_a_video(make_portrait_video: MakeVideo, tmp_path: Path, backend: str) -> None:
    destination = tmp_path / "striped.mkv"
    config = update(JobConfig(), {"restore": {"restorer": {"backend": backend}}})
    report = vidrestore.restore_video(make_portrait_video(), destination, model=Striped(), lossless=True, config=config)
    assert report.faces_restored == 12
    with vidrestore.open_video(make_portrait_video()) as before, vidrestore.open_video(destination) as after:
        for one, other in zip(before, after, strict=True):
            assert change(vidrestore.to_rgb(one), vidrestore.to_rgb(other)) > 30
    with (
        vidrestore.open_video(make_portrait_video()) as video,
        vidrestore.Restorer(model=Striped(), strength=0) as keep,
    ):
        for frame in video:
            assert vidrestore.to_rgb(frame).shape == (240, 320, 3)
            break
        assert keep.config.compositor.strength == 0


@pytest.mark.integration
def test_images_are_restored_by_themselves_and_in_lists(make_portrait_video: MakeVideo) -> None:
    with vidrestore.open_video(make_portrait_video()) as video:
        image = vidrestore.to_rgb(next(iter(video)))
    one = vidrestore.restore_image(image, model=Striped())
    (again,) = vidrestore.restore_image([image], model=Striped())
    assert np.array_equal(one, again)
    assert one.shape == image.shape
    assert change(one, image) > 30
    assert np.array_equal(one[:, :8], image[:, :8]), "away from faces nothing changes"
