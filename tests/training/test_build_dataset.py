"""Faces from photographs: whatever the file, its size and the face's place in it; and going on where one stopped."""

import json
from collections.abc import Callable, Sequence
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from skimage.data import astronaut

from vidrestore.errors import ConfigError, InputError, OutputError
from vidrestore.faces.alignment import TEMPLATE, place, transform
from vidrestore.faces.config import DetectorConfig
from vidrestore.faces.landmark_table import read_landmarks
from vidrestore.training.data.dataset import open_face_folder
from vidrestore.training.photographs.build_dataset import GatheringConfig, gather_faces
from vidrestore.training.photographs.faces import PhotographFaces, cut_face
from vidrestore.training.photographs.sources import find_photographs, read_photograph
from vidrestore.types import Detection, UInt8

SIZE = 64
ON_CPU = DetectorConfig(device="cpu", score_threshold=0.9)


@pytest.fixture(autouse=True)
def one_thread() -> None:
    torch.set_num_threads(1)


def found(landmarks: np.ndarray, score: float = 0.95) -> Detection:
    points = landmarks.astype(np.float32)
    low, high = points.min(axis=0), points.max(axis=0)
    around = (high - low) / 2
    return Detection(points, np.concatenate([low - around, high + around]).astype(np.float32), score)


def face_at(x: float, y: float, side: float, *, stretch: float = 1.0) -> Detection:
    points = place(transform((np.log(side), 0.1, x, y)))
    return found((points - [x, y]) * [stretch, 1] + [x, y])


class Sees:
    """A detector that sees the same faces, given in pixels of the photograph, in every look; counts its looks."""

    def __init__(self, *faces: Detection) -> None:
        self.faces = faces
        self.detector_ran = 0

    def __call__(self, items: Sequence[UInt8], /) -> list[tuple[Detection, ...]]:
        self.detector_ran += len(items)
        return [tuple(self._moved(face, item) for face in self.faces) for item in items]

    @staticmethod
    def _moved(face: Detection, item: UInt8) -> Detection:
        margin = (item.shape[0] - PHOTOGRAPH_SIDE) // 2
        return Detection(face.landmarks + margin, face.box + margin, face.score)


PHOTOGRAPH_SIDE = 200


def photograph(path: Path, *, seed: int = 0) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    noise = np.random.default_rng(seed).integers(0, 255, (PHOTOGRAPH_SIDE, PHOTOGRAPH_SIDE, 3), np.uint8)
    assert cv2.imwrite(str(path), noise)
    return path


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.fixture(scope="module")
def portrait(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("portrait") / "astronaut.jpg"
    assert cv2.imwrite(str(path), astronaut()[..., ::-1])
    return path


def test_a_photograph_becomes_a_training_face(portrait: Path, tmp_path: Path) -> None:
    report = gather_faces(str(portrait), tmp_path, GatheringConfig(size=96, detector=ON_CPU))
    assert report.counts["faces"] == 1
    faces = open_face_folder(tmp_path, size=96, held_out_share=0)
    assert faces.names == ("astronaut_jpg_0.png",)
    assert faces.without_landmarks == 0
    np.testing.assert_allclose(faces.landmarks[0], TEMPLATE * 96 - 0.5, atol=4)
    again = PhotographFaces(detector())([read_photograph(tmp_path / faces.names[0])])
    np.testing.assert_allclose(again[0][0].landmarks, faces.landmarks[0], atol=3)


def detector() -> Callable[[Sequence[UInt8]], list[tuple[Detection, ...]]]:
    from vidrestore.faces.detector import FaceDetector  # noqa: PLC0415

    return FaceDetector(ON_CPU)


def test_a_face_is_found_whether_it_fills_the_picture_or_hides_in_a_large_one() -> None:
    tight = np.ascontiguousarray(astronaut()[20:230, 130:320])
    filling = cv2.resize(tight, None, fx=6, fy=6, interpolation=cv2.INTER_CUBIC)
    hiding = np.full((1500, 2000, 3), 90, np.uint8)
    hiding[900:1156, 1500:1756] = cv2.resize(astronaut(), (256, 256), interpolation=cv2.INTER_AREA)
    faces = PhotographFaces(detector(), min_face=32)([filling, hiding])
    assert [len(face) for face in faces] == [1, 1]
    assert np.ptp(faces[0][0].box[::2]) > 500
    eyes = faces[1][0].landmarks[:2].mean(axis=0)
    np.testing.assert_allclose(eyes, [1500 + 112, 900 + 54], atol=8)


def test_a_crop_shows_what_the_photograph_shows_under_its_landmarks() -> None:
    y, x = np.mgrid[:400, :500]
    ramps = np.stack([x / 2, y / 2, np.full_like(x, 90)], axis=-1).round().astype(np.uint8)
    for side in (40.0, 64.0, 250.0):
        face = face_at(260, 190, side)
        crop, landmarks, square = cut_face(ramps, face.landmarks, size=SIZE)
        assert square == pytest.approx(side, rel=1e-4)
        np.testing.assert_allclose(landmarks, TEMPLATE * SIZE - 0.5, atol=0.01)
        for (left, top), (column, row) in zip(face.landmarks, landmarks, strict=True):
            shown = cv2.getRectSubPix(crop[..., :2].astype(np.float32)[..., 0], (1, 1), (float(column), float(row)))
            assert shown[0, 0] == pytest.approx(left / 2, abs=1.0)
            shown = cv2.getRectSubPix(crop[..., :2].astype(np.float32)[..., 1], (1, 1), (float(column), float(row)))
            assert shown[0, 0] == pytest.approx(top / 2, abs=1.0)


def test_a_fine_pattern_is_averaged_and_does_not_alias() -> None:
    stripes = np.zeros((1200, 1200, 3), np.uint8)
    stripes[:, ::2] = 200
    crop, _, _ = cut_face(stripes, face_at(600, 600, 900).landmarks, size=SIZE)
    assert np.abs(crop.astype(int) - 100).max() < 12


def test_every_face_is_written_or_counted(tmp_path: Path) -> None:
    photograph(tmp_path / "photos" / "a.png")
    sees = Sees(face_at(50, 50, 60), face_at(140, 60, 70), face_at(60, 150, 15), face_at(150, 150, 60, stretch=0.4))
    config = GatheringConfig(size=SIZE, min_face=20)
    report = gather_faces(str(tmp_path / "photos"), tmp_path / "faces", config, detector=sees)
    assert report.counts["faces"] == 2
    assert report.counts["faces_enlarged"] == 1
    assert report.counts["skipped_too_small"] == 2
    largest = GatheringConfig(size=SIZE, min_face=10, largest=True)
    report = gather_faces(str(tmp_path / "photos"), tmp_path / "largest", largest, detector=sees)
    assert report.counts["faces"] == report.counts["skipped_not_largest"] == 1
    assert report.counts["skipped_turned_away"] == 1
    written = json.loads((tmp_path / "largest" / "report.json").read_text())
    assert written["counts"] == report.counts


def test_names_tell_the_photograph_and_are_unique(tmp_path: Path) -> None:
    for name in ("a.png", "a.jpg", "a_jpg.png", "below/a.png", ".hidden/a.png"):
        photograph(tmp_path / "photos" / name)
    sees = Sees(face_at(50, 50, 60), face_at(140, 60, 60))
    config = GatheringConfig(size=SIZE, min_face=10, image_format="jpg")
    gather_faces(str(tmp_path / "photos"), tmp_path / "faces", config, detector=sees)
    stems = ("a_jpg", "a_jpg_png", "a_png", "below/a_png")
    wanted = sorted(f"{stem}_{rank}.jpg" for stem in stems for rank in (0, 1))
    assert list(open_face_folder(tmp_path / "faces", size=SIZE).names) == wanted
    assert list(read_landmarks(tmp_path / "faces" / "landmarks.csv")) == wanted


def test_a_second_run_changes_nothing_and_looks_at_nothing(tmp_path: Path) -> None:
    photos, faces = tmp_path / "photos", tmp_path / "faces"
    photograph(photos / "a.png")
    (photos / "torn.png").write_bytes(b"no picture")
    config = GatheringConfig(size=SIZE, min_face=10)
    gather_faces(str(photos), faces, config, detector=Sees(face_at(100, 100, 90)))
    before = contents(faces)
    sees = Sees()
    gather_faces(str(photos), faces, config, detector=sees)
    assert sees.detector_ran == 0
    assert contents(faces) == before


def test_a_run_goes_on_with_what_is_new_changed_or_lost(tmp_path: Path) -> None:
    photos, faces = tmp_path / "photos", tmp_path / "faces"
    for name in ("changed", "lost", "same"):
        photograph(photos / f"{name}.png")
    config = GatheringConfig(size=SIZE, min_face=10)
    two = Sees(face_at(50, 50, 60), face_at(140, 60, 60))
    gather_faces(str(photos), faces, config, detector=two)
    (faces / "lost_png_1.png").unlink()
    (photos / "changed.png").write_bytes(photograph(photos / "new.png", seed=1).read_bytes() + b" ")
    sees = Sees(face_at(50, 50, 60))
    report = gather_faces(str(photos), faces, config, detector=sees)
    assert sees.detector_ran == 3
    assert report.counts["faces"] == 5
    names = {"changed_png_0.png", "lost_png_0.png", "new_png_0.png", "same_png_0.png", "same_png_1.png"}
    assert set(read_landmarks(faces / "landmarks.csv")) == set(open_face_folder(faces, size=SIZE).names) == names


def test_an_interrupted_run_keeps_what_was_done(tmp_path: Path) -> None:
    photos, faces = tmp_path / "photos", tmp_path / "faces"
    for index in range(12):
        photograph(photos / f"{index:02}.png")

    def stop(done: int, total: int) -> None:
        assert total == 12
        if done == 5:
            raise KeyboardInterrupt

    config = GatheringConfig(size=SIZE, min_face=10)
    with pytest.raises(KeyboardInterrupt):
        gather_faces(str(photos), faces, config, detector=Sees(face_at(100, 100, 90)), on_progress=stop)
    assert len(read_landmarks(faces / "landmarks.csv")) == 5
    sees = Sees(face_at(100, 100, 90))
    report = gather_faces(str(photos), faces, config, detector=sees)
    assert sees.detector_ran == 7
    assert report.counts["faces"] == len(open_face_folder(faces, size=SIZE)) == 12
    assert not list(faces.glob(".*"))


def test_another_source_or_other_options_want_another_folder(tmp_path: Path) -> None:
    photograph(tmp_path / "one" / "a.png")
    photograph(tmp_path / "two" / "a.png")
    faces, sees = tmp_path / "faces", Sees()
    gather_faces(str(tmp_path / "one"), faces, GatheringConfig(size=64), detector=sees)
    with pytest.raises(OutputError, match=r"gathered from .*one"):
        gather_faces(str(tmp_path / "two"), faces, GatheringConfig(size=64), detector=sees)
    with pytest.raises(OutputError, match="size=64 instead of 65"):
        gather_faces(str(tmp_path / "one"), faces, GatheringConfig(size=65), detector=sees)
    with pytest.raises(OutputError, match="photographs themselves"):
        gather_faces(str(tmp_path / "one"), tmp_path / "one", GatheringConfig(size=64), detector=sees)


def aligned(folder: Path) -> Path:
    """One face, one picture without anybody, one that is not square, one that is no picture."""
    folder.mkdir()
    y, x = TEMPLATE.mean(axis=0)[::-1] * 256
    turn = cv2.getRotationMatrix2D((224, 116), 0, 1.0)
    turn[:, 2] += [x - 224, y - 116]
    face = cv2.warpAffine(astronaut(), turn, (256, 256), borderMode=cv2.BORDER_REFLECT_101)
    cv2.imwrite(str(folder / "face.jpg"), face[..., ::-1])
    cv2.imwrite(str(folder / "nobody.png"), np.full((256, 256, 3), 128, np.uint8))
    cv2.imwrite(str(folder / "wide.png"), np.full((256, 300, 3), 128, np.uint8))
    (folder / "torn.jpg").write_bytes(b"\xff\xd8\xff")
    return folder


@pytest.mark.parametrize("in_place", [True, False])
def test_aligned_faces_are_kept_to_the_byte(tmp_path: Path, *, in_place: bool) -> None:
    source = aligned(tmp_path / "aligned")
    destination = source if in_place else tmp_path / "faces"
    before = contents(source)
    config = GatheringConfig(keep=True, detector=DetectorConfig(device="cpu", score_threshold=0.3))
    for _ in range(2):
        report = gather_faces(str(source), destination, config)
        after = contents(destination)
        names = before.keys() if in_place else {"face.jpg", "nobody.png"}
        assert after.keys() - names == {"landmarks.csv", "report.json"}
        assert all(after[name] == before[name] for name in names)
        table = read_landmarks(destination / "landmarks.csv")
        assert list(table) == ["face.jpg"]
        assert report.without_face == ["nobody.png"]
        assert set(report.unusable) == {"torn.jpg", "wide.png"}
    np.testing.assert_allclose(table["face.jpg"].points, TEMPLATE * 256 - 0.5, atol=25)
    if not in_place:
        assert open_face_folder(destination, size=256).without_landmarks == 1


def test_any_kind_of_picture_is_read_upright_in_eight_bits(tmp_path: Path) -> None:
    grey = np.full((20, 30), 100, np.uint8)
    deep = np.full((20, 30, 3), 100 * 257, np.uint16)
    clear = np.dstack([np.zeros((20, 30, 3), np.uint8), np.zeros((20, 30), np.uint8)])
    for name, picture, level in (("grey", grey, 100), ("deep", deep, 100), ("clear", clear, 255)):
        path = tmp_path / f"{name}.png"
        assert cv2.imwrite(str(path), picture)
        shown = read_photograph(path)
        assert (shown.shape, shown.dtype) == ((20, 30, 3), np.uint8)
        assert (shown == level).all()
    assert cv2.imwrite(str(tmp_path / "lying.jpg"), grey)
    whole = (tmp_path / "lying.jpg").read_bytes()
    exif = b"Exif\0\0II*\0\x08\0\0\0\x01\0\x12\x01\x03\0\x01\0\0\0\x06\0\0\0\0\0\0\0"
    (tmp_path / "turned.jpg").write_bytes(
        whole[:2] + b"\xff\xe1" + (len(exif) + 2).to_bytes(2, "big") + exif + whole[2:]
    )
    assert read_photograph(tmp_path / "turned.jpg").shape == (30, 20, 3)


def test_photographs_are_found_in_folders_by_pattern_and_alone(tmp_path: Path) -> None:
    for name in ("a.png", "b.jpg", "below/c.png", "faces/d.png"):
        photograph(tmp_path / name)
    (tmp_path / "notes.txt").touch()

    def names(source: str, apart_from: Path) -> list[str]:
        root, found_ = find_photographs(source, apart_from=apart_from)
        assert root == tmp_path
        return [str(item.name) for item in found_]

    elsewhere = tmp_path.parent / "elsewhere"
    assert names(str(tmp_path), elsewhere) == ["a.png", "b.jpg", "below/c.png", "faces/d.png"]
    assert names(str(tmp_path), tmp_path / "faces") == ["a.png", "b.jpg", "below/c.png"]
    assert names(str(tmp_path), tmp_path.parent) == ["a.png", "b.jpg", "below/c.png", "faces/d.png"]
    assert names(str(tmp_path / "*.png"), elsewhere) == ["a.png"]
    assert names(str(tmp_path / "**" / "*.png"), elsewhere) == ["a.png", "below/c.png", "faces/d.png"]
    assert names(str(tmp_path / "b.jpg"), elsewhere) == ["b.jpg"]
    for source in ("none", "notes.txt", "*.gif"):
        with pytest.raises(InputError, match="wanted"):
            find_photographs(str(tmp_path / source), apart_from=elsewhere)


def test_impossible_options_are_refused() -> None:
    with pytest.raises(ConfigError, match="image_format"):
        GatheringConfig(image_format="gif")
    with pytest.raises(ConfigError, match="size is 0; use 1 or more"):
        GatheringConfig(size=0)


def test_real_aligned_faces_are_found(shared: Path, tmp_path: Path) -> None:
    folder = tmp_path / "some"
    folder.mkdir()
    for path in sorted((shared / "faces").glob("*.jpg"))[::200]:
        (folder / path.name).write_bytes(path.read_bytes())
    config = GatheringConfig(keep=True, detector=DetectorConfig(device="cpu", score_threshold=0.3))
    report = gather_faces(str(folder), folder, config)
    assert report.counts["faces_without_landmarks"] == 0


def test_pictures_whose_names_are_not_utf8_are_read_and_found_again(tmp_path: Path) -> None:
    source = aligned(tmp_path / "aligned")
    name = "face-\udcff\x1b.jpg"
    (source / "face.jpg").rename(source / name)
    (source / "torn.jpg").rename(source / "torn-\udcff.jpg")
    config = GatheringConfig(keep=True, detector=DetectorConfig(device="cpu", score_threshold=0.3))
    report = gather_faces(str(source), source, config)
    assert set(report.unusable) == {"torn-\udcff.jpg", "wide.png"}
    assert list(read_landmarks(source / "landmarks.csv")) == [name]
    assert gather_faces(str(source), source, config).counts == report.counts
