"""What every test may use."""

import os
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np
import pytest
from skimage.data import astronaut

os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")

SHARED = Path(__file__).parents[2] / "shared"


@pytest.fixture(scope="session")
def shared() -> Path:
    """The project's folder of real material; tests that use it pass without it by skipping."""
    if not SHARED.is_dir():
        pytest.skip("no folder of shared material beside the checkout")
    return SHARED


def portrait_at(index: int, width: int, height: int) -> np.ndarray:
    """A public-domain face, 60 px wide, drifting over the frames; uint8 [height, width, 3] RGB."""
    turn = cv2.getRotationMatrix2D((224, 116), 3 * np.sin(index / 5), 0.65)
    turn[:, 2] += [width / 2 - 224 + index, height / 2 - 116]
    return cv2.warpAffine(astronaut(), turn, (width, height), flags=cv2.INTER_AREA, borderMode=cv2.BORDER_REFLECT_101)


@pytest.fixture(scope="session")
def make_portrait_film(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Path]:
    """Build a small film of one moving (or frozen) face with sound, once for each set of options."""
    folder = tmp_path_factory.mktemp("portraits")

    def build(*, frames: int = 12, frozen: bool = False, width: int = 320, height: int = 240) -> Path:
        path = folder / f"portrait-{frames}-{frozen}-{width}x{height}.mp4"
        if not path.exists():
            _encode(path, frames=frames, frozen=frozen, width=width, height=height)
        return path

    return build


def _encode(path: Path, *, frames: int, frozen: bool, width: int, height: int) -> None:
    with av.open(str(path), "w") as container:
        video = container.add_stream("libx264", rate=Fraction(25), options={"crf": "12", "preset": "veryfast"})
        video.width, video.height, video.pix_fmt = width, height, "yuv420p"
        audio = container.add_stream("aac", rate=48000)
        for index in range(frames):
            picture = av.VideoFrame.from_ndarray(portrait_at(0 if frozen else index, width, height), format="rgb24")
            picture.pts, picture.time_base = index, Fraction(1, 25)
            container.mux(video.encode(picture))
            wave = (2000 * np.sin(np.arange(1920) / 20)).astype(np.int16)[None]
            sound = av.AudioFrame.from_ndarray(wave, format="s16", layout="mono")
            sound.sample_rate, sound.pts, sound.time_base = 48000, index * 1920, Fraction(1, 48000)
            container.mux(audio.encode(sound))
        container.mux(video.encode(None))
        container.mux(audio.encode(None))
