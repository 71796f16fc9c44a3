"""Profiles are drawn once for a video, within their presets."""

import pickle
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vidrestore.degradation.medium.clip import MEDIA
from vidrestore.degradation.medium.profiles import PROFILE_NAMES, ProfileConfig, profile_preset, sample_profile
from vidrestore.errors import ConfigError


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 2**63), preset=st.sampled_from(MEDIA))
def test_a_profile_lies_within_its_preset_and_follows_from_the_seed(seed: int, preset: str) -> None:
    config = profile_preset(preset)
    profile = sample_profile(config, seed=seed)
    assert profile == sample_profile(config, seed=seed)
    assert config.medium.scale[0] <= profile.medium.scale <= config.medium.scale[1]
    assert config.dropouts.streaks[0] <= profile.dropouts.streaks <= config.dropouts.streaks[1]
    assert profile.medium.codec.corner == (0, 0)
    (codec,) = (codec for codec in config.medium.codecs if codec.name == profile.medium.codec.name)
    assert codec.bits_per_pixel is not None
    assert profile.medium.codec.bits_per_pixel is not None
    assert codec.bits_per_pixel[0] <= profile.medium.codec.bits_per_pixel <= codec.bits_per_pixel[1]


def test_only_tapes_have_streaks_and_only_film_has_dust_and_scratches() -> None:
    for preset in MEDIA:
        dropouts = sample_profile(profile_preset(preset), seed=1).dropouts
        assert bool(dropouts.streaks) == (preset == "vhs")
        assert bool(dropouts.dust) == bool(dropouts.scratches) == (preset == "film16")


def test_mixed_draws_every_medium() -> None:
    profiles = [sample_profile(profile_preset("mixed"), seed=seed) for seed in range(60)]
    assert any(profile.dropouts.streaks for profile in profiles)
    assert any(profile.dropouts.dust for profile in profiles)
    assert {profile.medium.codec.name for profile in profiles} == {"h264", "mpeg2", "mpeg4"}


def test_an_unknown_preset_names_the_known_ones() -> None:
    with pytest.raises(ConfigError) as caught:
        profile_preset("betamax")
    assert all(name in str(caught.value) for name in ("betamax", *PROFILE_NAMES))
    with pytest.raises(ConfigError, match="betamax"):
        replace(ProfileConfig(), mix=("betamax",))


def test_profiles_pickle() -> None:
    profile = sample_profile(profile_preset("film16"), seed=3)
    assert pickle.loads(pickle.dumps(profile)) == profile  # noqa: S301  its own
