"""Face workers for live streams: one batch at a time, and a neutral result in place of an error."""

import asyncio
import threading
from collections.abc import Callable, Coroutine, Sequence
from concurrent.futures import Future
from types import TracebackType
from typing import Any, Self

import numpy as np

from vidrestore.inference.worker import LiveInferenceWorker, ModelInfo
from vidrestore.live.config import StreamConfig
from vidrestore.live.fallback import FallbackExecutor, GuardCounts
from vidrestore.models.visibility import MASK_SIDE
from vidrestore.restoration.config import RestoreConfig
from vidrestore.restoration.pipeline import InferenceModels
from vidrestore.types import Detection, UInt8

Submit = Callable[[str, Sequence[Any]], Future[Sequence[Any]]]
"""Sends a batch to a method of a face worker."""


def live_models(submit: Submit, description: ModelInfo, config: StreamConfig, counts: GuardCounts) -> InferenceModels:
    """Return the executors of one stream.

    Where the network fails, an image has no faces, a face stays as it is, and nothing of it counts as visible.
    """

    def guarded(method: str, neutral: Callable[[Any], Any]) -> FallbackExecutor[Any, Any]:
        return FallbackExecutor(
            lambda batch: submit(method, batch),
            neutral,
            patience_seconds=config.worker_timeout_seconds,
            rest_seconds=config.worker_timeout_seconds,
            counts=counts,
        )

    return InferenceModels(
        detector=guarded("detect", _no_faces),
        restorer=guarded("restore", _as_it_is),
        crop_size=description.crop_size,
        batch_size=1,
        visibility=guarded("see", _nothing_shown),
    )


class LocalInference:
    """A face worker in this process, shared by all streams: their crops join into common batches.

    Use as a context manager.
    """

    def __init__(self, config: RestoreConfig) -> None:
        self._loop = asyncio.new_event_loop()
        self._worker = LiveInferenceWorker(config, workers_per_host=1)
        self._thread = threading.Thread(target=self._loop.run_forever, name="face worker", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        self.description: ModelInfo = self._send(self._worker.describe()).result()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def submit(self, method: str, batch: Sequence[Any]) -> Future[Sequence[Any]]:
        """Send a batch to the worker."""
        return self._send(getattr(self._worker, method)(list(batch)))

    def batches(self) -> dict[str, tuple[int, int]]:
        """Return calls of each network so far, and items in them."""
        found: dict[str, tuple[int, int]] = self._send(self._worker.batches()).result()
        return found

    def _send(self, work: Coroutine[Any, Any, Any]) -> Future[Any]:
        return asyncio.run_coroutine_threadsafe(work, self._loop)


def _no_faces(_: UInt8) -> tuple[Detection, ...]:
    return ()


def _as_it_is(crop: UInt8) -> UInt8:
    return crop


def _nothing_shown(_: UInt8) -> UInt8:
    return np.zeros((MASK_SIDE, MASK_SIDE), np.uint8)
