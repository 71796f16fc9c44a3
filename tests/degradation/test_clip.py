import pickle
from collections.abc import Callable
from dataclasses import replace

import cv2
import numpy as np
import pytest
from skimage.data import astronaut

from vidrestore.degradation.medium import codec
from vidrestore.degradation.medium.clip import (
    MEDIA,
    MediumConfig,
    MediumParameters,
    degrade_clip,
    degrade_still,
    draw,
    medium_preset,
    still_to_clip,
)
from vidrestore.degradation.medium.codec import CodecConfig, CodecParameters, compress
from vidrestore.degradation.medium.imaging import add_grain, correlated_noise
from vidrestore.degradation.medium.motion import shift_between
from vidrestore.errors import ConfigError, RestorationError

NONE = (0, 0)
CLEAN = MediumConfig(
    scale=(1, 1),
    blur_sigma=NONE,
    flicker=NONE,
    grain_strength=NONE,
    read_noise=NONE,
    shot_noise=NONE,
    codecs=(CodecConfig(quality=NONE, presets=("ultrafast",)),),
)
"""Nothing but colour subsampling: a base on which a test lays one damage."""
CODINGS = [("h264", False), ("h264", True), ("mpeg2", False), ("mpeg2", True), ("mpeg4", False), ("mpeg4", True)]


def seeded(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def drawn(config: MediumConfig, **changes: object) -> MediumParameters:
    return replace(draw(config, seeded()), **changes)


def coding(name: str = "h264", quality: float = 4, **changes: object) -> CodecParameters:
    return replace(CodecParameters(name, quality, "veryfast", 12, 2, interlaced=False, corner=(3, 5)), **changes)


def counted(frames: int, side: int = 48) -> np.ndarray:
    """Frames that tell their place: grey, 10 levels brighter each."""
    return np.broadcast_to((np.arange(frames) * 10 + 40).astype(np.uint8)[:, None, None, None], (frames, side, side, 3))


def frozen(frames: int, picture: np.ndarray) -> np.ndarray:
    return np.repeat(picture[None], frames, axis=0)


def noise_ratio(a: np.ndarray, b: np.ndarray) -> float:
    return float(10 * np.log10(255**2 / np.mean((a.astype(np.float64) - b) ** 2)))


@pytest.fixture(scope="module")
def face() -> np.ndarray:
    """A public-domain face; uint8 [128, 128, 3]."""
    return cv2.resize(astronaut()[20:220, 120:320], (128, 128), interpolation=cv2.INTER_AREA)


@pytest.mark.parametrize(("name", "interlaced"), CODINGS)
@pytest.mark.parametrize("frames", [1, 2, 5, 17])
def test_every_frame_comes_out_and_in_order(name: str, interlaced: bool, frames: int) -> None:  # noqa: FBT001
    clip = counted(frames)
    decoded = compress(clip, coding(name, interlaced=interlaced))
    assert decoded.shape == clip.shape
    assert decoded.dtype == np.uint8
    np.testing.assert_allclose(decoded.mean(axis=(1, 2, 3)), clip[:, 0, 0, 0], atol=3)


@pytest.mark.parametrize("shape", [(16, 16), (17, 31), (50, 33)])
@pytest.mark.parametrize(("name", "interlaced"), CODINGS)
def test_any_size_comes_back_in_its_place(
    face: np.ndarray,
    name: str,
    interlaced: bool,  # noqa: FBT001
    shape: tuple[int, int],
) -> None:
    picture = cv2.resize(face, shape[::-1], interpolation=cv2.INTER_AREA)
    decoded = compress(frozen(3, picture), coding(name, 2, interlaced=interlaced))
    assert noise_ratio(decoded[2], picture) > 24


def test_chroma_is_really_subsampled() -> None:
    stripes = np.zeros((1, 32, 32, 3), np.uint8)
    stripes[:, :, ::2, 0], stripes[:, :, 1::2, 2] = 200, 200
    decoded = compress(stripes, coding(quality=0, corner=(0, 0))).astype(int)
    difference = decoded[..., 0] - decoded[..., 2]
    assert np.abs(difference[0, 8:-8, 8:-8]).max() < 60


@pytest.mark.parametrize("name", ["h264", "mpeg2", "mpeg4"])
def test_higher_quality_numbers_are_worse(face: np.ndarray, name: str) -> None:
    clip, _ = still_to_clip(face, 5, seeded())
    steps = (18, 26, 34, 42) if name == "h264" else (3, 8, 16, 30)
    ratios = [noise_ratio(compress(clip, coding(name, step)), clip) for step in steps]
    assert ratios == sorted(ratios, reverse=True)
    assert ratios[0] > ratios[-1] + 5


@pytest.mark.parametrize("preset", [*MEDIA, "mixed"])
def test_the_same_seed_gives_the_same_bytes(face: np.ndarray, preset: str) -> None:
    config = medium_preset(preset)
    first, again, other = (degrade_still(face, config, seeded(seed)) for seed in (7, 7, 8))
    assert first.shape == face.shape
    assert first.dtype == np.uint8
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)


@pytest.mark.parametrize("preset", MEDIA)
def test_a_clip_keeps_its_shape_and_repeats(face: np.ndarray, preset: str) -> None:
    clip, _ = still_to_clip(face[:100], 4, seeded())
    parameters = draw(medium_preset(preset), seeded(3))
    damaged = degrade_clip(clip, parameters, seeded(1))
    assert damaged.shape == clip.shape
    assert np.array_equal(damaged, degrade_clip(clip, parameters, seeded(1)))
    assert noise_ratio(damaged, clip) > 14


def test_damage_lasts_through_the_clip(face: np.ndarray) -> None:
    def sharpness(picture: np.ndarray) -> float:
        return float(cv2.Laplacian(picture, cv2.CV_64F).std())

    damaged = [
        degrade_clip(frozen(5, face), drawn(CLEAN, scale=scale, blur_sigma=1.0), seeded()) for scale in (1.0, 2.0, 4.0)
    ]
    levels = np.array([[sharpness(picture) for picture in clip] for clip in damaged])
    np.testing.assert_allclose(levels, np.repeat(levels[:, :1], 5, axis=1), rtol=0.05)
    assert levels[0, 0] > 1.5 * levels[1, 0] > 1.5**2 * levels[2, 0]


def test_flicker_changes_the_frames_brightness() -> None:
    grey = np.full((12, 32, 32, 3), 120, np.uint8)
    assert degrade_clip(grey, drawn(CLEAN), seeded()).mean(axis=(1, 2, 3)).std() < 0.3
    deviation = degrade_clip(grey, drawn(CLEAN, flicker=0.05), seeded()).mean(axis=(1, 2, 3)).std()
    assert 3 < deviation < 10


def test_grain_is_fresh_in_every_frame_and_strongest_in_mid_tones() -> None:
    tones = np.repeat(np.array([4, 64, 128, 192, 251], np.uint8), 40)
    clip = np.broadcast_to(tones[None, None, :, None], (4, 64, 200, 3))
    grainy = degrade_clip(clip, drawn(CLEAN, grain_strength=0.06, grain_size=0.8), seeded()).astype(np.float64)
    # away from the steps, whose sharp edges the codec rings around
    patches = (grainy - clip)[:, 8:-8].reshape(4, 48, 5, 40, 3)[:, :, :, 8:-8]
    patches = patches - patches.mean(axis=(1, 3), keepdims=True)
    dark, low, middle, high, bright = patches.std(axis=(0, 1, 3, 4))
    assert middle > low > 2 * dark
    assert middle > high > 2 * bright
    fields = patches[:, :, 2].reshape(4, -1)
    assert np.abs(np.corrcoef(fields) - np.eye(4)).max() < 0.2


def test_grain_is_as_strong_as_asked_and_spatially_correlated() -> None:
    grey = np.full((2, 128, 128, 3), 0.5, np.float32)
    for size in (0.0, 1.2):
        grain = add_grain(grey, seeded(), strength=0.05, size=size, colour=0.3) - grey
        assert grain.std() == pytest.approx(0.05, rel=0.1)
        neighbours = np.corrcoef(grain[0, :, :-1, 0].ravel(), grain[0, :, 1:, 0].ravel())[0, 1]
        assert (neighbours > 0.6) == (size > 0)


def test_correlated_noise_is_even_to_the_border() -> None:
    noise = correlated_noise(seeded(), (400, 12, 12, 1), across=1, along=1)
    np.testing.assert_allclose(noise.std(axis=0), 1, atol=0.25)


def comb(picture: np.ndarray) -> np.ndarray:
    """How unlike neighbouring lines are where lines two apart are alike; [H - 2, W]."""
    lines = picture.astype(np.float64).mean(axis=-1)
    return np.abs(lines[1:-1] - (lines[:-2] + lines[2:]) / 2)


@pytest.mark.parametrize("interlaced", [False, True])
def test_woven_fields_comb_only_where_things_move(interlaced: bool) -> None:  # noqa: FBT001
    clip = np.full((5, 64, 128, 3), 60, np.uint8)
    clip[:, :, 16:48] = 180  # stands still
    for index in range(5):
        clip[index, :, 72 + 6 * index : 84 + 6 * index] = 180
    parameters = drawn(CLEAN, interlacing="weave")
    parameters = replace(parameters, codec=replace(parameters.codec, quality=10, interlaced=interlaced))
    combs = comb(degrade_clip(clip, parameters, seeded())[3])
    assert combs[:, 72 + 6 * 2 : 84 + 6 * 3].mean() > 30
    assert combs[:, :64].max() < 15
    assert comb(degrade_clip(clip, replace(parameters, interlacing="blend"), seeded())[3]).max() < 15


def test_doubled_lines_come_in_pairs(face: np.ndarray) -> None:
    parameters = drawn(CLEAN, interlacing="double", codec=coding(quality=0, corner=(0, 0)), enlargement="bilinear")
    picture = degrade_clip(frozen(2, face), parameters, seeded())[1].astype(np.float64)
    # raised by half a line: every second line is one that was there, the others lie between two
    between = np.abs(picture[1:-1] - (picture[:-2] + picture[2:]) / 2).mean(axis=(1, 2))
    assert between[::2].mean() < 0.5 * between[1::2].mean() or between[1::2].mean() < 0.5 * between[::2].mean()


def test_a_still_becomes_a_clip_around_itself(face: np.ndarray) -> None:
    for target in (-1, 0, 2):
        clip, motion = still_to_clip(face, 5, seeded(), target=target)
        assert np.array_equal(clip[target], face)
        assert motion.target == target % 5
        assert np.abs(motion.shifts).max() < 5
        assert np.hypot(*motion.shifts.T).max() > 0.05
        assert all(not np.array_equal(clip[index], face) for index in range(5) if index != target % 5)


def phase_shift(before: np.ndarray, after: np.ndarray) -> np.ndarray:
    """(x, y) in pixels, by phase correlation of smoothed luma."""
    pictures = [
        cv2.GaussianBlur(cv2.cvtColor(p, cv2.COLOR_RGB2GRAY).astype(np.float64), (0, 0), 3) for p in (before, after)
    ]
    window = cv2.createHanningWindow(before.shape[1::-1], cv2.CV_64F)
    return np.array(cv2.phaseCorrelate(*pictures, window)[0])


def test_shifts_are_seen(face: np.ndarray) -> None:
    moved = cv2.warpAffine(face, np.array([[1, 0, 0.7], [0, 1, -0.4]]), (128, 128), flags=cv2.INTER_CUBIC)
    np.testing.assert_allclose(phase_shift(face, moved), (0.7, -0.4), atol=0.1)
    np.testing.assert_allclose(shift_between(face, moved), (0.7, -0.4), atol=0.1)
    assert np.array_equal(shift_between(np.zeros_like(face), np.zeros_like(face)), (0, 0))


@pytest.mark.parametrize("preset", MEDIA)
def test_a_degraded_still_stays_in_its_place(face: np.ndarray, preset: str) -> None:
    large = cv2.resize(face, (256, 256), interpolation=cv2.INTER_CUBIC)
    generator = seeded(11)
    shifts = np.array([phase_shift(large, degrade_still(large, medium_preset(preset), generator)) for _ in range(16)])
    assert np.hypot(*shifts.mean(axis=0)) < 0.3
    # the median, for the estimate itself fails on the most damaged
    assert np.median(np.hypot(*shifts.T)) < 0.3


@pytest.mark.parametrize("interlacing", ["weave", "double", "blend"])
def test_fields_do_not_shift_a_still(face: np.ndarray, interlacing: str) -> None:
    large = cv2.resize(face, (256, 256), interpolation=cv2.INTER_CUBIC)
    config = replace(CLEAN, scale=(3, 3), interlace_probability=1, interlacings=(interlacing,))
    shifts = np.array([phase_shift(large, degrade_still(large, config, seeded(seed))) for seed in range(6)])
    assert np.hypot(*shifts.T).mean() < 0.15


def test_parameters_and_configuration_pickle() -> None:
    for name in (*MEDIA, "mixed"):
        config = medium_preset(name)
        assert pickle.loads(pickle.dumps(config)) == config  # noqa: S301  its own
        parameters = draw(config, seeded())
        assert pickle.loads(pickle.dumps(parameters)) == parameters  # noqa: S301
        assert draw(config, seeded()) == parameters


def test_mixed_draws_every_medium() -> None:
    generator = seeded()
    drawn_codecs = {draw(medium_preset("mixed"), generator).codec.name for _ in range(60)}
    assert drawn_codecs == {"h264", "mpeg2", "mpeg4"}


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: medium_preset("betamax"), ["betamax", "vhs", "mixed"]),
        (lambda: MediumConfig(scale=(4, 2)), ["scale", "(4, 2)"]),
        (lambda: MediumConfig(scale=(0.5, 2)), ["scale", "within 1 to"]),
        (lambda: MediumConfig(grain_strength=(0, float("nan"))), ["grain_strength"]),
        (lambda: MediumConfig(interlace_probability=1.5), ["interlace_probability", "1.5"]),
        (lambda: MediumConfig(interlacings=("yadif",)), ["yadif", "weave"]),
        (lambda: MediumConfig(enlargements=()), ["enlargements", "bicubic"]),
        (lambda: MediumConfig(codecs=()), ["codecs"]),
        (lambda: MediumConfig(mix=("mixed",)), ["mix", "film16"]),
        (lambda: CodecConfig("vp9"), ["vp9", "mpeg2"]),
        (lambda: CodecConfig("mpeg2", quality=(1, 40)), ["quality", "31"]),
        (lambda: CodecConfig(presets=("hasty",)), ["hasty", "medium"]),
        (lambda: CodecConfig(b_frames=(0, 99)), ["b_frames", "16"]),
        (lambda: still_to_clip(np.zeros((32, 32, 3), np.uint8), 0, seeded()), ["0"]),
        (lambda: still_to_clip(np.zeros((32, 32, 3), np.uint8), 3, seeded(), target=3), ["3", "among"]),
    ],
)
def test_a_wrong_configuration_says_what_would_be_right(make: Callable[[], object], words: list[str]) -> None:
    with pytest.raises(ConfigError) as caught:
        make()
    assert all(word in str(caught.value) for word in words)


@pytest.mark.parametrize(
    ("clip", "words"),
    [
        (np.zeros((2, 32, 32, 3), np.float32), ["float32", "uint8"]),
        (np.zeros((32, 32, 3), np.uint8), ["[32, 32, 3]", "[T, H, W, 3]"]),
        (np.zeros((2, 32, 32, 4), np.uint8), ["[2, 32, 32, 4]"]),
        (np.zeros((0, 32, 32, 3), np.uint8), ["[0, 32, 32, 3]", "one frame"]),
        (np.zeros((2, 8, 32, 3), np.uint8), ["[2, 8, 32, 3]", "16"]),
        ([[1, 2]], ["list"]),
    ],
)
def test_a_wrong_clip_says_what_came(clip: np.ndarray, words: list[str]) -> None:
    with pytest.raises(RestorationError) as caught:
        degrade_clip(clip, drawn(CLEAN), seeded())
    assert all(word in str(caught.value) for word in words)


def test_a_wrong_still_says_what_came(face: np.ndarray) -> None:
    with pytest.raises(RestorationError, match=r"float64 \[128, 128, 3\]"):
        degrade_still(face / 255, CLEAN, seeded())


def test_errors_of_the_codec_are_ours(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(RestorationError, match="sluggish"):
        compress(counted(2), coding(preset="sluggish"))
    monkeypatch.setitem(codec._ENCODERS, "h264", "libnone264")
    with pytest.raises(ConfigError, match="libnone264"):
        compress(counted(2), coding())
