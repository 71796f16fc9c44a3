"""Faces that a medium damaged, drawn ahead by other processes."""

import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import psutil
import pytest
import torch

from vidrestore.errors import ConfigError, InputError, WorkerError
from vidrestore.training.data.dataset import FaceBatches, FaceFolder
from vidrestore.training.data.medium_mix import MediumMixConfig
from vidrestore.types import Float64

pytestmark = pytest.mark.integration

MIX = MediumMixConfig(share=0.5, preset="film16", frames=3, workers=1)


@pytest.fixture
def batches(faces: FaceFolder) -> Iterator[FaceBatches]:
    with FaceBatches(faces, batch=4, seed=3, device="cpu", medium_mix=MIX) as found:
        yield found


def errors(shown: torch.Tensor, truth: torch.Tensor) -> Float64:
    """Mean absolute difference of each pair, in grey levels."""
    return np.asarray((shown.float() - truth.float()).abs().mean(dim=(1, 2, 3)), np.float64)


def test_twins_are_the_first_faces_of_their_batch_damaged_and_in_their_place(batches: FaceBatches) -> None:
    for step in (0, 1, 2):
        batch = batches.batch_at(step)
        assert batch.twins is not None
        assert (batch.twins.shape, batch.twins.dtype) == ((2, 3, 64, 64), torch.uint8)
        own = errors(batch.twins, batch.images[:2])
        assert (own > 0.3).all()
        assert (own < 0.9 * errors(batch.twins, batch.images[2:])).all()
        assert (own < errors(batch.twins, batch.images[:2].flip(-1))).all()


def test_a_step_has_the_same_twins_whenever_it_is_asked_for(batches: FaceBatches, faces: FaceFolder) -> None:
    first, later, again = (batches.batch_at(step).twins for step in (5, 9, 5))
    assert first is not None
    assert later is not None
    assert again is not None
    assert torch.equal(first, again)
    assert not torch.equal(first, later)
    with FaceBatches(
        faces, batch=4, seed=3, device="cpu", medium_mix=replace(MIX, workers=2), cache="memory"
    ) as others:
        other = others.batch_at(5).twins
        assert other is not None
        assert torch.equal(first, other)


def twins_of(faces: FaceFolder, *, seed: int = 3, rank: int = 0) -> torch.Tensor:
    """Of one face alone, never mirrored: only the damage can differ."""
    alone = replace(faces, names=faces.names[:1], landmarks=faces.landmarks[:1], sides=faces.sides[:1])
    options = {"seed": seed, "rank": rank, "world": 2, "flip": False}
    with FaceBatches(alone, batch=1, device="cpu", medium_mix=replace(MIX, share=1), **options) as batches:  # type: ignore[arg-type]
        twins = batches.batch_at(0).twins
        assert twins is not None
        return twins


def test_ranks_and_seeds_draw_other_damage(faces: FaceFolder) -> None:
    first = twins_of(faces)
    assert torch.equal(first, twins_of(faces))
    assert not torch.equal(first, twins_of(faces, rank=1))
    assert not torch.equal(first, twins_of(faces, seed=4))


def test_a_look_at_the_truth_alone_leaves_the_videos_where_they_are(batches: FaceBatches) -> None:
    assert batches.batch_at(0, twins=False).twins is None
    assert batches._feed is not None
    assert not batches._feed._ahead._pending


def test_a_process_that_dies_is_told_as_such(batches: FaceBatches) -> None:
    batches.batch_at(0)
    assert batches._feed is not None
    pool = batches._feed._pool
    manager = pool._executor_manager_thread
    for process in [*pool._processes.values()]:
        process.kill()
        process.join()
    # until the pool has noticed: a future that is cancelled meanwhile ends the pool's own thread with an error
    manager.join(30)
    with pytest.raises(WorkerError, match=r"draws video damage died.*medium_mix\.workers"):
        batches.batch_at(1000)


def test_processes_end_with_the_one_that_wants_them_even_if_it_is_killed(faces: FaceFolder, tmp_path: Path) -> None:
    script = tmp_path / "train.py"
    script.write_text(
        "import sys, time\n"
        "from pathlib import Path\n"
        "from vidrestore.training.data.dataset import FaceBatches, open_face_folder\n"
        "from vidrestore.training.data.medium_mix import MediumMixConfig\n"
        "if __name__ == '__main__':\n"
        "    medium_mix = MediumMixConfig(share=0.5, frames=2, workers=1)\n"
        "    faces = open_face_folder(Path(sys.argv[1]), size=64)\n"
        "    batches = FaceBatches(faces, batch=4, seed=0, device='cpu', medium_mix=medium_mix)\n"
        "    batches.batch_at(0)\n"
        "    print(*batches._feed._pool._processes, flush=True)\n"
        "    time.sleep(60)\n"
    )
    with subprocess.Popen([sys.executable, script, faces.folder], stdout=subprocess.PIPE, text=True) as trainer:
        assert trainer.stdout is not None
        children = [psutil.Process(int(pid)) for pid in trainer.stdout.readline().split()]
        assert len(children) == 1
        trainer.kill()
        assert not psutil.wait_procs(children, timeout=20)[1]


def test_a_batch_has_no_twins_unless_they_are_asked_for(faces: FaceFolder) -> None:
    with FaceBatches(faces, batch=4, seed=3, device="cpu") as plain:
        assert plain.batch_at(0).twins is None


def test_a_picture_that_cannot_be_read_stops_the_training_with_its_name(faces: FaceFolder) -> None:
    gone = replace(faces, names=("gone.png", *faces.names[1:]))
    with FaceBatches(faces, batch=4, seed=3, device="cpu", cache="memory", medium_mix=MIX) as batches:
        assert batches._feed is not None
        batches._feed._paths = [gone.folder / "gone.png"] * len(gone)
        with pytest.raises(InputError, match=r"gone\.png cannot be read"):
            batches.batch_at(0)


@pytest.mark.parametrize(("share", "batch", "count"), [(0.15, 64, 10), (0.6, 1, 1), (1.0, 8, 8)])
def test_a_share_is_whole_faces(share: float, batch: int, count: int) -> None:
    assert MediumMixConfig(share=share).count(batch) == count


def test_a_share_of_less_than_half_a_face_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"medium_mix\.share is 0\.15 of the 3 faces .* give 0\.33 or more"):
        MediumMixConfig().count(3)


@pytest.mark.parametrize(
    ("changed", "named"),
    [({"share": 0.0}, "share"), ({"share": 1.1}, "share"), ({"frames": 0}, "frames"), ({"workers": -1}, "workers")],
)
def test_an_impossible_feed_is_refused_by_name(changed: dict[str, object], named: str) -> None:
    with pytest.raises(ConfigError, match=named):
        MediumMixConfig(**changed)  # type: ignore[arg-type]


def test_an_unknown_medium_is_refused_before_the_training_starts(faces: FaceFolder) -> None:
    with pytest.raises(ConfigError, match="'beta' is unknown; give one of vhs"):
        FaceBatches(faces, batch=4, seed=3, device="cpu", medium_mix=replace(MIX, preset="beta"))
