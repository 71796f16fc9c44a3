"""Looks are drawn once for a film, within their presets."""

import pickle
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vidrestore.degradation.medium.clip import MEDIA
from vidrestore.degradation.medium.profiles import LOOK_NAMES, LookConfig, look_preset, sample_profile
from vidrestore.errors import ConfigError


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 2**63), preset=st.sampled_from(MEDIA))
def test_a_look_lies_within_its_preset_and_follows_from_the_seed(seed: int, preset: str) -> None:
    config = look_preset(preset)
    look = sample_profile(config, seed=seed)
    assert look == sample_profile(config, seed=seed)
    assert config.film.scale[0] <= look.film.scale <= config.film.scale[1]
    assert config.dropouts.streaks[0] <= look.dropouts.streaks <= config.dropouts.streaks[1]
    assert look.film.codec.corner == (0, 0)
    (codec,) = (codec for codec in config.film.codecs if codec.name == look.film.codec.name)
    assert codec.bits_per_pixel is not None
    assert look.film.codec.bits_per_pixel is not None
    assert codec.bits_per_pixel[0] <= look.film.codec.bits_per_pixel <= codec.bits_per_pixel[1]


def test_only_tapes_have_streaks_and_only_film_has_dust_and_scratches() -> None:
    for preset in MEDIA:
        dropouts = sample_profile(look_preset(preset), seed=1).dropouts
        assert bool(dropouts.streaks) == (preset == "vhs")
        assert bool(dropouts.dust) == bool(dropouts.scratches) == (preset == "film16")


def test_mixed_draws_every_medium() -> None:
    looks = [sample_profile(look_preset("mixed"), seed=seed) for seed in range(60)]
    assert any(look.dropouts.streaks for look in looks)
    assert any(look.dropouts.dust for look in looks)
    assert {look.film.codec.name for look in looks} == {"h264", "mpeg2", "mpeg4"}


def test_an_unknown_preset_names_the_known_ones() -> None:
    with pytest.raises(ConfigError) as caught:
        look_preset("betamax")
    assert all(name in str(caught.value) for name in ("betamax", *LOOK_NAMES))
    with pytest.raises(ConfigError, match="betamax"):
        replace(LookConfig(), mix=("betamax",))


def test_looks_pickle() -> None:
    look = sample_profile(look_preset("film16"), seed=3)
    assert pickle.loads(pickle.dumps(look)) == look  # noqa: S301  its own
