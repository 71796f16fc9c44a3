"""The contract of the damage simulator: a film's twin, comparable with it frame by frame, or nothing at all."""

import weakref
from collections.abc import Callable, Iterator
from dataclasses import replace
from fractions import Fraction
from itertools import pairwise
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

from support import video_factory as films
from vidrestore.degradation import video
from vidrestore.degradation.medium.clip import MEDIA
from vidrestore.degradation.medium.profiles import PROFILE_NAMES, DegradationProfile, profile_preset, sample_profile
from vidrestore.degradation.video import DegradeConfig, degrade_frames, degrade_video
from vidrestore.errors import ConfigError, InputError, OutputError, VidrestoreError
from vidrestore.media.config import EncodeConfig
from vidrestore.media.pixel_formats import bit_depth
from vidrestore.media.reader import probe
from vidrestore.types import Colour, Frame

Read = Callable[[Path], list[tuple[Fraction, np.ndarray]]]
Decibels = Callable[[Path, Path], list[float]]
MakeVideo = Callable[..., Path]
MakeProfile = Callable[..., DegradationProfile]
LOSSLESS = EncodeConfig(lossless=True)
VARIABLE = (0, 512, 1100, 1101, 2500, 2512, 4000, 4777, 5000, 9000, 9100, 9200)


def config(preset: str = "lowbitrate", **changes: Any) -> DegradeConfig:
    return replace(DegradeConfig(profile=profile_preset(preset)), **changes)


def sound(path: Path) -> list[tuple[Fraction, bytes]]:
    with av.open(str(path)) as container:
        packets = container.demux(container.streams.audio[0])
        return [(packet.pts * packet.time_base, bytes(packet)) for packet in packets if packet.size]


@pytest.mark.parametrize("preset", PROFILE_NAMES)
def test_every_preset_keeps_frames_times_size_and_sound_and_damages_the_picture(
    make_portrait_video: MakeVideo, tmp_path: Path, read: Read, decibels: Decibels, preset: str
) -> None:
    source, destination = make_portrait_video(), tmp_path / "out.mp4"
    done = degrade_video(source, destination, config(preset))
    truth, damaged = read(source), read(destination)
    assert [time for time, _ in damaged] == [time for time, _ in truth]
    assert [picture.shape for _, picture in damaged] == [picture.shape for _, picture in truth]
    assert sound(destination) == sound(source)
    # with half the pixels or less a picture keeps 15 to 38 dB; more would be no damage, less no picture
    assert all(15 < value < 38 for value in decibels(destination, source))
    assert done.frames == len(truth)
    assert done.warnings == ()
    assert list(tmp_path.iterdir()) == [destination]


def test_presets_differ_from_one_another(make_portrait_video: MakeVideo, tmp_path: Path, read: Read) -> None:
    source = make_portrait_video(frames=3)
    middles = []
    for preset in MEDIA:
        degrade_video(source, tmp_path / f"{preset}.mp4", config(preset))
        middles.append(read(tmp_path / f"{preset}.mp4")[1][1].astype(float))
    distances = [np.abs(one - other).mean() for index, one in enumerate(middles) for other in middles[:index]]
    assert min(distances) > 0.8


@pytest.mark.parametrize("preset", ["vhs", "film16", "lowbitrate"])
def test_the_same_seed_gives_the_same_pictures_and_another_seed_others(
    make_portrait_video: MakeVideo, tmp_path: Path, read: Read, preset: str
) -> None:
    source = make_portrait_video()
    for name, seed in (("one", 5), ("two", 5), ("other", 6)):
        degrade_video(source, tmp_path / f"{name}.mp4", config(preset, seed=seed))
    one, two, other = (
        np.stack([picture for _, picture in read(tmp_path / f"{name}.mp4")]) for name in ("one", "two", "other")
    )
    assert np.array_equal(one, two)
    assert not np.array_equal(one, other)


@pytest.mark.parametrize("lossless", [False, True])
def test_times_of_variable_frame_rate_are_exact(tmp_path: Path, read: Read, lossless: bool) -> None:  # noqa: FBT001
    if lossless:
        times = sorted({time // 10 for time in VARIABLE})
        source = films.make_video(tmp_path / "in.mkv", pts=times, time_base=Fraction(1, 1000), audio="flac")
        destination, encode = tmp_path / "out.mkv", LOSSLESS
    else:
        source = films.make_video(tmp_path / "in.mp4", pts=VARIABLE, audio="aac")
        destination, encode = tmp_path / "out.mp4", DegradeConfig().encode
    done = degrade_video(source, destination, config("vhs", encode=encode))
    assert [time for time, _ in read(destination)] == [time for time, _ in read(source)]
    assert sound(destination) == sound(source)
    assert not any("rounded" in warning for warning in done.warnings)


def test_a_container_that_rounds_times_is_told_of(tmp_path: Path) -> None:
    source = films.make_video(tmp_path / "in.mp4", pts=VARIABLE)
    done = degrade_video(source, tmp_path / "out.mkv", config())
    assert any("rounded" in warning and ".mkv" in warning for warning in done.warnings)


def test_subtitles_chapters_and_metadata_pass_through(tmp_path: Path) -> None:
    source = films.make_video(
        tmp_path / "in.mkv",
        audio="flac",
        subtitles="subrip",
        chapters=2,
        metadata={"title": "Home"},
        attachment=b"font",
    )
    degrade_video(source, tmp_path / "out.mkv", config())
    before, after = probe(source), probe(tmp_path / "out.mkv")
    assert [stream.type for stream in after.streams] == [stream.type for stream in before.streams]
    assert (after.chapters, dict(after.metadata)["title"]) == (2, "Home")


@pytest.mark.parametrize(
    ("pixel_format", "width", "height"),
    [
        ("yuv420p", 65, 47),
        ("yuv444p", 65, 47),
        ("yuv422p", 66, 47),
        ("yuv420p10le", 64, 48),
        ("yuv444p12le", 64, 48),
        ("gray", 64, 48),
        ("gbrp10le", 64, 48),
        ("yuv411p", 64, 48),
    ],
)
def test_any_format_depth_and_size_comes_back_as_it_was(
    tmp_path: Path, pixel_format: str, width: int, height: int
) -> None:
    source = films.make_video(
        tmp_path / "in.mkv", frames=3, codec="ffv1", pixel_format=pixel_format, width=width, height=height
    )
    degrade_video(source, tmp_path / "out.mkv", config("vhs", encode=LOSSLESS))
    before, after = probe(source), probe(tmp_path / "out.mkv")
    same = ("width", "height", "pixel_format", "colour")
    assert [getattr(after, name) for name in same] == [getattr(before, name) for name in same]


@pytest.mark.parametrize("scale", [1.0, 1.7])
@pytest.mark.parametrize(
    "pixel_format", ["yuv420p", "yuv422p12le", "yuv444p", "yuv410p", "gray", "gray10le", "gbrp", "gbrp16le", "rgb24"]
)
def test_without_damage_every_sample_stays_where_it_was(
    clean_profile: MakeProfile, pixel_format: str, scale: float
) -> None:
    info = films.make_info(pixel_format, width=71, height=59)
    (frame,) = films.make_frames(info, [0])
    peak = (1 << bit_depth(pixel_format)) - 1
    planes = []
    for plane in frame.planes:  # the same slope in all planes: no colour is out of gamut, and no corner like another
        rows, columns = (np.linspace(0, 1, side) for side in plane.shape[:2])
        slope = 0.42 + 0.1 * np.add.outer(rows, columns / 2).reshape(*plane.shape[:2], *[1] * (plane.ndim - 2))
        planes.append(np.broadcast_to(slope * peak, plane.shape).astype(plane.dtype))
    (damaged,) = degrade_frames([replace(frame, planes=tuple(planes))], clean_profile(scale=scale), seed=0)
    for seen, wanted in zip(damaged.planes, planes, strict=True):
        assert (seen.shape, seen.dtype) == (wanted.shape, wanted.dtype)
        # to 8 bits in RGB and back, and through a codec
        assert np.abs(seen.astype(float) - wanted).mean() < 0.012 * peak


def test_ten_bits_in_full_range_keep_their_levels(clean_profile: MakeProfile) -> None:
    colour = Colour(matrix=9, primaries=9, transfer=14, full_range=True)
    info = films.make_info("yuv420p10le", colour=colour)
    (frame,) = films.make_frames(info, [0])
    planes = tuple(
        np.full(plane.shape, value, np.uint16) for plane, value in zip(frame.planes, (900, 400, 600), strict=True)
    )
    (damaged,) = degrade_frames([replace(frame, planes=planes)], clean_profile(), seed=0)
    for plane, value in zip(damaged.planes, (900, 400, 600), strict=True):
        assert plane.dtype == np.uint16
        assert abs(plane.mean() - value) < 10


@pytest.mark.parametrize("rotation", [0, 90, 180, 270])
def test_streaks_lie_along_the_lines_that_a_viewer_sees(clean_profile: MakeProfile, rotation: int) -> None:
    profile = clean_profile()
    profile = replace(profile, dropouts=replace(profile.dropouts, streaks=5.0, streak_lengths=(0.5, 0.6)))
    (frame,) = films.make_frames(films.make_info(width=96, height=96), [0])
    grey = tuple(
        np.full(plane.shape, value, np.uint8) for plane, value in zip(frame.planes, (90, 128, 128), strict=True)
    )
    (damaged,) = degrade_frames([replace(frame, planes=grey, rotation=rotation)], profile, seed=1)
    bright = damaged.planes[0] > 120
    along_rows, along_columns = bright.sum(axis=1).max(), bright.sum(axis=0).max()
    assert max(along_rows, along_columns) > 2 * min(along_rows, along_columns)
    assert (along_rows > along_columns) == (rotation in {0, 180})


def grey_frames(count: int, taken: list[int], alive: "list[weakref.ref[np.ndarray]]") -> Iterator[Frame]:
    (frame,) = films.make_frames(films.make_info(), [0])
    for index in range(count):
        planes = tuple(np.full(plane.shape, 60 + index % 100, np.uint8) for plane in frame.planes)
        for plane in planes:
            alive.append(weakref.ref(plane))
        taken.append(index)
        yield replace(frame, index=index, pts=index * 512, planes=planes)


@pytest.mark.parametrize("preset", MEDIA)
def test_a_video_streams_through_and_is_never_held(preset: str) -> None:
    taken: list[int] = []
    alive: list[weakref.ref[np.ndarray]] = []
    profile = sample_profile(profile_preset(preset), seed=2)
    most = held = 0
    for given, frame in enumerate(degrade_frames(grey_frames(160, taken, alive), profile, seed=2)):
        assert (frame.index, frame.pts) == (given, given * 512)
        most, held = max(most, len(taken) - given), max(held, sum(plane() is not None for plane in alive))
    assert len(taken) == 160
    assert most <= 64
    # of full-size pictures only the one at work lives, whatever waits in the codec
    assert held <= 2 * 3


@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt])
def test_a_failure_leaves_nothing_behind_and_an_old_file_whole(
    make_portrait_video: MakeVideo, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: type[BaseException]
) -> None:
    destination = tmp_path / "out.mp4"
    destination.write_bytes(b"precious")
    whole = video.enlarge_picture

    def fail(*arguments: Any) -> Frame:
        if arguments[1].index == 4:
            raise error
        return whole(*arguments)

    monkeypatch.setattr(video, "enlarge_picture", fail)
    with pytest.raises(error):
        degrade_video(make_portrait_video(), destination, config(overwrite=True))
    assert list(tmp_path.iterdir()) == [destination]
    assert destination.read_bytes() == b"precious"


def test_a_failing_join_leaves_nothing_behind(
    make_portrait_video: MakeVideo, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: Any, **__: Any) -> None:
        raise OutputError("the disk is full")

    monkeypatch.setattr(video, "mux_complete", fail)
    with pytest.raises(OutputError):
        degrade_video(make_portrait_video(), tmp_path / "out.mp4", config())
    assert list(tmp_path.iterdir()) == []


def interlaced(folder: Path) -> Path:
    return films.make_video(folder / "in.mp4", frames=4, options={"x264-params": "tff=1"})


def tiny(folder: Path) -> Path:
    return films.make_video(folder / "in.mkv", frames=2, codec="ffv1", width=14, height=48)


@pytest.mark.parametrize(("make", "words"), [(interlaced, "deinterlace"), (tiny, "14x48")])
def test_what_cannot_be_a_truth_is_refused_before_work(
    tmp_path: Path, make: Callable[[Path], Path], words: str
) -> None:
    source = make(tmp_path)
    with pytest.raises(InputError, match=words):
        degrade_video(source, tmp_path / "out.mp4", config())
    assert list(tmp_path.iterdir()) == [source]


def test_fields_in_mid_video_are_refused_too(clean_profile: MakeProfile) -> None:
    frames = films.make_frames(films.make_info(), [0, 512, 1024])
    frames[1] = replace(frames[1], interlaced=True)
    with pytest.raises(InputError, match="frame 1 is interlaced"):
        list(degrade_frames(frames, clean_profile(), seed=0))


def test_a_destination_that_is_there_needs_overwrite(make_portrait_video: MakeVideo, tmp_path: Path) -> None:
    destination = tmp_path / "out.mp4"
    destination.write_bytes(b"old")
    with pytest.raises(OutputError, match="--overwrite"):
        degrade_video(make_portrait_video(), destination, config())
    assert degrade_video(make_portrait_video(), destination, config(overwrite=True)).frames == 12


def test_high_dynamic_range_is_told_of(tmp_path: Path) -> None:
    source = films.make_video(tmp_path / "in.mp4", frames=2, colour=Colour(matrix=9, primaries=9, transfer=16))
    done = degrade_video(source, tmp_path / "out.mp4", config())
    assert any("HDR (PQ)" in warning for warning in done.warnings)


def test_a_damaged_source_is_told_of_and_refused_when_strict(tmp_path: Path) -> None:
    source = films.make_video(tmp_path / "whole.mkv", frames=60, options={"g": "5"})
    cut = tmp_path / "cut.mkv"
    cut.write_bytes(source.read_bytes()[: source.stat().st_size // 2])
    assert degrade_video(cut, tmp_path / "out.mp4", config()).warnings
    with pytest.raises(VidrestoreError, match="is damaged"):
        degrade_video(cut, tmp_path / "strict.mp4", config(strict=True))
    assert not (tmp_path / "strict.mp4").exists()


def test_a_negative_seed_is_refused() -> None:
    with pytest.raises(ConfigError, match="seed is -1"):
        DegradeConfig(seed=-1)


def test_the_codec_forgets_with_its_bits(make_portrait_video: MakeVideo, tmp_path: Path, decibels: Decibels) -> None:
    source = make_portrait_video()
    means = []
    for bits in (2.0, 0.3, 0.03):
        profile = profile_preset("lowbitrate")
        codecs = tuple(replace(codec, bits_per_pixel=(bits, bits)) for codec in profile.medium.codecs)
        medium = replace(profile.medium, scale=(2, 2), codecs=codecs[:1])
        degrade_video(source, tmp_path / "out.mp4", config(profile=replace(profile, medium=medium), overwrite=True))
        means.append(np.mean(decibels(tmp_path / "out.mp4", source)))
    assert all(more > less + 0.3 for more, less in pairwise(means))
