"""The whole composition, without files: what holds for a film wherever it is cut, and for a stream as it runs."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch
from skimage.data import astronaut

from support.networks import Contrast
from vidrestore.config import update
from vidrestore.errors import ConfigError
from vidrestore.faces.detector import FaceDetector
from vidrestore.media.reader import VideoReader
from vidrestore.models.visibility import FaceVisibility
from vidrestore.report import Recorder
from vidrestore.restoration.clips.restorer import ClipRestorer
from vidrestore.restoration.config import RestoreConfig
from vidrestore.restoration.pipeline import InferenceModels, restore_frames
from vidrestore.restoration.quality_limits import QualityLimits
from vidrestore.restoration.support import lags_of, pixel_support, within_budget
from vidrestore.stages import Inline
from vidrestore.types import Frame, UInt8

pytestmark = pytest.mark.integration

WIDTH, HEIGHT = 320, 240
RATE = 25
LIVE = {"lag": 0, "tracker": {"coast_seconds": 0.3, "min_hits": 1}}


def sharpen(crops: Sequence[UInt8]) -> list[UInt8]:
    """A restorer that makes of noise what a network makes of it: more."""
    return [cv2.addWeighted(crop, 2.5, cv2.GaussianBlur(crop, (0, 0), 2), -1.5, 8).astype(np.uint8) for crop in crops]


@pytest.fixture(scope="module")
def parts() -> InferenceModels:
    return InferenceModels(Inline(FaceDetector()), Inline(sharpen), crop_size=128, batch_size=1)


def frame_of(picture: UInt8, index: int, rate: Fraction | int = RATE) -> Frame:
    planes = tuple(np.ascontiguousarray(picture[..., channel]) for channel in (1, 2, 0))  # gbrp
    return Frame(index, index, 1 / Fraction(rate), 1, WIDTH, HEIGHT, "gbrp", planes)


def face_at(x: float, y: float, *, scale: float = 0.65, flip: bool = False) -> np.ndarray:
    """float64 [2, 3]: portrait pixels -> picture pixels with the middle of the face at (x, y)."""
    matrix = np.array([[scale, 0, x - 224 * scale], [0, scale, y - 116 * scale]])
    return np.array([[-scale, 0, x + 224 * scale], matrix[1]]) if flip else matrix


def draw(matrix: np.ndarray, onto: UInt8 | None = None) -> UInt8:
    """The portrait; onto another picture, its head alone."""
    portrait = astronaut()
    if onto is None:
        return cv2.warpAffine(
            portrait, matrix, (WIDTH, HEIGHT), flags=cv2.INTER_AREA, borderMode=cv2.BORDER_REFLECT_101
        )
    head = np.zeros(portrait.shape[:2], np.float32)
    cv2.ellipse(head, (224, 110), (62, 88), 0, 0, 360, 1.0, -1)
    drawn = cv2.warpAffine(portrait, matrix, (WIDTH, HEIGHT), flags=cv2.INTER_AREA)
    share = cv2.GaussianBlur(cv2.warpAffine(head, matrix, (WIDTH, HEIGHT)), (0, 0), 1.5)[..., None]
    return (onto + share * (drawn.astype(np.float32) - onto)).astype(np.uint8)


def grainy(pictures: Sequence[UInt8], seed: int = 0) -> list[UInt8]:
    generator = np.random.default_rng(seed)
    return [(picture + generator.normal(0, 4, picture.shape)).clip(0, 255).astype(np.uint8) for picture in pictures]


def walking(frames: int) -> list[Frame]:
    """A face that drifts in front of a camera, with grain."""
    pictures = [draw(face_at(110 + 1.3 * index, 120 + 6 * np.sin(index / 9))) for index in range(frames)]
    return [frame_of(picture, index) for index, picture in enumerate(grainy(pictures))]


def restored(frames: Sequence[Frame], parts: InferenceModels, options: Mapping[str, Any] | None = None) -> list[Frame]:
    return [*restore_frames(frames, parts, update(RestoreConfig(), options or {}), Recorder())]


def same(one: Frame, other: Frame) -> bool:
    return all(np.array_equal(mine, yours) for mine, yours in zip(one.planes, other.planes, strict=True))


def changed(before: Frame, after: Frame) -> np.ndarray:
    """bool [h, w]."""
    return np.any([mine != yours for mine, yours in zip(before.planes, after.planes, strict=True)], axis=0)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("start", "stop"),
    [(60, 75), *(pytest.param(*span, marks=pytest.mark.nightly) for span in ((47, 61), (88, 100)))],
)
def test_a_video_cut_into_segments_equals_the_video_done_whole(parts: InferenceModels, start: int, stop: int) -> None:
    frames = walking(120)
    whole = restored(frames, parts)
    assert changed(frames[70], whole[70]).sum() > 1000
    lead_in, lead_out = round(1.6 * RATE), round(0.9 * RATE)
    first = start - lead_in
    span = frames[first : stop + lead_out]
    part = restored(span, parts)
    for index in range(start, stop):
        assert same(part[index - first], whole[index]), f"frame {index} differs"
    seen: list[UInt8] = []

    def watched(crops: Sequence[UInt8]) -> list[UInt8]:
        seen.extend(crops)
        return sharpen(crops)

    counted = restore_frames(
        span,
        replace(parts, restorer=Inline(watched)),
        RestoreConfig(),
        Recorder(),
        is_counted=lambda frame: start <= frame.index < stop,
    )
    for frame in counted:
        wanted = whole[frame.index] if start <= frame.index < stop else frames[frame.index]
        assert same(frame, wanted), f"frame {frame.index} differs"
    support = pixel_support(RestoreConfig())
    assert len(seen) == stop - start + support.past_frames + support.future_frames < len(span)


@pytest.mark.slow
@pytest.mark.parametrize("clip_frames", [60, 7])
def test_clips_cut_anywhere_give_the_video_done_whole(parts: InferenceModels, clip_frames: int) -> None:
    config = update(RestoreConfig(), {"restorer": {"clip_frames": clip_frames}})
    network: Any = Contrast()
    in_clips = replace(parts, clips=Inline(ClipRestorer(network, FaceVisibility("cpu"), config)))
    frames = walking(70)
    whole = [*restore_frames(frames, in_clips, RestoreConfig(), Recorder())]
    assert changed(frames[45], whole[45]).sum() > 1000
    counted = restore_frames(
        frames, in_clips, config, Recorder(), is_counted=lambda frame: 40 <= frame.index < 55, overlap=True
    )
    for frame in counted:
        assert same(frame, whole[frame.index] if 40 <= frame.index < 55 else frames[frame.index])


@pytest.mark.nightly
@pytest.mark.slow
def test_segments_equal_the_video_where_little_can_be_held_back(parts: InferenceModels) -> None:
    """As of frames so large that the budget holds six of them."""
    usual = RestoreConfig()
    bounded = within_budget(usual, usual.buffer_mib * 2**20 // 12)
    assert (bounded.tracker.lookahead, bounded.detection.frames_per_batch) == (6, 1)
    small = replace(parts, frames_per_batch=1)
    frames = walking(120)
    whole = [*restore_frames(frames, small, bounded, Recorder())]
    assert changed(frames[70], whole[70]).sum() > 1000
    first = 60 - round(1.6 * RATE)
    part = [*restore_frames(frames[first : 75 + round(0.9 * RATE)], small, bounded, Recorder())]
    for index in range(60, 75):
        assert same(part[index - first], whole[index]), f"frame {index} differs"


@pytest.mark.parametrize(("lag", "held"), [(0, 0), (8, 8)])
def test_a_live_picture_depends_on_the_past_and_the_lag_alone(parts: InferenceModels, lag: int, held: int) -> None:
    options = update(RestoreConfig(), {**LIVE, "lag": lag})
    frames = walking(30)
    settled = 12
    other = [*frames[:20], *(frame_of(255 - draw(face_at(200, 90)), index) for index in range(20, 30))]
    one, two = ([*restore_frames(video, parts, options, Recorder())] for video in (frames, other))
    alike = [same(mine, yours) for mine, yours in zip(one, two, strict=True)]
    assert all(alike[: 20 - held])
    assert not any(alike[20:])
    assert all(changed(frames[index], one[index]).any() for index in range(settled, 20))


def test_a_live_stream_gives_each_frame_before_it_asks_for_more_than_its_lag(parts: InferenceModels) -> None:
    asked = 0

    def source() -> Iterator[Frame]:
        nonlocal asked
        for frame in walking(24):
            asked += 1
            yield frame

    options = {**LIVE, "detection": {"batch_size": 1, "frames_per_batch": 1}}
    live = InferenceModels(parts.detector, parts.restorer, crop_size=128, batch_size=1, frames_per_batch=1)
    stream = restore_frames(source(), live, update(RestoreConfig(), options), Recorder())
    for given, _ in enumerate(stream, 1):
        assert asked == given


def test_a_cut_between_two_faces_mixes_nothing(parts: InferenceModels) -> None:
    """Each side of the cut comes out as if the other were not there."""
    first = grainy([draw(face_at(160 + index, 120)) for index in range(14)], seed=1)
    second = grainy([draw(face_at(165 - index, 118, flip=True))[:, :, ::-1] for index in range(14)], seed=2)
    frames = [frame_of(picture, index) for index, picture in enumerate([*first, *second])]
    together = restored(frames, parts)
    apart = [*restored(frames[:14], parts), *restored(frames[14:], parts)]
    assert all(changed(before, after).any() for before, after in zip(frames, together, strict=True))
    different = [index for index, (one, other) in enumerate(zip(together, apart, strict=True)) if not same(one, other)]
    assert different == []


@pytest.mark.parametrize("rate", [12, 25])
def test_a_face_that_leaves_and_comes_back_does_not_pop(parts: InferenceModels, rate: int) -> None:
    """The share of the restored face in the picture never jumps by more than a quarter."""
    empty = np.full((HEIGHT, WIDTH, 3), 90, np.uint8)
    there = [not 3 * rate / 2 < index < 3 * rate for index in range(4 * rate)]
    pictures = [draw(face_at(160, 120), empty) if shown else empty for shown in there]
    frames = [frame_of(picture, index, rate) for index, picture in enumerate(pictures)]
    invert = InferenceModels(
        parts.detector, Inline(lambda crops: [255 - crop for crop in crops]), crop_size=128, batch_size=1
    )
    options = {"stabilizer": {"blend": False, "colour_lock": 0.0}}
    results = restored(frames, invert, options)
    shares = [_share(before, after) for before, after in zip(frames, results, strict=True)]
    assert max(shares) > 0.95
    assert min(shares) == 0
    assert 0 < np.abs(np.diff(shares)).max() <= 0.27


def _share(before: Frame, after: Frame) -> float:
    """How much of the inverted face shows in a patch of the cheeks."""
    patch = (slice(108, 128), slice(146, 174))
    video = np.stack([plane[patch] for plane in before.planes]).astype(float)
    result = np.stack([plane[patch] for plane in after.planes]).astype(float)
    wanted = 255 - 2 * video
    return float((wanted * (result - video)).sum() / (wanted**2).sum())


@pytest.mark.parametrize("lookahead", [0, 128])
def test_two_faces_that_cross_keep_their_identities(parts: InferenceModels, lookahead: int) -> None:
    """One walks before the other: each frame's track ids are read off a selection of one face at a time."""
    frames, truth = crossing()
    options = update(RestoreConfig(), {"tracker": {"lookahead": lookahead, "coast_seconds": 0.3, "min_hits": 1}})
    found = tracks_of(frames, parts, options)
    near = {0: set[int](), 1: set[int]()}
    for centres, tracks in zip(truth, found, strict=True):
        for who, x in enumerate(centres):
            close = [track for track, at in tracks.items() if abs(at - x) < 18]
            other = abs(centres[0] - centres[1])
            if close and other > 60:
                near[who].update(close)
    assert [len(ids) for ids in near.values()] == [1, 1]
    assert near[0] != near[1]


@pytest.mark.parametrize("lookahead", [0, 128])
def test_walkers_keep_their_identities(shared: Path, parts: InferenceModels, lookahead: int) -> None:
    """A real film: a woman on the left and a man on the right, side by side, towards the camera."""
    with VideoReader(shared / "clips" / "face-demographics-walking.gif") as reader:
        config = update(RestoreConfig(), {"tracker": {"lookahead": lookahead, "coast_seconds": 0.3}})
        found = tracks_of([*reader], parts, config)
    known = {track for tracks in found for track in tracks}
    assert len(known) == 2
    both = [tracks for tracks in found if len(tracks) == 2]
    assert len(both) > 10
    assert len({min(tracks, key=lambda track: tracks[track]) for tracks in both}) == 1


@pytest.fixture(scope="module")
def seeing(parts: InferenceModels) -> InferenceModels:
    """A restorer that turns faces into their negatives, so that it shows wherever it is."""
    negative = Inline(lambda crops: [255 - crop for crop in crops])
    return InferenceModels(
        parts.detector, negative, crop_size=128, batch_size=1, visibility=Inline(FaceVisibility("cpu"))
    )


@pytest.mark.parametrize("colour", [(90, 90, 90), (196, 148, 122)], ids=["grey", "skin"])
def test_a_bar_that_crosses_a_face_stays_whole(seeing: InferenceModels, colour: tuple[int, int, int]) -> None:
    frames, bars = [], []
    for index in range(24):
        picture, bar = draw(face_at(160, 120, scale=0.9)).copy(), np.zeros((HEIGHT, WIDTH), np.uint8)
        left = 100 + 4 * index
        cv2.rectangle(bar, (left, 0), (left + 22, HEIGHT), 1, -1)
        picture[bar > 0] = colour
        frames.append(frame_of(cv2.GaussianBlur(picture, (0, 0), 0.7), index))
        bars.append(cv2.erode(bar, np.ones((5, 5), np.uint8)) > 0)
    options = {"stabilizer": {"colour_lock": 0.0}}
    careless = restored(frames, seeing, {**options, "occlusion": {"enabled": False}})
    careful = restored(frames, seeing, options)
    damage = []
    for before, all_over, kept, bar in zip(frames, careless, careful, bars, strict=True):
        painted = changed(before, all_over) & bar
        if painted.sum() > 200:
            damage.append([np.abs(_green(after) - _green(before))[painted].mean() for after in (kept, all_over)])
        assert (changed(before, kept) & ~bar).sum() > 1500, "the rest of the face is restored"
    assert len(damage) > 8
    with_mask, without = np.mean(damage, axis=0)
    assert with_mask < 0.25 * without


def _green(frame: Frame) -> np.ndarray:
    return frame.planes[0].astype(np.float32)


def test_steady_codes_want_a_restorer_that_has_codes(parts: InferenceModels) -> None:
    with pytest.raises(ConfigError, match=r"style\.frames is above 0"):
        restored(walking(2), parts, {"style": {"frames": 2}})


def crossing() -> tuple[list[Frame], list[tuple[float, float]]]:
    empty = cv2.GaussianBlur(np.random.default_rng(3).integers(60, 130, (HEIGHT, WIDTH, 3)).astype(np.uint8), (0, 0), 3)
    pictures, truth = [], []
    for index in range(70):
        behind, before = 60 + 2.9 * index, 260 - 2.9 * index
        picture = draw(face_at(behind, 112, scale=0.5), empty)
        pictures.append(draw(face_at(before, 132, scale=0.62, flip=True), picture))
        truth.append((behind, before))
    return [frame_of(picture, index) for index, picture in enumerate(pictures)], truth


def tracks_of(frames: Sequence[Frame], parts: InferenceModels, config: RestoreConfig) -> list[dict[int, float]]:
    """For every frame, the middle of each track's face, x."""
    from vidrestore.restoration import pipeline  # noqa: PLC0415  its stages, one by one

    detected = pipeline.find_faces(frames, parts.detector, config, Recorder())
    tracked = pipeline._track(detected, config.tracker, Recorder())
    return [{track.id: float((track.to_display @ [0.5, 0.55, 1])[0]) for track in item.faces} for item in tracked]


@pytest.mark.parametrize("lag", range(9))
def test_a_lag_is_divided_among_the_stages(lag: int) -> None:

    shares = lags_of(RestoreConfig(lag=lag))
    assert shares.tracker + shares.denoiser + shares.codes + shares.fader + shares.stabilizer == lag


@pytest.mark.parametrize("lag", [0, 1, 4, 8])
def test_a_live_stream_holds_back_as_many_frames_as_its_lag(parts: InferenceModels, lag: int) -> None:
    frames = crossing()[0][:12]
    config = update(RestoreConfig(), {"lag": lag, "detection": {"batch_size": 1, "frames_per_batch": 1}})
    one_by_one = replace(parts, batch_size=1, frames_per_batch=1)
    drawn: list[int] = []

    def draw() -> Iterator[Frame]:
        for frame in frames:
            drawn.append(frame.index)
            yield frame

    restored = restore_frames(draw(), one_by_one, config, Recorder(), limits=QualityLimits())
    for index, frame in enumerate(restored):
        assert frame.index == index
        assert len(drawn) <= min(len(frames), index + 1 + lag)
    assert len(drawn) == 12


def test_the_time_of_the_network_is_told_where_faces_are_carried(parts: InferenceModels) -> None:
    recorder = Recorder()
    one_by_one = replace(parts, batch_size=1, frames_per_batch=1)
    config = update(RestoreConfig(), {"lag": 0, "detection": {"batch_size": 1, "frames_per_batch": 1}})
    frames = crossing()[0][:8]
    restored = [*restore_frames(frames, one_by_one, config, recorder, limits=QualityLimits(restore_every=4))]
    assert len(restored) == 8
    assert recorder.counts.faces_propagated > 0
    assert recorder.seconds["network"] > 0


def test_a_lag_that_is_too_long_is_refused() -> None:
    with pytest.raises(ConfigError, match="lag is 9"):
        RestoreConfig(lag=9)


class Painter(Contrast):
    """A network that invents colours everywhere, other ones in every cell."""

    def restore_images(self, crops: torch.Tensor) -> torch.Tensor:
        paint = torch.rand((1, 3, 8, 8), generator=torch.Generator().manual_seed(0)) - 0.5
        tint = torch.nn.functional.interpolate(paint * 200, size=crops.shape[-2:], mode="bilinear")
        return (super().restore_images(crops).float() + tint).clamp(0, 255).to(torch.uint8)


@pytest.mark.parametrize("way", ["frames", "clips", "live"])
@pytest.mark.parametrize("pixel_format", ["yuv420p", "yuv420p10le"])
@pytest.mark.parametrize("tone", [(128, 128), (112, 142)], ids=["black and white", "sepia"])
def test_no_colour_is_invented_in_a_video_of_one_tone(way: str, pixel_format: str, tone: tuple[int, int]) -> None:
    scale, kind = (4, np.uint16) if pixel_format.endswith("10le") else (1, np.uint8)
    chroma = tuple(np.full((HEIGHT // 2, WIDTH // 2), code * scale, kind) for code in tone)
    pictures = grainy([draw(face_at(150 + index, 120)) for index in range(10)])
    frames = [
        replace(
            frame_of(picture, index),
            pixel_format=pixel_format,
            planes=((16 + cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY) * (219 / 255)).astype(kind) * kind(scale), *chroma),
        )
        for index, picture in enumerate(pictures)
    ]
    painter = Painter()
    clips = Inline(ClipRestorer(painter, None, RestoreConfig())) if way == "clips" else None
    parts = InferenceModels(Inline(FaceDetector()), Inline(painter), crop_size=128, batch_size=1, clips=clips)
    results = restored(frames, parts, LIVE if way == "live" else None)
    assert (results[6].planes[0] != frames[6].planes[0]).sum() > 1000
    for before, after in zip(frames, results, strict=True):
        assert np.array_equal(after.planes[1], before.planes[1])
        assert np.array_equal(after.planes[2], before.planes[2])
