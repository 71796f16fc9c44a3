"""Small films and crews for the tests of batches."""

from collections.abc import Callable, Iterator
from fractions import Fraction
from functools import partial
from pathlib import Path

import av
import cv2
import numpy as np
import pytest

from benchmarks.simulated import CROP, face_in_the_middle
from vidrestore.restoration.pipeline import InferenceModels
from vidrestore.runtime.worker_pool import LocalWorkerPool
from vidrestore.stages import Inline


@pytest.fixture(scope="session")
def simulated_parts() -> InferenceModels:
    """What the simulated face workers do, in this process."""
    return InferenceModels(
        Inline(lambda previews: [(face_in_the_middle(preview),) for preview in previews]),
        Inline(lambda crops: [255 - crop for crop in crops]),
        crop_size=CROP,
        batch_size=1,
        visibility=Inline(lambda crops: [np.full((64, 64), 255, np.uint8) for _ in crops]),
    )


@pytest.fixture
def pool(simulated_parts: InferenceModels) -> Callable[[], LocalWorkerPool]:
    """Opens a pool of one in this process, whose networks are simulated and take no time."""
    return partial(LocalWorkerPool, simulated_parts, "simulated")


@pytest.fixture(autouse=True, scope="session")
def _own_state(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Jobs of tests are not listed among the user's ..."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_STATE_HOME", str(tmp_path_factory.mktemp("state")))
        yield


@pytest.fixture(autouse=True)
def _own_register(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    """... nor among those of other tests."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path_factory.mktemp("state")))


@pytest.fixture(scope="session")
def make_clip() -> Callable[..., Path]:
    """A moving texture with sound; 160 x 120 at 25 frames a second, key frames every 12."""

    def build(folder: Path, name: str = "clip.mp4", *, frames: int = 60, seed: int = 0) -> Path:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        noise = np.random.default_rng(seed).integers(0, 255, (120, 224, 3)).astype(np.uint8)
        texture = cv2.normalize(cv2.GaussianBlur(noise, (0, 0), 3), None, 0, 255, cv2.NORM_MINMAX)
        with av.open(str(path), "w") as container:
            video = container.add_stream("libx264", rate=25, options={"g": "12", "preset": "ultrafast"})
            video.width, video.height, video.pix_fmt = 160, 120, "yuv420p"
            audio = container.add_stream("aac", rate=48000)
            for index in range(frames):
                left = 32 - abs(index % 64 - 32)
                picture = av.VideoFrame.from_ndarray(np.ascontiguousarray(texture[:, left : left + 160]), "rgb24")
                picture.pts = index
                container.mux(video.encode(picture))
                sound = av.AudioFrame.from_ndarray(np.full((1, 1920), index, np.int16), format="s16", layout="mono")
                sound.sample_rate, sound.pts, sound.time_base = 48000, index * 1920, Fraction(1, 48000)
                container.mux(audio.encode(sound))
            container.mux(video.encode(None))
            container.mux(audio.encode(None))
        return path

    return build
