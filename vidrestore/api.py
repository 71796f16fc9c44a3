"""The public functions over the parts that do the work.

`import vidrestore` exports them without importing this module before one is used.
"""

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from types import TracebackType
from typing import Any, Literal, Self, TypeAlias, TypeVar, overload

import numpy as np

from vidrestore.config import given, update
from vidrestore.degradation import video as degradation
from vidrestore.degradation.medium.profiles import profile_preset
from vidrestore.degradation.report import DegradeReport
from vidrestore.degradation.video import DegradeConfig
from vidrestore.errors import ConfigError, InputError
from vidrestore.face_model import FaceModel
from vidrestore.jobs import restore as jobs
from vidrestore.jobs.config import BatchConfig, JobConfig
from vidrestore.jobs.progress import JobProgress
from vidrestore.jobs.report import JobReport
from vidrestore.live.config import StreamConfig
from vidrestore.live.status import StreamStatus
from vidrestore.media.colour import Box, region_to_rgb
from vidrestore.media.reader import VideoReader
from vidrestore.report import Recorder, RestoreReport
from vidrestore.restoration.config import FACE_COUNTS, RestoreConfig
from vidrestore.restoration.pipeline import InferenceModels, restore_frames
from vidrestore.runtime.config import Runtime
from vidrestore.runtime.worker_pool import LocalWorkerPool, PoolFactory
from vidrestore.stages import Inline
from vidrestore.types import Frame, UInt8

Model: TypeAlias = str | Path | FaceModel
"""Name of the zoo, file of a GFP-GAN, or a model of your own."""
Faces: TypeAlias = int | Literal["all", "largest"]
"""How many faces of a frame are restored, the largest first."""
OnProgress: TypeAlias = Callable[[JobProgress], None]
Job = TypeVar("Job", bound=JobConfig)


def restore_video(
    source: str | Path,
    destination: str | Path,
    *,
    model: Model | None = None,
    strength: float | None = None,
    faces: Faces | None = None,
    device: str | None = None,
    lossless: bool | None = None,
    runtime: Runtime | None = None,
    address: str | None = None,
    overwrite: bool | None = None,
    config: JobConfig | None = None,
    on_progress: OnProgress | None = None,
) -> RestoreReport:
    """Restore the faces in one video; call it again to continue after a crash.

    Every frame keeps its exact time; audio, subtitles, chapters and metadata are copied. What is given as a keyword
    counts instead of what `config` says.

    Args:
        source: file, or an address such as s3://bucket/old.mp4.
        destination: its extension names the container. It appears when it is whole, or not at all.
        model: a model of your own runs in this process.
        strength: 0..1, blend weight of the restored face.
        faces: number of faces to restore per frame.
        device: of the networks: auto, cpu, cuda or cuda:N.
        lossless: encode with FFV1; the destination must be .mkv.
        runtime: auto, ray, or local for this process alone.
        address: of a running Ray cluster.
        overwrite: replace the destination if it exists.
        config: all other options.
        on_progress: called a few times a second.

    Returns:
        What was done, including all that could not be kept.

    Raises:
        VidrestoreError: one line that says what came, what was wanted and what to do.

    Example:
        ```python
        report = vidrestore.restore_video("old.mp4", "new.mp4", strength=0.6, faces="largest")
        ```
    """
    pipeline = _pipeline(model, strength, faces, device, lossless)
    job = _job(config or JobConfig(), pipeline, model, runtime, address, overwrite)
    return jobs.restore_video(source, destination, job, on_progress=on_progress, open_pool=_own_pool(model, job))


def restore_videos(
    sources: Sequence[str | Path],
    destination: str | Path,
    *,
    model: Model | None = None,
    strength: float | None = None,
    faces: Faces | None = None,
    device: str | None = None,
    lossless: bool | None = None,
    runtime: Runtime | None = None,
    address: str | None = None,
    workers: int | None = None,
    overwrite: bool | None = None,
    config: BatchConfig | None = None,
    on_progress: OnProgress | None = None,
) -> JobReport:
    """Restore many videos, or long ones, on this machine or a cluster; call it again to continue after a crash.

    Args:
        sources: files, folders, patterns and addresses in stores.
        destination: folder, or address in a store, in which each video's place is that below its source.
        model: see `restore_video`, as for the options that are not here.
        strength: as in `restore_video`.
        faces: as in `restore_video`.
        device: as in `restore_video`.
        lossless: as in `restore_video`.
        runtime: as in `restore_video`.
        address: as in `restore_video`.
        workers: videos and segments under way at a time, at most; 0: as many as there is room for.
        overwrite: replace files that this job did not make.
        config: all other options.
        on_progress: called a few times a second.

    Returns:
        What was done, video by video; one that failed is in it and does not stop the others.

    Raises:
        VidrestoreError: the job cannot begin or go on.
    """
    pipeline = _pipeline(model, strength, faces, device, lossless)
    job = _job(config or BatchConfig(), pipeline, model, runtime, address, overwrite)
    if workers is not None:
        job = update(job, {"workers": workers})
    addresses = [str(source) for source in sources]
    return jobs.restore_videos(
        addresses, str(destination), job, on_progress=on_progress, open_pool=_own_pool(model, job)
    )


@overload
def restore_image(
    image: UInt8,
    *,
    model: Model | None = ...,
    strength: float | None = ...,
    faces: Faces | None = ...,
    device: str | None = ...,
    config: RestoreConfig | None = ...,
) -> UInt8: ...
@overload
def restore_image(
    image: Sequence[UInt8],
    *,
    model: Model | None = ...,
    strength: float | None = ...,
    faces: Faces | None = ...,
    device: str | None = ...,
    config: RestoreConfig | None = ...,
) -> list[UInt8]: ...
def restore_image(
    image: UInt8 | Sequence[UInt8],
    *,
    model: Model | None = None,
    strength: float | None = None,
    faces: Faces | None = None,
    device: str | None = None,
    config: RestoreConfig | None = None,
) -> UInt8 | list[UInt8]:
    """Restore the faces in an image, or in each of several, which have nothing to do with each other.

    To restore images now and then, keep a `Restorer`: it loads the networks once.

    Args:
        image: uint8 [H, W, 3], R'G'B', or a list of such.
        model: see `restore_video`, as for the options that are not here.
        strength: as in `restore_video`.
        faces: as in `restore_video`.
        device: as in `restore_video`.
        config: all other options.

    Returns:
        New arrays of the same shape; pixels away from faces are unchanged.

    Raises:
        InputError: an array has another shape or type.
    """
    with Restorer(config, model=model, strength=strength, faces=faces, device=device) as restorer:
        if isinstance(image, np.ndarray):
            return restorer.restore_image(image)
        return [restorer.restore_image(one) for one in image]


class Restorer:
    """The pipeline, with its networks loaded, for any iterable of frames; use it as a context manager.

    Args:
        config: of the pipeline.
        model: see `restore_video`, as for the others.
        strength: as in `restore_video`.
        faces: as in `restore_video`.
        device: as in `restore_video`.

    Example:
        ```python
        with vidrestore.open_video("old.mp4") as video, vidrestore.Restorer() as restorer:
            for frame in restorer(video):
                rgb = vidrestore.to_rgb(frame)
        ```
    """

    def __init__(
        self,
        config: RestoreConfig | None = None,
        *,
        model: Model | None = None,
        strength: float | None = None,
        faces: Faces | None = None,
        device: str | None = None,
    ) -> None:
        self.config = update(config or RestoreConfig(), _pipeline(model, strength, faces, device))
        self._model = model
        self._models: InferenceModels | None = None

    def __enter__(self) -> Self:
        self._models = _load(self._model, self.config)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._models = None

    def __call__(self, frames: Iterable[Frame]) -> Iterator[Frame]:
        """Restore the faces in a stream of frames, in presentation order; lazy.

        Returns:
            As many frames, in the same order, with the same times; those without faces are the same objects.
        """
        if self._models is None:
            raise ConfigError("the restorer is not open; use it as a context manager: with Restorer() as restorer")
        return restore_frames(frames, self._models, self.config, Recorder())

    def restore_image(self, image: UInt8) -> UInt8:
        """Restore the faces in one image, uint8 [H, W, 3], R'G'B'; see the function of the same name."""
        array = np.asarray(image)
        if array.dtype != np.uint8 or array.ndim != 3 or array.shape[2] != 3:  # noqa: PLR2004
            raise InputError(f"the image is {array.dtype} {list(array.shape)}; give uint8 [height, width, 3] RGB")
        height, width, _ = array.shape
        planes = (np.ascontiguousarray(array),)
        (restored,) = self([Frame(0, 0, Fraction(1, 25), 1, width, height, "rgb24", planes)])
        return np.asarray(restored.planes[0], np.uint8).copy()


class LiveStream:
    """A live stream that is restored while the context lasts, in threads of this process.

    Args:
        source: address of a camera or server, or a file.
        destinations: where it goes: addresses, files (recordings) or folders (HLS).
        config: all options.
        on_event: called with one line, without secrets, for each change.

    Raises:
        ConfigError: an address cannot be meant.

    Example:
        ```python
        with vidrestore.LiveStream("rtsp://camera/live", ["rtsp://server/restored", "camera.mkv"]) as stream:
            stream.wait(10)
            print(stream.status())
        ```
    """

    def __init__(
        self,
        source: str | Path,
        destinations: Sequence[str | Path],
        *,
        config: StreamConfig | None = None,
        on_event: Callable[[str], None] = lambda _: None,
    ) -> None:
        from vidrestore.runtime.streams import StreamSpec  # noqa: PLC0415  torch, which jobs load while they read

        self._config = config or StreamConfig()
        self._spec = StreamSpec("stream", str(source), tuple(map(str, destinations)), self._config)
        self._spec.check()
        self._on_event = on_event
        self._resources = ExitStack()

    def __enter__(self) -> Self:
        from vidrestore.runtime.streams import LocalStreamRunner  # noqa: PLC0415  as above

        runner = LocalStreamRunner(self._config.restore, lambda _, message: self._on_event(message))
        with ExitStack() as stack:
            self._stream = stack.enter_context(runner).start(self._spec)
            stack.callback(self._stream.join, 30)
            stack.callback(self._stream.stop)
            self._resources = stack.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._resources.close()
        if kind is None and self._stream.problem is not None:
            raise self._stream.problem

    @property
    def running(self) -> bool:
        """Whether it is under way; a source that ended, or failed for good, ends it."""
        return self._stream.running()

    def wait(self, seconds: float) -> bool:
        """Wait until it ends, at most so long; whether it is still under way."""
        deadline = time.monotonic() + seconds
        while self.running and time.monotonic() < deadline:
            time.sleep(min(0.1, max(0.0, deadline - time.monotonic())))
        return self.running

    def status(self) -> StreamStatus:
        """Describe it at this moment."""
        return self._stream.status()

    def preview(self) -> bytes | None:
        """Return the latest frame before and after as one JPEG; None before the first."""
        return self._stream.preview()


def open_video(path: str | Path) -> VideoReader:
    """Open a video for reading: a context manager to iterate over once; `info` describes it.

    Raises:
        InputError: on entering, it is no readable video.
    """
    return VideoReader(path)


def to_rgb(frame: Frame) -> UInt8:
    """Return a frame as uint8 [height, width, 3], R'G'B', as it is stored: not rotated, pixels as they are."""
    return region_to_rgb(frame, Box(0, 0, frame.width, frame.height))


def degrade_video(
    source: str | Path,
    destination: str | Path,
    *,
    preset: str = "mixed",
    seed: int = 0,
    overwrite: bool = False,
    config: DegradeConfig | None = None,
) -> DegradeReport:
    """Give a video the damage of an archive: film, tape or a codec, the same for the same seed.

    Args:
        source: a progressive video.
        destination: its extension names the container.
        preset: name of a medium, such as vhs, film16 or lowbitrate.
        seed: what all damage follows from.
        overwrite: replace the destination if it exists.
        config: all options, in place of those above.

    Raises:
        VidrestoreError: one line that says what came, what was wanted and what to do.
    """
    chosen = config or DegradeConfig(profile=profile_preset(preset), seed=seed, overwrite=overwrite)
    return degradation.degrade_video(source, destination, chosen)


def _job(
    config: Job,
    pipeline: dict[str, Any],
    model: Model | None,
    runtime: str | None,
    address: str | None,
    overwrite: bool | None,  # noqa: FBT001  None: as the configuration says
) -> Job:
    if isinstance(model, FaceModel):
        if runtime == "ray" or address:
            raise ConfigError("a model of your own runs in this process; leave out runtime and address")
        runtime = "local"
    chosen = {"restore": pipeline, "ray": {"address": address}, "runtime": runtime, "overwrite": overwrite}
    return update(config, given(chosen))


def _pipeline(
    model: Model | None,
    strength: float | None,
    faces: Faces | None,
    device: str | None,
    lossless: bool | None = None,  # noqa: FBT001  None: as the configuration says
) -> dict[str, Any]:
    count = FACE_COUNTS.get(faces, faces) if isinstance(faces, str) else faces
    if isinstance(count, str):
        raise ConfigError(f"faces is {faces!r}; use all, largest or a number")
    name = None if isinstance(model, FaceModel) or model is None else str(model)
    chosen: dict[str, Any] = {
        "restorer": {"model": name, "device": device},
        "detector": {"device": device},
        "compositor": {"strength": strength},
        "selection": {"max_faces": count},
        "encode": {"lossless": lossless},
    }
    return given(chosen)


def _load(model: Model | None, config: RestoreConfig) -> InferenceModels:
    from vidrestore.inference.local import load_models  # noqa: PLC0415  torch; jobs load it while they read the source

    models, _ = load_models(config)
    if not isinstance(model, FaceModel):
        return models
    return replace(
        models,
        restorer=Inline(model),
        crop_size=model.crop_size,
        batch_size=model.batch_size,
        encoder=None,
        styled_restorer=None,
        clips=None,
    )


def _own_pool(model: Model | None, config: JobConfig) -> PoolFactory | None:
    if not isinstance(model, FaceModel):
        return None
    return lambda: LocalWorkerPool(_load(model, config.restore), model.name)
