from collections.abc import Callable
from pathlib import Path

import av
import numpy as np
import pytest

from benchmarks.checks import check_networks, require
from benchmarks.reference import Faces, ReferenceFlow
from benchmarks.results import Run
from vidrestore.models import zoo
from vidrestore.restoration.config import RestorerConfig

pytestmark = [pytest.mark.integration, pytest.mark.nightly]

STAGES = ["decode", "detect", "align", "restore", "composite", "encode", "open and close"]
Restored = tuple[Run, list[Faces], Path]


@pytest.fixture(scope="module")
def video(make_portrait_video: Callable[..., Path]) -> Path:
    return make_portrait_video(frames=3, blur=2)


@pytest.fixture(scope="module")
def flow() -> ReferenceFlow:
    return ReferenceFlow(zoo.resolve("embedded"))


@pytest.fixture(scope="module")
def restored(flow: ReferenceFlow, video: Path, tmp_path_factory: pytest.TempPathFactory) -> Restored:
    destination = tmp_path_factory.mktemp("reference") / "restored.mp4"
    run, faces = flow.run(video, destination, frames=2)
    return run, faces, destination


def pictures(path: Path) -> list[np.ndarray]:
    with av.open(str(path)) as container:
        return [frame.to_ndarray(format="rgb24").astype(float) for frame in container.decode(video=0)]


def test_every_stage_is_timed_and_the_face_of_each_frame_found(restored: Restored) -> None:
    run, faces, destination = restored
    assert list(run.stage_seconds) == STAGES
    assert (run.frames, run.faces, [len(found) for found in faces]) == (2, 2, [1, 1])
    assert sum(run.stage_seconds.values()) == pytest.approx(run.seconds)
    assert len(pictures(destination)) == 2


def test_the_face_changes_and_the_rest_stays(restored: Restored, video: Path) -> None:
    _, faces, destination = restored
    changed = np.abs(pictures(destination)[0] - pictures(video)[0])
    left, top, right, bottom = faces[0][0][:4].astype(int)
    inside, outside = changed[top:bottom, left:right], changed[:, : left - 80]
    assert inside.mean() > 2 * outside.mean()


def test_its_network_computes_what_our_restorer_computes(flow: ReferenceFlow, video: Path) -> None:
    crops = flow.crops(video, frames=1)
    assert [crop.shape for crop in crops] == [(flow.crop_size, flow.crop_size, 3)]
    fp32, mean, psnr = require(check_networks(flow, RestorerConfig(device="cpu"), crops))
    assert fp32.value <= 1
    assert mean.value < psnr.value


def test_as_shipped_it_works_more_and_uses_the_faces_it_was_given(
    restored: Restored, video: Path, tmp_path: Path
) -> None:
    light, faces, _ = restored
    heavy = ReferenceFlow(zoo.resolve("embedded"), known_faces=faces)
    run, used = heavy.run(video, tmp_path / "restored.mp4", frames=1)
    np.testing.assert_array_equal(used[0], faces[0])
    assert run.frames == 1
    assert run.stage_seconds["composite"] > light.stage_seconds["composite"] / light.frames
