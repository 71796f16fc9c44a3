"""A face worker without Ray."""

import asyncio
import threading
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import pytest
import torch
from skimage.data import astronaut

from vidrestore.errors import ModelError
from vidrestore.faces.config import DetectorConfig
from vidrestore.faces.detector import FaceDetector
from vidrestore.inference.worker import InferenceWorker, LiveInferenceWorker, ModelInfo
from vidrestore.restoration.config import RestoreConfig, RestorerConfig
from vidrestore.restoration.face.restorer import FaceRestorer
from vidrestore.types import UInt8

pytestmark = pytest.mark.integration


@pytest.fixture(autouse=True)
def _threads() -> Iterator[None]:
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


def test_whatever_runs_first_runs_on_the_same_number_of_threads() -> None:
    torch.set_num_threads(1)
    InferenceWorker(RestoreConfig(), workers_per_host=1000, max_delay_seconds=0.001)
    assert torch.get_num_threads() == 2, "one thread gives other bits; a restarted worker may detect first"


def test_it_gives_what_the_networks_give() -> None:
    worker = InferenceWorker(RestoreConfig(), workers_per_host=1, max_delay_seconds=0.001)
    picture = np.ascontiguousarray(astronaut()[:256, :448])
    crop = np.ascontiguousarray(astronaut()[:256, 96:352])

    async def ask() -> tuple[Any, ...]:
        return await asyncio.gather(worker.detect([picture]), worker.restore([crop]), worker.describe())

    faces, restored, description = asyncio.run(ask())
    restorer = FaceRestorer()
    assert description == ModelInfo(
        restorer.crop_size, restorer.batch_size, restorer.model_sha256, restorer.config.model
    )
    assert np.array_equal(restored[0], restorer([crop])[0])
    (expected,) = FaceDetector()([picture])
    assert [face.score for face in faces[0]] == [face.score for face in expected] != []


def test_an_unknown_model_is_an_error_of_the_call_and_not_of_the_worker() -> None:
    worker = InferenceWorker(
        RestoreConfig(restorer=RestorerConfig(model="none")), workers_per_host=1, max_delay_seconds=0.001
    )
    assert asyncio.run(worker.ready())
    with pytest.raises(ModelError, match="unknown model 'none'"):
        asyncio.run(worker.describe())


def test_on_a_cpu_no_quick_question_of_a_live_stream_waits_for_a_face(monkeypatch: pytest.MonkeyPatch) -> None:
    told = threading.Event()

    def restore(_: FaceRestorer, crops: Sequence[UInt8]) -> list[UInt8]:
        assert told.wait(20), "the faces were told only after this"
        return list(crops)

    monkeypatch.setattr(FaceRestorer, "__call__", restore)
    config = RestoreConfig(detector=DetectorConfig(device="cpu"), restorer=RestorerConfig(device="cpu"))
    worker = LiveInferenceWorker(config, workers_per_host=1)
    picture = np.ascontiguousarray(astronaut()[:256, :448])

    async def ask() -> tuple[int, int]:
        restored = asyncio.create_task(worker.restore([np.ascontiguousarray(astronaut()[:256, 96:352])]))
        await asyncio.sleep(0)
        (faces,) = await worker.detect([picture])
        told.set()
        return len(faces), len(await restored)

    assert asyncio.run(ask()) == (1, 1)
