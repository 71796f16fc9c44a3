"""Restored faces held together over time."""

from collections.abc import Callable, Iterable, Sequence
from fractions import Fraction

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vidrestore.errors import ConfigError
from vidrestore.restoration.config import StabilizerConfig
from vidrestore.restoration.temporal.stabilizer import Stabilizer
from vidrestore.stages import run
from vidrestore.types import AlignedFace, FaceTrack, Frame, FrameFaces, Restoration

SIDE = 64
UNIT = np.eye(3)[:2]
NO_LOCK = StabilizerConfig(colour_lock=0)
Crops = tuple[np.ndarray, np.ndarray]
"""The film's crop and the restored one."""


def item(index: int, faces: dict[int, Crops], *, shot: int = 0) -> FrameFaces[Restoration]:
    frame = Frame(index, index, Fraction(1, 25), 1, 2, 2, "gray", ())
    tracks = {track: FaceTrack(track, UNIT, float(SIDE), 0.9, np.eye(4)) for track in faces}
    restored = (
        Restoration(AlignedFace(tracks[track], video, UNIT), crop, 0.5 + track / 10)
        for track, (video, crop) in faces.items()
    )
    return FrameFaces(frame, tuple(restored), shot)


def crops(
    items: Iterable[FrameFaces[Restoration]], config: StabilizerConfig, *, track: int = 0, lag: int | None = None
) -> list[np.ndarray]:
    results = run(Stabilizer(config, lag=lag), items)
    return [face.crop for result in results for face in result.faces if face.face.track.id == track]


def video_of(pictures: Sequence[Crops]) -> list[FrameFaces[Restoration]]:
    return [item(index, {0: picture}) for index, picture in enumerate(pictures)]


def texture(seed: int = 0, side: int = 3 * SIDE) -> np.ndarray:
    noise = np.random.default_rng(seed).normal(0, 1, (side, side)).astype(np.float32)
    grey = cv2.GaussianBlur(noise, (0, 0), 1.5) * 90 + cv2.GaussianBlur(noise, (0, 0), 6) * 250 + 128
    return np.dstack([grey, grey * 0.8 + 10, grey * 0.7 + 20]).clip(0, 255).astype(np.uint8)


def view(picture: np.ndarray, x: float, y: float) -> np.ndarray:
    shift = np.array([[1, 0, x - SIDE], [0, 1, y - SIDE]], np.float64)
    return cv2.warpAffine(picture, shift, (SIDE, SIDE), flags=cv2.INTER_CUBIC)


def flickering(truth: np.ndarray, seed: int, *, sigma: float = 8) -> np.ndarray:
    noise = np.random.default_rng(seed).normal(0, sigma, truth.shape)
    return (truth + noise).clip(0, 255).round().astype(np.uint8)


def error(first: np.ndarray, second: np.ndarray, where: tuple[slice, slice] = (slice(8, -8), slice(8, -8))) -> float:
    return float(np.sqrt(np.square(first[where].astype(float) - second[where]).mean()))


def test_a_frozen_face_is_left_exactly_as_it_was_restored() -> None:
    video, restored = texture(1, SIDE), texture(2, SIDE)
    results = crops(video_of([(video, restored)] * 8), NO_LOCK)
    assert all(np.array_equal(result, restored) for result in results)


def test_a_frozen_face_is_the_same_in_every_frame_under_the_colour_lock() -> None:
    video = texture(1, SIDE)
    restored = np.clip(video.astype(int) + np.array([25, -10, 5]), 0, 255).astype(np.uint8)
    results = crops(video_of([(video, restored)] * 8), StabilizerConfig())
    assert all(np.array_equal(result, results[0]) for result in results)
    assert np.abs(results[0].mean(axis=(0, 1)) - video.mean(axis=(0, 1))).max() < 1.5


@pytest.mark.parametrize("speed", [0.0, 0.5, 1.7])
def test_flicker_shrinks_by_the_factor_of_the_weights_while_the_face_moves(speed: float) -> None:
    pictures = [view(texture(), speed * index, -speed * index) for index in range(9)]
    scene = video_of([(picture, flickering(picture, index)) for index, picture in enumerate(pictures)])
    results = crops(scene, StabilizerConfig(colour_lock=0, max_detail_gain=0))
    left = np.mean([error(results[index], pictures[index]) for index in range(2, 7)]) / 8
    # Weights 1, 8/9 twice and 5/9 twice: root of the sum of squares over the sum is 0.46.
    assert 0.3 < left < 0.62


def test_detail_keeps_its_energy() -> None:
    pictures = [view(texture(), 0.5 * index, 0.3 * index) for index in range(9)]
    middle = pictures[4]
    result = crops(video_of([(picture, picture) for picture in pictures]), StabilizerConfig())[4]
    energy = [
        float(np.square(c - cv2.GaussianBlur(c, (0, 0), 1.5)).mean()) for c in (np.float32(middle), np.float32(result))
    ]
    assert energy[1] > 0.93 * energy[0]
    assert error(result, middle) < 6


def test_a_blink_is_not_smeared() -> None:
    face, eye = texture(1, SIDE), (slice(20, 34), slice(20, 44))
    closed = face.copy()
    closed[eye] = 255 - closed[eye]
    scene = video_of([(picture, picture) for picture in (face, face, face, closed, face, face, face)])
    results = crops(scene, NO_LOCK)
    assert error(results[3], closed, eye) < 8
    assert max(error(results[index], face, eye) for index in (1, 2, 4, 5)) < 8
    careless = crops(scene, StabilizerConfig(colour_lock=0, texture_tolerance=255, colour_tolerance=255))
    assert error(careless[3], closed, eye) > 16, "the scene would show a smear"


def test_a_hand_before_the_face_is_not_dragged_along() -> None:
    face, hand = texture(1, SIDE), texture(7, SIDE)
    pictures = []
    for index in range(9):
        picture = face.copy()
        picture[:, 6 * index : 6 * index + 14] = hand[:, :14]
        pictures.append(picture)
    results = crops(video_of([(picture, picture) for picture in pictures]), NO_LOCK)
    assert max(error(result, picture) for result, picture in zip(results, pictures, strict=True)) < 6


def test_a_lamp_that_flickers_is_followed_and_noise_still_averaged() -> None:
    face = texture(1, SIDE) // 2 + 50
    lamps = [0, 30, 0, 30, 0, 30, 0, 30, 0]
    scene = video_of(
        [(face + np.uint8(lamp), flickering(face, index) + np.uint8(lamp)) for index, lamp in enumerate(lamps)]
    )
    for lock in (0, 1):
        results = crops(scene, StabilizerConfig(colour_lock=lock, max_detail_gain=0))
        assert all(abs(results[index].mean() - face.mean() - lamps[index]) < 1.5 for index in range(9))
        assert error(results[4], face) < 5.5


def test_where_nothing_agrees_a_flickering_lamp_leaves_no_halo() -> None:
    face, mouth = texture(1, SIDE) // 2 + 50, (slice(40, 56), slice(20, 44))
    scene = []
    for index in range(7):
        picture = face.copy()
        picture[mouth] = texture(10 + index, SIDE)[mouth]
        picture = (picture * 0.8).astype(np.uint8) + np.uint8(30 * (index % 2))
        scene.append((picture, picture))
    results = crops(video_of(scene), NO_LOCK)
    inside = (slice(44, 52), slice(24, 40))
    shifts = [
        float(results[index][inside].mean() - scene[index][1][inside].astype(float).mean()) for index in range(2, 5)
    ]
    assert max(map(abs, shifts)) < 3


def test_the_networks_own_change_of_colour_is_undone() -> None:
    face = texture(1, SIDE) // 2 + 50
    tints = [(0, 0, 0), (12, 0, -12), (-12, 6, 6), (9, -9, 0), (0, 9, -9)]
    scene = video_of([(face, (face.astype(int) + tint).astype(np.uint8)) for tint in tints])
    results = crops(scene, StabilizerConfig(frames=4))
    assert max(np.abs(result.astype(int).mean(axis=(0, 1)) - face.mean(axis=(0, 1))).max() for result in results) < 1
    unlocked = crops(scene, StabilizerConfig(frames=4, colour_lock=0))
    means = np.array([result.mean(axis=(0, 1)) for result in unlocked])
    assert np.ptp(means, axis=0).max() < 8 < np.ptp(np.array(tints), axis=0).max()


def random_scene(seed: int, frames: int, *, tracks: int = 1, shots: Callable[[int], int] = lambda _: 0) -> list:
    draw = np.random.default_rng(seed)
    scene = []
    for index in range(frames):
        faces = {}
        for track in range(tracks):
            if draw.random() < 0.85:
                video = flickering(view(texture(track), index * 0.7, 0), index + 100 * track, sigma=3)
                faces[track] = (video, flickering(video, index + 1000, sigma=6))
        scene.append(item(index, faces, shot=shots(index)))
    return scene


def same(first: Iterable[FrameFaces[Restoration]], second: Iterable[FrameFaces[Restoration]]) -> bool:
    pairs = zip(first, second, strict=True)
    return all(
        one.frame.index == other.frame.index
        and [face.face.track.id for face in one.faces] == [face.face.track.id for face in other.faces]
        and all(np.array_equal(a.crop, b.crop) for a, b in zip(one.faces, other.faces, strict=True))
        for one, other in pairs
    )


@settings(max_examples=12, deadline=None)
@given(
    seed=st.integers(0, 10_000),
    reach=st.integers(1, 4),
    lag=st.none() | st.integers(0, 3),
    start=st.integers(3, 9),
    length=st.integers(1, 6),
    cut=st.integers(1, 17),
)
def test_a_segment_with_its_lead_in_and_out_equals_the_whole(
    seed: int, reach: int, lag: int | None, start: int, length: int, cut: int
) -> None:
    scene = random_scene(seed, 18, tracks=2, shots=lambda index: int(index >= cut))
    whole = Stabilizer(StabilizerConfig(frames=reach), lag=lag)
    expected = list(run(whole, scene))[start : start + length]
    first = max(0, start - whole.past)
    part = scene[first : start + length + whole.future]
    results = list(run(Stabilizer(StabilizerConfig(frames=reach), lag=lag), part))
    assert same(results[start - first : start - first + length], expected)


def test_nothing_crosses_a_cut() -> None:
    scene = random_scene(3, 10, shots=lambda index: int(index >= 5))
    apart = [*run(Stabilizer(), scene[:5]), *run(Stabilizer(), scene[5:])]
    assert same(run(Stabilizer(), scene), apart)


def test_nothing_crosses_a_gap_of_the_track() -> None:
    scene = [
        item(index, {} if index == 4 else {0: (texture(1, SIDE), flickering(texture(1, SIDE), index))})
        for index in range(9)
    ]
    apart = [result for part in (scene[:4], scene[4:5], scene[5:]) for result in run(Stabilizer(), part)]
    assert same(run(Stabilizer(), scene), apart)


def test_tracks_that_cross_do_not_touch_each_other() -> None:
    def faces(index: int) -> dict[int, Crops]:
        pair = {track: view(texture(track), index, 0) for track in (0, 1)}
        return {
            track: (pair[track], flickering(pair[track], index + track)) for track in ((0, 1) if index % 2 else (1, 0))
        }

    both = [item(index, faces(index)) for index in range(7)]
    for track in (0, 1):
        alone = [item(index, {track: faces(index)[track]}) for index in range(7)]
        pairs = zip(
            crops(both, StabilizerConfig(), track=track), crops(alone, StabilizerConfig(), track=track), strict=True
        )
        assert all(np.array_equal(one, other) for one, other in pairs)


@pytest.mark.parametrize(("lag", "future"), [(None, 3), (0, 0), (1, 1), (9, 3)])
def test_a_frame_leaves_as_soon_as_its_window_is_complete(lag: int | None, future: int) -> None:
    stage = Stabilizer(StabilizerConfig(frames=3), lag=lag)
    assert (stage.past, stage.future) == (3, future)
    left = [[result.frame.index for result in stage.push(entry)] for entry in random_scene(0, 8)]
    assert left == [[index - future] if index >= future else [] for index in range(8)]
    assert [result.frame.index for result in stage.flush()] == list(range(8 - future, 8))


def test_no_more_than_its_reach_is_held() -> None:
    stage = Stabilizer(StabilizerConfig(frames=2))
    for entry in random_scene(0, 20):
        list(stage.push(entry))
        assert len(stage._waiting) <= stage.future
        assert len(stage._moments) <= stage.past + stage.future


def test_all_but_the_crops_stays_as_it_was() -> None:
    scene = random_scene(5, 8, tracks=2)
    for before, after in zip(scene, run(Stabilizer(), scene), strict=True):
        assert (after.frame, after.shot, after.detector_ran) == (before.frame, before.shot, before.detector_ran)
        for old, new in zip(before.faces, after.faces, strict=True):
            for name in ("track", "crop", "to_crop"):
                assert getattr(new.face, name) is getattr(old.face, name)
            assert new.weight == old.weight
            assert new.crop.dtype == np.uint8
            assert new.crop.shape == old.crop.shape


def test_with_all_parts_off_the_crops_are_the_same_objects_at_once() -> None:
    stage = Stabilizer(StabilizerConfig(blend=False, colour_lock=0))
    assert (stage.past, stage.future) == (0, 0)
    entry = random_scene(0, 1, tracks=3)[0]
    (result,) = stage.push(entry)
    assert all(new.crop is old.crop for new, old in zip(result.faces, entry.faces, strict=True))


@pytest.mark.parametrize("config", [StabilizerConfig(), StabilizerConfig(blend=False), StabilizerConfig(frames=0)])
def test_results_do_not_depend_on_the_number_of_threads(config: StabilizerConfig) -> None:
    scene, before, results = random_scene(2, 7), cv2.getNumThreads(), []
    try:
        for threads in (1, 4):
            cv2.setNumThreads(threads)
            results.append(list(run(Stabilizer(config), scene)))
    finally:
        cv2.setNumThreads(before)
    assert same(*results)


@pytest.mark.parametrize(
    "values", [{"frames": -1}, {"frames": 17}, {"colour_lock": 1.1}, {"max_detail_gain": -1}, {"texture_tolerance": 0}]
)
def test_what_is_out_of_range_is_refused_by_name(values: dict[str, float]) -> None:
    with pytest.raises(ConfigError, match=f"{next(iter(values))} is"):
        StabilizerConfig(**values)


def test_a_negative_lag_is_refused() -> None:
    with pytest.raises(ConfigError, match="lag is -1"):
        Stabilizer(lag=-1)
