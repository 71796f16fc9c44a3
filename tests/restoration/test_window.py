"""Stages that look at the frames around a face: what holds for all of them."""

from dataclasses import replace
from fractions import Fraction

import cv2
import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from vidrestore.errors import ConfigError
from vidrestore.restoration.config import DenoiserConfig, SelectionConfig, StyleConfig
from vidrestore.restoration.temporal.denoiser import Denoiser
from vidrestore.restoration.temporal.stabilizer import Stabilizer
from vidrestore.restoration.temporal.style_smoother import StyleSmoother
from vidrestore.restoration.temporal.weight_ramp import WeightRamp
from vidrestore.restoration.temporal.window import aligned, track_of
from vidrestore.stages import run
from vidrestore.types import AlignedFace, FaceTrack, Frame, FrameFaces, Restoration

SIDE = 64
UNIT = np.eye(3)[:2]


def face(track: int, video: np.ndarray) -> AlignedFace:
    return AlignedFace(FaceTrack(track, UNIT, float(SIDE), 0.9, np.eye(4)), video, UNIT)


def frame(index: int) -> Frame:
    return Frame(index, index, Fraction(1, 25), 1, 2, 2, "gray", ())


def texture(seed: int) -> np.ndarray:
    noise = np.random.default_rng(seed).normal(0, 1, (3 * SIDE, 3 * SIDE)).astype(np.float32)
    grey = cv2.GaussianBlur(noise, (0, 0), 1.5) * 90 + cv2.GaussianBlur(noise, (0, 0), 6) * 250 + 128
    return np.dstack([grey, grey * 0.8 + 10, grey * 0.7 + 20]).clip(0, 255).astype(np.uint8)


def noisy_video(frames: int, *, sigma: float, speed: float = 0.6) -> tuple[list[np.ndarray], list[np.ndarray]]:
    """A moving texture, without and with noise."""
    still, generator = texture(1), np.random.default_rng(2)
    clean = []
    for index in range(frames):
        shift = np.array([[1, 0, -SIDE + speed * index], [0, 1, -SIDE - speed * index]])
        clean.append(cv2.warpAffine(still, shift, (SIDE, SIDE), flags=cv2.INTER_CUBIC))
    noisy = [(picture + generator.normal(0, sigma, picture.shape)).clip(0, 255).astype(np.uint8) for picture in clean]
    return clean, noisy


def video_of(pictures: list[np.ndarray]) -> list[FrameFaces[AlignedFace]]:
    return [FrameFaces(frame(index), (face(0, picture),)) for index, picture in enumerate(pictures)]


def rms(first: np.ndarray, second: np.ndarray) -> float:
    inner = (slice(6, -6), slice(6, -6))
    return float(np.sqrt(np.square(first[inner].astype(float) - second[inner]).mean()))


def denoised(items: list[FrameFaces[AlignedFace]], *, lag: int | None = None, frames: int = 2) -> list[AlignedFace]:
    return [one for item in run(Denoiser(DenoiserConfig(frames=frames), lag=lag), items) for one in item.faces]


def test_the_video_that_the_network_sees_has_less_noise_and_no_less_detail() -> None:
    clean, noisy = noisy_video(9, sigma=8)
    results = denoised(video_of(noisy))
    before = np.mean([rms(noisy[index], clean[index]) for index in range(2, 7)])
    after = np.mean([rms(results[index].crop, clean[index]) for index in range(2, 7)])
    assert after < 0.65 * before
    unchanged = denoised(video_of(clean))
    assert max(rms(result.crop, picture) for result, picture in zip(unchanged, clean, strict=True)) < 5


def test_a_video_that_does_not_change_is_left_bit_for_bit() -> None:
    picture = texture(3)[:SIDE, :SIDE]
    assert all(np.array_equal(result.crop, picture) for result in denoised(video_of([picture] * 6)))


def test_with_no_frames_the_denoiser_hands_on_the_same_objects_at_once() -> None:
    stage = Denoiser(DenoiserConfig(frames=0))
    (item,) = video_of([texture(0)[:SIDE, :SIDE]])
    assert [*stage.push(item)] == [item]
    assert [*stage.flush()] == []


@pytest.mark.parametrize("lag", [None, 0, 1])
def test_the_flow_that_one_stage_found_serves_the_next(lag: int | None) -> None:
    _, noisy = noisy_video(7, sigma=4)
    found = denoised(video_of(noisy), lag=lag)
    assert [one.link is None for one in found] == [True, *[False] * 6]

    def stabilized(faces: list[AlignedFace]) -> list[bytes]:
        items = [
            FrameFaces(frame(index), (Restoration(one, restored.crop),))
            for index, (one, restored) in enumerate(zip(faces, found, strict=True))
        ]
        return [one.crop.tobytes() for item in run(Stabilizer(lag=lag), items) for one in item.faces]

    linked = [replace(one, crop=video) for one, video in zip(found, noisy, strict=True)]
    assert stabilized(linked) == stabilized([face(0, video) for video in noisy])


def weights_of(wanted: list[float | None], *, lag: int | None = None, shots: list[int] | None = None) -> list[float]:
    crop = np.zeros((8, 8, 3), np.uint8)
    items = [
        FrameFaces(
            frame(index),
            () if weight is None else (Restoration(face(0, crop), crop, weight),),
            (shots or [0] * 99)[index],
        )
        for index, weight in enumerate(wanted)
    ]
    found = run(WeightRamp(SelectionConfig(), lag=lag), items)
    return [item.faces[0].weight if item.faces else 0.0 for item in found]


def test_a_face_that_comes_and_goes_at_once_fades_over_four_frames() -> None:
    assert weights_of([None, None, *[1.0] * 9, None]) == [0, 0, 0.25, 0.5, 0.75, 1, 1, 1, 0.75, 0.5, 0.25, 0]


def test_where_a_shot_begins_and_ends_nothing_fades() -> None:
    assert weights_of([1.0] * 6, shots=[0, 0, 0, 1, 1, 1]) == [1.0] * 6


@given(
    st.lists(st.one_of(st.none(), st.floats(0, 1)), min_size=1, max_size=30),
    st.sampled_from([None, 3, 5]),
)
def test_weights_never_jump_and_never_exceed_what_is_wanted(wanted: list[float | None], lag: int | None) -> None:
    shown = weights_of(wanted, lag=lag)
    assert np.abs(np.diff(shown)).max(initial=0) <= 0.25 + 1e-12
    assert all(weight <= (want or 0) + 1e-12 for weight, want in zip(shown, wanted, strict=True))


@given(st.lists(st.floats(0, 1), min_size=1, max_size=30), st.integers(0, 2))
def test_live_weights_of_a_face_that_stays_never_jump(wanted: list[float | None], lag: int) -> None:
    assert np.abs(np.diff(weights_of(wanted, lag=lag))).max(initial=0) <= 0.25 + 1e-12


def random_scene(seed: int, frames: int) -> list[FrameFaces[AlignedFace]]:
    """Two tracks that come and go, and a cut."""
    generator = np.random.default_rng(seed)
    _, pictures = noisy_video(frames, sigma=6)
    there = generator.random((frames, 2)) < 0.85
    cut = int(generator.integers(1, frames + 4))
    return [
        FrameFaces(
            frame(index),
            tuple(face(track, np.roll(pictures[index], 9 * track, 1)) for track in (0, 1) if there[index, track]),
            int(index >= cut),
        )
        for index in range(frames)
    ]


def as_restored(items: list[FrameFaces[AlignedFace]], seed: int) -> list[FrameFaces[Restoration]]:
    generator = np.random.default_rng(seed)
    return [
        FrameFaces(
            item.frame,
            tuple(Restoration(one, 255 - one.crop, round(float(generator.random()), 2)) for one in item.faces),
            item.shot,
        )
        for item in items
    ]


def content(items: list[FrameFaces[AlignedFace]] | list[FrameFaces[Restoration]]) -> list[list[tuple[object, ...]]]:
    return [
        [
            (track_of(one), one.crop.tobytes(), getattr(one, "weight", 1), aligned(one).crop.tobytes())
            for one in item.faces
        ]
        for item in items
    ]


@given(seed=st.integers(0, 99), start=st.integers(0, 12), length=st.integers(1, 8))
@example(seed=20, start=7, length=1)  # a fade differed in its last bit
@settings(deadline=None, max_examples=12)
@pytest.mark.parametrize(
    ("name", "lag"),  # a causal fade remembers what it showed
    [("denoiser", None), ("denoiser", 1), ("fader", None), ("stabilizer", None), ("stabilizer", 1)],
)
def test_a_segment_with_its_lead_in_and_out_equals_the_whole(
    name: str, lag: int | None, seed: int, start: int, length: int
) -> None:
    items: list = random_scene(seed, 20)
    if name != "denoiser":
        items = as_restored(items, seed)

    def make() -> Denoiser | WeightRamp | Stabilizer:
        if name == "denoiser":
            return Denoiser(lag=lag)
        return Stabilizer(lag=lag) if name == "stabilizer" else WeightRamp(SelectionConfig(), lag=lag)

    stage = make()
    lead_in = min(start, stage.past)
    stop = min(len(items), start + length)
    whole = content([*run(make(), items)])[start:stop]
    part = content([*run(stage, items[start - lead_in : stop + stage.future])])[lead_in : lead_in + stop - start]
    assert part == whole


@pytest.mark.parametrize("lag", [0, 1, 2])
def test_a_live_result_depends_on_the_past_and_the_lag_alone(lag: int) -> None:
    items = as_restored(random_scene(4, 16), 4)
    for make in (lambda: Stabilizer(lag=lag), lambda: WeightRamp(SelectionConfig(), lag=lag)):
        whole = content([*run(make(), items)])
        stage, seen = make(), []
        for index, item in enumerate(items[:12]):
            seen += [*stage.push(item)]
            assert len(seen) >= index + 1 - lag
        assert content(seen) == whole[: len(seen)]


def test_style_codes_are_averaged_around_a_frame_and_equal_ones_stay() -> None:
    picture, codes = texture(0)[:SIDE, :SIDE], np.random.default_rng(1).normal(0, 1, (9, 14, 8)).astype(np.float32)

    def smoothed(codes: np.ndarray, lag: int | None = None) -> list[np.ndarray]:
        items = [FrameFaces(frame(i), (replace(face(0, picture), codes=own),)) for i, own in enumerate(codes)]
        return [one.codes for item in run(StyleSmoother(StyleConfig(frames=2), lag=lag), items) for one in item.faces]

    weights = np.array([5, 8, 9, 8, 5]) / 9
    np.testing.assert_allclose(smoothed(codes)[4], np.tensordot(weights / weights.sum(), codes[2:7], 1), rtol=1e-4)
    causal = weights[:3] / weights[:3].sum()
    np.testing.assert_allclose(smoothed(codes, 0)[4], np.tensordot(causal, codes[2:5], 1), rtol=1e-4)
    assert all(np.array_equal(one, codes[0]) for one in smoothed(np.stack([codes[0]] * 5)))


def test_options_out_of_range_are_refused() -> None:
    for options in ({"frames": 17}, {"frames": -1}, {"texture_tolerance": 0}, {"colour_tolerance": 256}):
        with pytest.raises(ConfigError, match=next(iter(options))):
            DenoiserConfig(**options)
    with pytest.raises(ConfigError, match="frames is 17; use 0 to 16"):
        StyleConfig(frames=17)
    with pytest.raises(ConfigError, match="max_weight_step"):
        SelectionConfig(max_weight_step=0)
    with pytest.raises(ConfigError, match="lag"):
        Denoiser(lag=-1)
