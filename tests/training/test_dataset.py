"""A folder of aligned faces, and the batches of it: the same whichever way they are kept and shared out."""

import subprocess
import sys
from collections.abc import Callable
from itertools import chain
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from vidrestore.errors import ConfigError, InputError
from vidrestore.faces.alignment import TEMPLATE
from vidrestore.faces.landmark_table import FaceLandmarks, read_landmarks, write_landmarks
from vidrestore.training.data.dataset import FaceBatches, FaceFolder, open_face_folder
from vidrestore.training.data.image_file import image_size

SIZE = 32
CACHES = ["device", "memory", "disk"]


def draw(path: Path, index: int, side: int = SIZE) -> None:
    """A ramp to the right, so that a mirror image differs, and a level that tells the faces apart."""
    picture = np.zeros((side, side, 3), np.uint8)
    picture[..., 0] = np.linspace(0, 200, side, dtype=np.uint8)
    picture[..., 2] = index
    path.parent.mkdir(exist_ok=True)
    assert cv2.imwrite(str(path), picture)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """23 faces, some in a folder below, one without landmarks."""
    names = [f"face{index:02}.png" if index % 5 else f"below/face{index:02}.png" for index in range(23)]
    for index, name in enumerate(names):
        draw(tmp_path / name, index)
    rng = np.random.default_rng(3)
    write_landmarks(
        tmp_path / "landmarks.csv",
        {name: FaceLandmarks(rng.uniform(2, SIZE - 2, (5, 2)).astype(np.float32), 0.9) for name in names[:-1]},
    )
    return tmp_path


@pytest.fixture
def faces(folder: Path) -> FaceFolder:
    return open_face_folder(folder, size=SIZE, held_out_share=0)


def test_a_folder_is_listed_and_what_lacks_landmarks_is_counted(folder: Path, faces: FaceFolder) -> None:
    assert len(faces) == len(set(faces.names)) == 23
    assert "below/face05.png" in faces.names
    assert list(faces.names) == sorted(faces.names)
    assert faces.without_landmarks == 1
    lone = faces.names.index("face22.png")
    np.testing.assert_allclose(faces.landmarks[lone], TEMPLATE * SIZE - 0.5, rtol=1e-6)
    assert faces.landmarks[0] == pytest.approx(read_landmarks(folder / "landmarks.csv")["below/face00.png"].points)


def test_no_face_is_both_learnt_from_and_judged_with(folder: Path) -> None:
    faces = open_face_folder(folder, size=SIZE, held_out_share=0.3)
    assert 0 < len(faces.held_out) < len(faces.training)
    assert sorted(faces.training.names + faces.held_out.names) == list(faces.names)
    assert faces.training.held_out.names == ()
    for part in (faces.training, faces.held_out):
        for name, points in zip(part.names, part.landmarks, strict=True):
            assert (points == faces.landmarks[faces.names.index(name)]).all()


def test_no_person_is_on_both_sides(folder: Path) -> None:
    names = open_face_folder(folder, size=SIZE).names
    lines = [f"{Path(name).stem}.jpg,person{place % 5}" for place, name in enumerate(names[:-2])]
    (folder / "people.csv").write_text("\n".join(["file,person", *lines]) + "\n")
    faces = open_face_folder(folder, size=SIZE, held_out_share=0.5)
    assert len(faces.training)
    assert len(faces.held_out)
    assert not set(faces.training.people) & set(faces.held_out.people)
    assert faces.people[-1] == faces.names[-1]  # nobody knows who that is: the picture is a person of its own


def test_faces_added_later_leave_the_others_where_they_were(folder: Path) -> None:
    before = open_face_folder(folder, size=SIZE, held_out_share=0.3)
    for index in range(40):
        draw(folder / f"new{index}.png", index)
    after = open_face_folder(folder, size=SIZE, held_out_share=0.3)
    assert set(before.training.names) < set(after.training.names)
    assert set(before.held_out.names) < set(after.held_out.names)


def test_so_many_faces_are_a_fixed_choice_with_their_landmarks(folder: Path) -> None:
    faces = open_face_folder(folder, size=SIZE, held_out_share=0)
    some = faces.at_most(9)
    assert len(some) == 9
    assert list(some.names) == sorted(some.names)
    assert some.names != faces.names[:9]
    assert set(faces.at_most(4).names) < set(some.names)
    assert faces.at_most(23) is faces
    for name, points in zip(some.names, some.landmarks, strict=True):
        assert (points == faces.landmarks[faces.names.index(name)]).all()


def test_pictures_and_landmarks_are_brought_to_the_size(tmp_path: Path) -> None:
    draw(tmp_path / "large.png", 0, side=2 * SIZE)
    draw(tmp_path / "small.png", 0, side=SIZE // 2)
    centre = np.tile(np.float32([[SIZE - 0.5, SIZE - 0.5]]), (5, 1))
    write_landmarks(tmp_path / "landmarks.csv", {"large.png": FaceLandmarks(centre, 1.0)})
    faces = open_face_folder(tmp_path, size=SIZE, held_out_share=0)
    assert faces.enlarged == 1
    np.testing.assert_allclose(faces.landmarks[0], SIZE / 2 - 0.5)
    with FaceBatches(faces, batch=2, seed=0, device="cpu", flip=False) as batches:
        assert batches.batch_at(0).images.shape == (2, 3, SIZE, SIZE)


@pytest.mark.parametrize("suffix", ["jpg", "png", "webp"])
@pytest.mark.parametrize("shape", [(30, 40), (333, 21)])
def test_a_header_tells_the_size(tmp_path: Path, suffix: str, shape: tuple[int, int]) -> None:
    path = tmp_path / f"picture.{suffix}"
    noise = np.random.default_rng(0).integers(0, 255, (*shape, 3), np.uint8)
    for options in ([], [cv2.IMWRITE_JPEG_PROGRESSIVE, 1], [cv2.IMWRITE_WEBP_QUALITY, 50]):
        assert cv2.imwrite(str(path), noise, options)
        assert image_size(path) == (shape[1], shape[0])


def not_square(folder: Path) -> None:
    assert cv2.imwrite(str(folder / "wide.png"), np.zeros((SIZE, SIZE + 1, 3), np.uint8))


def too_small(folder: Path) -> None:
    draw(folder / "tiny.png", 0, side=SIZE // 2 - 1)


def torn(folder: Path) -> None:
    (folder / "torn.jpg").write_bytes(b"\xff\xd8\xff\xe0\x00\x10")


def text(folder: Path) -> None:
    (folder / "text.webp").write_text("not a picture")


def bad_table(folder: Path) -> None:
    with (folder / "landmarks.csv").open("a") as file:
        file.write("face22.png,0.9,1,2,3\n")


def twice(folder: Path) -> None:
    lines = (folder / "landmarks.csv").read_text().splitlines(keepends=True)
    (folder / "landmarks.csv").write_text("".join([*lines, lines[-1]]))


def no_header(folder: Path) -> None:
    (folder / "landmarks.csv").write_text("face.png,1\n")


def no_person(folder: Path) -> None:
    (folder / "people.csv").write_text("file,person\nface.png\n")


def two_people(folder: Path) -> None:
    (folder / "people.csv").write_text("file,person\nface.png,a\nface.jpg,b\n")


def other_table(folder: Path) -> None:
    (folder / "people.csv").write_text("name,who\n")


@pytest.mark.parametrize(
    ("damage", "reason"),
    [
        (no_person, "people.csv, line 2"),
        (two_people, "a second person"),
        (other_table, "wanted the header 'file,person'"),
        (not_square, "wide.png is 33x32"),
        (too_small, "tiny.png is 15x15"),
        (torn, "torn.jpg is damaged"),
        (text, "text.webp is damaged"),
        (bad_table, "landmarks.csv, line 24"),
        (twice, "a second time"),
        (no_header, "wanted the header"),
    ],
)
def test_a_set_that_is_not_right_is_refused(folder: Path, damage: Callable[[Path], None], reason: str) -> None:
    damage(folder)
    with pytest.raises(InputError, match=reason):
        open_face_folder(folder, size=SIZE)


def test_no_folder_and_no_pictures_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="is no folder"):
        open_face_folder(tmp_path / "none", size=SIZE)
    with pytest.raises(InputError, match="holds no pictures"):
        open_face_folder(tmp_path, size=SIZE)


def test_every_way_of_keeping_the_faces_gives_the_same_batches(faces: FaceFolder) -> None:
    steps = [0, 1, 2, 9, 3, 0, 17]
    drawn = {}
    for cache in CACHES:
        with FaceBatches(faces, batch=7, seed=5, device="cpu", cache=cache) as batches:
            drawn[cache] = [batches.batch_at(step) for step in steps]
    for cache in CACHES[1:]:
        for first, second in zip(drawn["device"], drawn[cache], strict=True):
            assert first.names == second.names
            assert torch.equal(first.images, second.images)
            assert torch.equal(first.landmarks, second.landmarks)


@pytest.mark.gpu
def test_a_gpu_gets_the_batches_that_the_cpu_gets(faces: FaceFolder, cuda: torch.device) -> None:
    wanted = [FaceBatches(faces, batch=7, seed=5, device="cpu").batch_at(step) for step in range(20)]
    for cache in CACHES:
        with FaceBatches(faces, batch=7, seed=5, device=cuda, cache=cache) as batches:
            given = [batches.batch_at(step) for step in range(20)]
        for first, second in zip(wanted, given, strict=True):
            assert second.images.is_cuda
            assert torch.equal(first.images, second.images.cpu())
            assert torch.equal(first.landmarks, second.landmarks.cpu())


@pytest.mark.parametrize("cache", CACHES)
def test_a_batch_holds_the_pixels_of_its_files(folder: Path, faces: FaceFolder, cache: str) -> None:
    with FaceBatches(faces, batch=9, seed=5, device="cpu", cache=cache, flip=False) as batches:
        batch = batches.batch_at(2)
    assert batch.images.dtype == torch.uint8
    for name, image, points in zip(batch.names, batch.images, batch.landmarks, strict=True):
        picture = cv2.cvtColor(cv2.imread(str(folder / name)), cv2.COLOR_BGR2RGB)
        assert (image.permute(1, 2, 0).numpy() == picture).all()
        assert (points.numpy() == faces.landmarks[faces.names.index(name)]).all()


def test_an_epoch_shows_every_face_once_over_all_ranks(faces: FaceFolder) -> None:
    ranks = [FaceBatches(faces, batch=3, seed=1, device="cpu", rank=rank, world=2) for rank in range(2)]
    drawn = list(chain.from_iterable(rank.batch_at(step).names for step in range(12) for rank in ranks))
    assert sorted(drawn[:23]) == sorted(drawn[23:46]) == list(faces.names)
    assert drawn[:23] != drawn[23:46]


def test_ranks_share_out_the_batch_that_one_alone_would_draw(faces: FaceFolder) -> None:
    alone = FaceBatches(faces, batch=6, seed=1, device="cpu").batch_at(5)
    shares = [FaceBatches(faces, batch=2, seed=1, device="cpu", rank=rank, world=3).batch_at(5) for rank in range(3)]
    assert alone.names == tuple(chain.from_iterable(share.names for share in shares))
    assert torch.equal(alone.images, torch.cat([share.images for share in shares]))
    assert torch.equal(alone.landmarks, torch.cat([share.landmarks for share in shares]))


def test_a_run_goes_on_where_it_stopped(faces: FaceFolder) -> None:
    through = FaceBatches(faces, batch=4, seed=2, device="cpu")
    images = [through.batch_at(step).images for step in range(8)]
    resumed = FaceBatches(faces, batch=4, seed=2, device="cpu", cache="disk")
    with resumed:
        assert all(torch.equal(resumed.batch_at(step).images, images[step]) for step in range(5, 8))
    other = FaceBatches(faces, batch=4, seed=3, device="cpu")
    assert not torch.equal(other.batch_at(5).images, images[5])


def test_a_mirrored_face_keeps_its_landmarks_on_its_features(folder: Path) -> None:
    """Eyes are painted where the landmarks are: they must be found under the landmarks of the mirror image."""
    points = (TEMPLATE * SIZE - 0.5).round().astype(np.float32) + np.float32([2, 1])
    picture = np.zeros((SIZE, SIZE, 3), np.uint8)
    for level, (x, y) in enumerate(points.astype(int), start=1):
        picture[y, x] = 40 * level
    lone = folder / "lone"
    lone.mkdir()
    cv2.imwrite(str(lone / "face.png"), picture)
    write_landmarks(lone / "landmarks.csv", {"face.png": FaceLandmarks(points, 1.0)})
    batches = FaceBatches(open_face_folder(lone, size=SIZE, held_out_share=0), batch=1, seed=0, device="cpu")
    levels = set()
    for step in range(20):
        batch = batches.batch_at(step)
        places = batch.landmarks[0].long()
        levels.add(tuple(batch.images[0, 0, places[:, 1], places[:, 0]].tolist()))
        assert batch.landmarks[0, 0, 0] < batch.landmarks[0, 1, 0]
    assert levels == {(40, 80, 120, 160, 200), (80, 40, 120, 200, 160)}


def test_half_of_the_faces_are_mirrored(faces: FaceFolder) -> None:
    batches = FaceBatches(faces, batch=50, seed=0, device="cpu")
    drawn = torch.cat([batches.batch_at(step).images for step in range(20)])
    assert 0.4 < (drawn[:, 2, 0, 0] > 100).float().mean() < 0.6


def test_threads_end_when_the_batches_are_closed(faces: FaceFolder) -> None:
    import threading  # noqa: PLC0415

    with FaceBatches(faces, batch=4, seed=0, device="cpu", cache="disk") as batches:
        batches.batch_at(0)
        assert any(thread.name.startswith("face-decoder") for thread in threading.enumerate())
    assert not any(thread.name.startswith("face-decoder") for thread in threading.enumerate())


def test_what_cannot_be_drawn_is_refused(folder: Path, faces: FaceFolder) -> None:
    with pytest.raises(InputError, match="no faces"):
        FaceBatches(faces.held_out, batch=1, seed=0, device="cpu")
    with pytest.raises(ConfigError, match="rank=2"):
        FaceBatches(faces, batch=1, seed=0, device="cpu", rank=2, world=2)
    with pytest.raises(ConfigError, match="'device', 'memory' or 'disk'"):
        FaceBatches(faces, batch=1, seed=0, device="cpu", cache="ram")
    whole = (folder / "face01.png").read_bytes()
    (folder / "face01.png").write_bytes(whole[:40])
    for cache in CACHES:
        with (
            pytest.raises(InputError, match=r"face01.png"),
            FaceBatches(
                open_face_folder(folder, size=SIZE, held_out_share=0), batch=23, seed=0, device="cpu", cache=cache
            ) as batches,
        ):
            batches.batch_at(0)


def test_the_training_set_needs_none_of_the_videos_packages() -> None:
    missing = ["av", "ray", "facexlib", "filterpy", "scipy", "scenedetect", "typer", "rich"]
    program = f"import sys; sys.modules.update(dict.fromkeys({missing})); import vidrestore.training.data.dataset"
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0
