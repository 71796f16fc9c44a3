"""A whole film through one encoder and one decoder."""

from dataclasses import replace

import numpy as np
import pytest

from vidrestore.degradation.medium import codec
from vidrestore.degradation.medium.codec import CodecConfig, CodecParameters, compress, draw_codec
from vidrestore.degradation.medium.codec_stream import VideoCodecRoundTrip
from vidrestore.errors import ConfigError, RestorationError
from vidrestore.stages import run
from vidrestore.types import UInt8

CODINGS = [("h264", False), ("h264", True), ("mpeg2", False), ("mpeg2", True), ("mpeg4", False)]


def coding(name: str = "h264", bits: float | None = 4, **changes: object) -> CodecParameters:
    base = CodecParameters(name, 10, "veryfast", 12, 2, interlaced=False, corner=(0, 0), bits_per_pixel=bits)
    return replace(base, **changes)


def moving(frames: int, height: int = 48, width: int = 80) -> list[UInt8]:
    """A grey texture that wanders, 2 pixels a frame."""
    texture = np.random.default_rng(0).integers(40, 200, (height // 4, width // 4, 1), dtype=np.uint8)
    large = np.kron(texture, np.ones((4, 4, 3), np.uint8))
    return [np.roll(large, 2 * index, axis=1) for index in range(frames)]


def ratio(ours: list[UInt8], truth: list[UInt8]) -> float:
    error = np.mean((np.stack(ours).astype(float) - np.stack(truth)) ** 2)
    return float(10 * np.log10(255**2 / error))


@pytest.mark.parametrize(("name", "interlaced"), CODINGS)
@pytest.mark.parametrize("frames", [0, 1, 2, 5, 70])
def test_every_picture_comes_out_in_its_place(name: str, interlaced: bool, frames: int) -> None:  # noqa: FBT001
    levels = [60 + 2 * (index % 50) for index in range(frames)]
    clip = [np.full((33, 50, 3), level, np.uint8) for level in levels]
    shown = list(run(VideoCodecRoundTrip(coding(name, interlaced=interlaced)), clip))
    assert [picture.shape for picture in shown] == [(33, 50, 3)] * frames
    np.testing.assert_allclose([picture.mean() for picture in shown], levels, atol=3)


@pytest.mark.parametrize("name", ["h264", "mpeg2", "mpeg4"])
def test_fewer_bits_are_worse(name: str) -> None:
    clip = moving(60)
    ratios = [ratio(list(run(VideoCodecRoundTrip(coding(name, bits)), clip)), clip) for bits in (1.0, 0.3, 0.05)]
    assert ratios == sorted(ratios, reverse=True)
    assert ratios[0] > ratios[-1] + 2


@pytest.mark.parametrize("name", ["h264", "mpeg2", "mpeg4"])
def test_a_video_is_coded_the_same_every_time(name: str) -> None:
    clip = moving(30)
    first = np.stack(list(run(VideoCodecRoundTrip(coding(name, 0.3, preset="medium")), clip)))
    for _ in range(5):
        compress(np.stack(clip[:5]), coding(name, None))  # other work in between, for its memory is found again
        assert np.array_equal(first, np.stack(list(run(VideoCodecRoundTrip(coding(name, 0.3, preset="medium")), clip))))


def test_the_coder_starts_giving_before_the_video_ends() -> None:
    coder = VideoCodecRoundTrip(coding("mpeg2"))
    given = [len(coder.push(picture)) for picture in moving(20)]
    assert sum(given[:8]) > 0
    assert sum(given) + len(coder.flush()) == 20


def test_quality_pumps_with_the_groups_of_pictures() -> None:
    still = moving(1) * 48
    shown = list(run(VideoCodecRoundTrip(coding("mpeg2", 0.4)), still))
    errors = np.array([ratio([picture], still[:1]) for picture in shown[12:]])
    assert errors.std() > 0.05


def test_a_rate_is_drawn_within_its_bounds_and_leaves_other_draws_as_they_were() -> None:
    plain, rated = CodecConfig(), CodecConfig(bits_per_pixel=(0.1, 0.2))
    without, held = (draw_codec(config, np.random.default_rng(5), interlaced=False) for config in (plain, rated))
    assert without.bits_per_pixel is None
    assert held.bits_per_pixel is not None
    assert 0.1 <= held.bits_per_pixel <= 0.2
    assert replace(held, bits_per_pixel=None) == without
    with pytest.raises(ConfigError, match="bits_per_pixel"):
        CodecConfig(bits_per_pixel=(0, 20))


def test_errors_of_the_codec_are_ours(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(RestorationError, match="sluggish"):
        list(run(VideoCodecRoundTrip(coding(preset="sluggish")), moving(2)))
    monkeypatch.setitem(codec._ENCODERS, "h264", "libnone264")
    with pytest.raises(ConfigError, match="libnone264"):
        list(run(VideoCodecRoundTrip(coding()), moving(2)))


def test_a_lost_picture_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    coder = VideoCodecRoundTrip(coding("mpeg2"))
    for picture in moving(6):
        coder.push(picture)
    monkeypatch.setattr(coder, "_given", 0)
    with pytest.raises(RestorationError, match="in order"):
        coder.flush()
