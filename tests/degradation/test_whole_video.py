"""Damage of single frames, in pixel terms."""

from collections.abc import Callable
from dataclasses import replace

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from skimage.data import astronaut

from vidrestore.degradation.medium.clip import MEDIA
from vidrestore.degradation.medium.dropouts import DropoutConfig, Dropouts, add_dropouts, draw_dropouts
from vidrestore.degradation.medium.motion import shift_between
from vidrestore.degradation.medium.profiles import DegradationProfile, profile_preset, sample_profile
from vidrestore.degradation.medium.surface import scratches_at
from vidrestore.degradation.medium.whole_video import exposed, through_medium
from vidrestore.errors import ConfigError

MakeProfile = Callable[..., DegradationProfile]
GREY = np.full((120, 160, 3), 128, np.uint8)
QUIET = draw_dropouts(DropoutConfig(), np.random.default_rng(0))


@pytest.fixture(scope="module")
def face() -> np.ndarray:
    """uint8 [128, 128, 3]."""
    return cv2.resize(astronaut()[20:220, 120:320], (128, 128), interpolation=cv2.INTER_AREA)


def test_flicker_has_the_deviation_that_was_asked_for(clean_profile: MakeProfile) -> None:
    medium = clean_profile(flicker=0.05).medium
    means = np.array([exposed(GREY, medium, seed=1, index=index).mean() for index in range(300)]) / 128
    assert abs(means.mean() - 1) < 0.01
    assert abs(means.std() - 0.05) < 0.008


def test_gate_weave_has_the_deviation_that_was_asked_for(face: np.ndarray, clean_profile: MakeProfile) -> None:
    medium = clean_profile(gate_weave=0.5).medium
    shifts = np.array([shift_between(face, exposed(face, medium, seed=1, index=index)) for index in range(200)])
    assert np.abs(shifts.mean(axis=0)).max() < 0.12
    np.testing.assert_allclose(shifts.std(axis=0), 0.5, rtol=0.2)


def test_without_damage_a_frame_is_exposed_as_it_was(face: np.ndarray, clean_profile: MakeProfile) -> None:
    assert np.array_equal(exposed(face, clean_profile().medium, seed=3, index=7), face)


@pytest.mark.parametrize("preset", MEDIA)
def test_a_frame_is_damaged_by_seed_and_index_alone(face: np.ndarray, preset: str) -> None:
    profile = sample_profile(profile_preset(preset), seed=4)

    def frame(seed: int, index: int) -> np.ndarray:
        return add_dropouts(
            exposed(face, profile.medium, seed=seed, index=index), profile.dropouts, seed=seed, index=index
        )

    later = frame(4, 9)
    frame(4, 1)
    assert np.array_equal(frame(4, 9), later)
    assert not np.array_equal(frame(4, 10), later)
    assert not np.array_equal(frame(5, 9), later)


def struck(dropouts: Dropouts, frames: int, *, seed: int = 0) -> np.ndarray:
    return np.stack([add_dropouts(GREY, dropouts, seed=seed, index=index) for index in range(frames)]).astype(int)


def test_streaks_are_white_thin_and_as_many_as_were_asked_for() -> None:
    clip = struck(replace(QUIET, streaks=1.5, streak_lengths=(0.2, 0.4)), 200)
    lines = (clip[..., 0] > 170).any(axis=2)
    assert clip.min() == 128
    # 30% take two lines; a few overlap or lie mostly outside
    assert 1.5 < lines.sum(axis=1).mean() < 2.2
    assert (~lines.any(axis=1)).mean() == pytest.approx(np.exp(-1.5), abs=0.1)
    longest = (clip[..., 0] > 130).sum(axis=2).max()
    assert 0.2 * 160 < longest <= 2 * 0.4 * 160


@pytest.mark.parametrize("pale", [False, True])
def test_dust_is_small_fresh_in_every_frame_and_of_one_colour(pale: bool) -> None:  # noqa: FBT001
    clip = struck(replace(QUIET, dust=5.0, dust_sizes=(0.005, 0.02), pale=pale), 60)
    touched = np.abs(clip[..., 0] - 128) > 20
    assert (clip >= 128).all() if pale else (clip <= 128).all()
    assert 0.0005 < touched.mean() < 0.02
    both = (touched[1:] & touched[:-1]).mean()
    assert both < 0.1 * touched.mean()


def test_a_scratch_stays_in_its_place_while_it_lasts() -> None:
    dropouts = replace(QUIET, scratches=0.02, scratch_frames=(40, 40))
    clip = struck(dropouts, 150, seed=3)
    columns = np.abs(clip[..., 0] - 128).mean(axis=1)
    scratched = [index for index in range(150) if columns[index].max() > 8]
    assert 20 < len(scratched) < 150
    alone = [i for i in scratched if len(list(scratches_at(3, i, starts=0.02, lasting=(40, 40)))) == 1]
    places = {next(scratches_at(3, i, starts=0.02, lasting=(40, 40))).first: int(columns[i].argmax()) for i in alone}
    for index in alone:
        (scratch,) = scratches_at(3, index, starts=0.02, lasting=(40, 40))
        assert abs(int(columns[index].argmax()) - places[scratch.first]) <= 4
        assert abs(int(columns[index].argmax()) - scratch.place * 160) <= 4


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 2**40), index=st.integers(0, 5000), lasting=st.integers(1, 200))
def test_scratches_are_there_through_all_their_frames_and_no_others(seed: int, index: int, lasting: int) -> None:
    def at(frame: int) -> set[object]:
        return set(scratches_at(seed, frame, starts=0.01, lasting=(1, lasting)))

    for scratch in at(index):
        last = scratch.first + scratch.frames - 1
        assert scratch.first <= index <= last
        assert scratch in at(scratch.first)
        assert scratch in at(last)
        assert scratch not in at(last + 1)
        assert not scratch.first or scratch not in at(scratch.first - 1)


@pytest.mark.parametrize("interlaced", [False, True])
def test_woven_fields_come_from_two_frames(clean_profile: MakeProfile, interlaced: bool) -> None:  # noqa: FBT001
    profile = clean_profile(interlacing="weave")
    codec = replace(profile.medium.codec, interlaced=interlaced)
    profile = replace(profile, medium=replace(profile.medium, codec=codec))
    levels = (40, 80, 120, 160)
    clip = [np.full((64, 64, 3), level, np.uint8) for level in levels]
    woven = [picture[..., 0].mean(axis=1) for picture in through_medium(clip, profile, seed=0)]
    for index in (1, 2, 3):
        assert woven[index][::2].mean() == pytest.approx(levels[index], abs=4)
        assert woven[index][1::2].mean() == pytest.approx(levels[index - 1], abs=4)


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: DropoutConfig(streaks=(2, 1)), "streaks"),
        (lambda: DropoutConfig(dust=(-1, 1)), "dust"),
        (lambda: DropoutConfig(scratch_frames=(0, 4)), "scratch_frames"),
        (lambda: DropoutConfig(pale_probability=2), "pale_probability"),
    ],
)
def test_wrong_dropouts_say_what_would_be_right(make: Callable[[], object], words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        make()
