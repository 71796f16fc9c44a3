"""The face worker, in any process: it holds the networks and joins the requests of many callers.

Importing this module imports no torch: the driver and the segment workers know the class, and have no use for networks.
"""

# ruff: noqa: PLC0415  as said above

import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Self, TypeVar

from vidrestore.inference.allocator import keep_freed_memory
from vidrestore.inference.batcher import DynamicBatcher
from vidrestore.restoration.clips.clip import FaceClip, RestoredClip
from vidrestore.restoration.config import RestoreConfig
from vidrestore.stages import BatchStage
from vidrestore.types import Detection, Float32, StyledCrop, UInt8

if TYPE_CHECKING:
    from vidrestore.models.visibility import FaceVisibility
    from vidrestore.restoration.face.restorer import FaceRestorer

In = TypeVar("In")
Out = TypeVar("Out")


@dataclass(frozen=True, slots=True)
class ModelInfo:
    """Description of what a face worker has loaded."""

    crop_size: int
    batch_size: int
    model_sha256: str
    model: str = ""
    """Name or path of the weights."""
    restores_clips: bool = False
    """Whether it takes clips of crops (see `restoration.clips`)."""

    @classmethod
    def of(cls, restorer: "FaceRestorer") -> Self:
        """Describe a restorer."""
        from vidrestore.restoration.clips.restorer import works_in_clips

        return cls(
            restorer.crop_size,
            restorer.batch_size,
            restorer.model_sha256,
            restorer.config.model,
            works_in_clips(restorer),
        )


class InferenceWorker:
    """Holds the detector and GFP-GAN; its methods are coroutines that any number of segment workers call.

    The networks are loaded by the first call, not by the constructor: an error there would reach the caller as the
    death of the worker instead of as that error.

    Args:
        config: options of every stage.
        workers_per_host: number of face workers that share the cores of this host.
        max_delay_seconds: how long a batch that is not full waits for other requests.
    """

    def __init__(self, config: RestoreConfig, *, workers_per_host: int, max_delay_seconds: float) -> None:
        import torch

        keep_freed_memory()
        # Ray sets OMP_NUM_THREADS to an actor's num_cpus: one thread would be slow, and give other bits.
        # Before any network runs: after a restart either may be the first, and each must find the same number.
        threads = config.restorer.threads or max(2, len(os.sched_getaffinity(0)) // workers_per_host)
        torch.set_num_threads(threads)
        self._config = replace(config, restorer=replace(config.restorer, threads=threads))
        self._wait_seconds = max_delay_seconds
        self._one_at_a_time = ThreadPoolExecutor(1, thread_name_prefix="networks")

    @cached_property
    def _restorer(self) -> "FaceRestorer":
        from vidrestore.restoration.face.restorer import FaceRestorer

        return FaceRestorer(self._config.restorer)

    @cached_property
    def _restore(self) -> DynamicBatcher[UInt8, UInt8]:
        return self._joining(self._restorer, full=self._restorer.batch_size, threads=self._for_faces)

    @cached_property
    def _for_faces(self) -> ThreadPoolExecutor:
        """Thread in which faces are restored."""
        return self._one_at_a_time

    @cached_property
    def _encode(self) -> DynamicBatcher[UInt8, Float32]:
        return self._joining(self._restorer.encode, full=self._restorer.batch_size)

    @cached_property
    def _restore_coded(self) -> DynamicBatcher[StyledCrop, UInt8]:
        return self._joining(self._restorer.restore_coded, full=self._restorer.batch_size)

    @cached_property
    def _detect(self) -> DynamicBatcher[UInt8, tuple[Detection, ...]]:
        from vidrestore.faces.detector import FaceDetector

        return self._joining(
            FaceDetector(self._config.candidate_detector),
            full=self._config.detection.batch_size,
            threads=self._for_detection,
        )

    @cached_property
    def _for_detection(self) -> ThreadPoolExecutor:
        """Thread in which faces are found: a GPU does so while it restores a clip, which takes long."""
        on_cpu = self._restorer.device.type == "cpu"
        return self._one_at_a_time if on_cpu else ThreadPoolExecutor(1, thread_name_prefix="detection")

    @cached_property
    def _visibility(self) -> "FaceVisibility":
        from vidrestore.models.visibility import FaceVisibility

        return FaceVisibility(self._config.restorer.device)

    @cached_property
    def _see(self) -> DynamicBatcher[UInt8, UInt8]:
        return self._joining(self._visibility, full=self._restorer.batch_size)

    @cached_property
    def _restore_clips(self) -> DynamicBatcher[FaceClip, RestoredClip]:
        from vidrestore.restoration.clips.restorer import ClipRestorer

        # a clip fills the device by itself: none waits for others
        return self._joining(ClipRestorer(self._restorer, self._visibility, self._config), full=1)

    def _joining(
        self, stage: BatchStage[In, Out], *, full: int, threads: ThreadPoolExecutor | None = None
    ) -> DynamicBatcher[In, Out]:
        return DynamicBatcher(stage, threads or self._one_at_a_time, full=full, max_delay_seconds=self._wait_seconds)

    async def ready(self) -> bool:
        """Return True: the worker has been placed."""
        return True

    async def describe(self) -> ModelInfo:
        """Load what is not loaded yet, downloading it if necessary, and describe it."""
        _ = self._restore, self._detect, self._see
        return ModelInfo.of(self._restorer)

    async def batches(self) -> dict[str, tuple[int, int]]:
        """Return calls of each network so far, and items in them."""
        loaded = {name: self.__dict__.get(name) for name in ("_detect", "_see", "_restore", "_restore_clips")}
        return {name.strip("_"): (one.calls, one.items) for name, one in loaded.items() if one is not None}

    async def network_seconds(self) -> float:
        """Return the time for which the networks have run so far."""
        stages = [value for value in self.__dict__.values() if isinstance(value, DynamicBatcher)]
        return sum(stage.seconds for stage in stages)

    async def detect(self, previews: list[UInt8]) -> Sequence[tuple[Detection, ...]]:
        """Find faces in previews."""
        return await self._detect(previews)

    async def restore(self, crops: list[UInt8]) -> Sequence[UInt8]:
        """Restore crops."""
        return await self._restore(crops)

    async def see(self, crops: list[UInt8]) -> Sequence[UInt8]:
        """Predict where faces are seen."""
        return await self._see(crops)

    async def restore_clips(self, clips: list[FaceClip]) -> Sequence[RestoredClip]:
        """Restore clips of crops."""
        return await self._restore_clips(clips)

    async def encode(self, crops: list[UInt8]) -> Sequence[Float32]:
        """Compute the style codes of crops."""
        return await self._encode(crops)

    async def restore_coded(self, coded: list[StyledCrop]) -> Sequence[UInt8]:
        """Restore crops with given style codes."""
        return await self._restore_coded(coded)


class LiveInferenceWorker(InferenceWorker):
    """Face worker for live streams, with the least delay.

    Crops do not wait for a batch to fill: while a network is busy they gather anyway, and otherwise it has time for one
    alone. On a CPU, fast requests do not wait until the restoration of a face is done.
    """

    def __init__(self, config: RestoreConfig, *, workers_per_host: int, max_delay_seconds: float = 0.0) -> None:
        del max_delay_seconds
        super().__init__(config, workers_per_host=workers_per_host, max_delay_seconds=0.0)

    @cached_property
    def _for_faces(self) -> ThreadPoolExecutor:
        on_cpu = self._restorer.device.type == "cpu"
        return ThreadPoolExecutor(1, thread_name_prefix="faces") if on_cpu else self._one_at_a_time
