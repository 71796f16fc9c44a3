"""Streams without networks: what is tested here is everything around them."""

import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future
from pathlib import Path
from typing import Any

import pytest

from vidrestore.benchmark.rtsp_relay import RtspRelay
from vidrestore.config import update
from vidrestore.engine import Parts
from vidrestore.live.addresses import parse_source, parse_target
from vidrestore.live.guard import GuardCounts
from vidrestore.live.stream import LiveStream, StreamConfig
from vidrestore.runtime.face_answers import live_parts
from vidrestore.runtime.workers import Description


def answered(value: Sequence[Any]) -> Future[Sequence[Any]]:
    future: Future[Sequence[Any]] = Future()
    future.set_result(value)
    return future


class FakeWorker:
    """Finds nothing, after as much time as it is told to take."""

    def __init__(self) -> None:
        self.seconds = 0.0
        self.broken = False

    def ask(self, method: str, batch: Sequence[Any]) -> Future[Sequence[Any]]:
        if self.broken:
            raise RuntimeError("the worker is gone")
        time.sleep(self.seconds)
        return answered([() if method == "detect" else item for item in batch])


def parts_of(worker: FakeWorker, config: StreamConfig, counts: GuardCounts) -> Parts:
    return live_parts(worker.ask, Description(crop_size=64, batch_size=1, model_sha256=""), config, counts)


@pytest.fixture
def relay() -> Iterator[RtspRelay]:
    with RtspRelay() as server:
        yield server


@pytest.fixture
def worker() -> FakeWorker:
    return FakeWorker()


@pytest.fixture
def make_stream(worker: FakeWorker) -> Callable[..., LiveStream]:
    """Build a stream from a source to targets, with options as `update` takes them."""

    def make(
        address: str | Path, /, *targets: str | Path, events: list[str] | None = None, **options: Any
    ) -> LiveStream:
        config = update(StreamConfig(), {"restore": {"look": {"interval_seconds": 0}}})
        config = update(config, options)
        counts = GuardCounts()
        return LiveStream(
            "test",
            parse_source(str(address)),
            [parse_target(str(target)) for target in targets],
            config,
            parts_of(worker, config, counts),
            workers=counts,
            on_event=(events if events is not None else []).append,
        )

    return make
