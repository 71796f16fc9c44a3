import re
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from support import video_factory as videos
from vidrestore.errors import ConfigError, OutputError
from vidrestore.media.config import EncodeConfig
from vidrestore.media.probe import ContentLight, MasteringDisplay, VideoInfo
from vidrestore.media.reader import VideoReader, probe
from vidrestore.media.writer import VideoWriter, check_encoding
from vidrestore.types import Colour, Frame

CODECS = ["libx264", "libx265", "libsvtav1", "libvpx-vp9", "ffv1", "prores_ks"]
TIMES = [
    (Fraction(1, 15360), [0, 512, 1024, 1100, 2000, 2048, 5000, 5001, 9000, 9500]),
    (Fraction(1001, 30000), [5, 6, 7, 8, 10, 11, 12, 20]),
    (Fraction(1, 1000), [1000, 1033, 1066, 1100, 5000]),
    (Fraction(1, 90000), [1234567, 1237570, 1240573, 1243576]),
    (Fraction(1, 600), [7, 27, 47, 60, 61]),
    (Fraction(1, 100), [0, 10, 14, 20, 30]),
]


def write(path: Path, info: VideoInfo, frames: list[Frame], **config: object) -> VideoWriter:
    with VideoWriter(path, info, EncodeConfig(**{"preset": "veryfast", **config})) as writer:
        for frame in frames:
            writer.write(frame)
    return writer


def read(path: Path) -> tuple[list[Frame], VideoInfo]:
    with VideoReader(path) as reader:
        return list(reader), reader.info


@pytest.mark.parametrize("codec", CODECS)
@pytest.mark.parametrize(("time_base", "pts"), TIMES)
def test_parts_keep_exact_times(tmp_path: Path, codec: str, time_base: Fraction, pts: list[int]) -> None:
    info = videos.make_info(time_base=time_base)
    write(tmp_path / "part.mp4", info, videos.make_frames(info, pts), codec=codec, preset="medium")
    frames, _ = read(tmp_path / "part.mp4")
    assert [frame.seconds for frame in frames] == [time * time_base for time in pts]


@pytest.mark.parametrize("codec", CODECS)
@pytest.mark.parametrize("count", [1, 2, 3])
def test_videos_of_very_few_frames_are_whole(tmp_path: Path, codec: str, count: int) -> None:
    info = videos.make_info()
    pts = [index * 512 for index in range(count)]
    write(tmp_path / "part.mp4", info, videos.make_frames(info, pts), codec=codec)
    assert [frame.pts for frame in read(tmp_path / "part.mp4")[0]] == pts


@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.sets(st.integers(0, 400_000), min_size=1, max_size=12),
    st.sampled_from([Fraction(1, 15360), Fraction(1, 1000), Fraction(1001, 24000), Fraction(1, 90000)]),
)
def test_any_growing_times_are_kept(tmp_path: Path, pts: set[int], time_base: Fraction) -> None:
    info = videos.make_info(time_base=time_base, width=32, height=32)
    write(tmp_path / "part.mp4", info, videos.make_frames(info, sorted(pts)), preset="medium")
    frames, _ = read(tmp_path / "part.mp4")
    assert [frame.seconds for frame in frames] == [time * time_base for time in sorted(pts)]


@pytest.mark.parametrize("codec", CODECS)
@pytest.mark.parametrize("full", [False, True])
def test_colour_tags_range_and_aspect_are_kept(
    tmp_path: Path,
    codec: str,
    full: bool,  # noqa: FBT001
) -> None:
    colour = Colour(matrix=1, primaries=9, transfer=16, full_range=full)
    info = videos.make_info(colour=colour, sample_aspect_ratio=Fraction(16, 15))
    write(tmp_path / "part.mp4", info, videos.make_frames(info, [0, 512, 1024]), codec=codec)
    frames, read_info = read(tmp_path / "part.mp4")
    assert read_info.sample_aspect_ratio == Fraction(16, 15)
    if codec == "prores_ks" and full:
        colour = replace(colour, full_range=False)  # ProRes cannot say so, and is converted
    assert all(frame.colour == colour for frame in frames)


@pytest.mark.parametrize(("codec", "native"), [("libx264", "yuv422p10le"), ("libx265", "yuv420p12le")])
def test_deep_pictures_stay_deep(tmp_path: Path, codec: str, native: str) -> None:
    info = videos.make_info(native)
    writer = write(tmp_path / "part.mp4", info, videos.make_frames(info, [0, 512]), codec=codec)
    assert read(tmp_path / "part.mp4")[1].pixel_format == native
    assert writer.notes == ()


def test_rgb_becomes_what_players_show_in_the_right_colours(tmp_path: Path) -> None:
    info = videos.make_info("rgb24", colour=Colour(full_range=True))
    frames = videos.make_frames(info, [0, 512])
    flat = np.empty_like(frames[0].planes[0])
    flat[...] = (200, 60, 30)
    writer = write(tmp_path / "part.mp4", info, [replace(frame, planes=(flat,)) for frame in frames], crf=1)
    frames, read_info = read(tmp_path / "part.mp4")
    assert read_info.pixel_format == "yuv420p"
    assert read_info.colour == Colour(matrix=6, primaries=1, transfer=13)
    assert any("RGB" in note for note in writer.notes)
    luma = 16 + 219 / 255 * (0.299 * 200 + 0.587 * 60 + 0.114 * 30)
    assert abs(float(frames[0].planes[0].mean()) - luma) < 1


@pytest.mark.parametrize("full", [False, True])
def test_grey_keeps_its_values_where_an_encoder_has_no_grey(
    tmp_path: Path,
    full: bool,  # noqa: FBT001
) -> None:
    info = videos.make_info("gray", colour=Colour(full_range=full))
    frames = videos.make_frames(info, [0, 512])
    write(tmp_path / "part.mp4", info, frames, lossless=True, pixel_format="yuv420p")
    found, _ = read(tmp_path / "part.mp4")
    assert np.array_equal(found[1].planes[0], frames[1].planes[0])
    assert (found[1].planes[1] == 128).all()


@pytest.mark.parametrize("codec", ["libx264", "libx265"])
def test_hdr10_metadata_goes_through(tmp_path: Path, codec: str) -> None:
    display = MasteringDisplay(
        primaries=(
            (Fraction(17, 25), Fraction(8, 25)),
            (Fraction(53, 200), Fraction(69, 100)),
            (Fraction(3, 20), Fraction(3, 50)),
        ),
        white_point=(Fraction(3127, 10000), Fraction(329, 1000)),
        minimum_luminance=Fraction(1, 200),
        maximum_luminance=Fraction(1000),
    )
    light = ContentLight(1000, 400)
    info = videos.make_info("yuv420p10le", mastering_display=display, content_light=light, colour=Colour(9, 9, 16))
    write(tmp_path / "part.mp4", info, videos.make_frames(info, [0, 512]), codec=codec)
    found = probe(tmp_path / "part.mp4")
    assert (found.mastering_display, found.content_light) == (display, light)


@pytest.mark.parametrize("order", ["tff", "bff"])
@pytest.mark.parametrize("codec", ["libx264", "prores_ks", "ffv1"])
def test_interlaced_videos_stay_interlaced(tmp_path: Path, codec: str, order: str) -> None:
    info = videos.make_info("yuv422p10le", interlaced=True, field_order=order)
    writer = write(tmp_path / "part.mp4", info, videos.make_frames(info, [0, 512, 1024]), codec=codec)
    found = probe(tmp_path / "part.mp4")
    assert (found.interlaced, found.field_order) == (True, order)
    assert writer.notes == ()


@pytest.mark.parametrize(("width", "height"), [(1, 1), (63, 48), (64, 47), (7, 5)])
def test_odd_sizes_keep_every_pixel_column(tmp_path: Path, width: int, height: int) -> None:
    info = videos.make_info(width=width, height=height)
    writer = write(tmp_path / "part.mp4", info, videos.make_frames(info, [0, 512]))
    frames, found = read(tmp_path / "part.mp4")
    assert (found.width, found.height, len(frames)) == (width, height, 2)
    assert re.match("yuv420p is stored as yuv4(22|44)p", writer.notes[0])


def test_a_picture_too_small_for_the_encoder_is_refused_with_advice() -> None:
    with pytest.raises(OutputError, match="--lossless"):
        check_encoding(videos.make_info(width=1, height=1), EncodeConfig(codec="libx265"))


@pytest.mark.parametrize("codec", ["libx264", "libx265"])
def test_the_same_frames_give_the_same_bytes(tmp_path: Path, codec: str) -> None:
    info = videos.make_info(width=128, height=96)  # of 64x48, x264's assembly makes several versions on a busy machine
    frames = videos.make_frames(info, [index * 512 for index in range(20)])
    for name in ("one.mp4", "two.mp4"):
        write(tmp_path / name, info, frames, codec=codec, threads=2)
    assert (tmp_path / "one.mp4").read_bytes() == (tmp_path / "two.mp4").read_bytes()


@pytest.mark.parametrize("codec", CODECS)
def test_parts_fit_together_whatever_the_number_of_threads(tmp_path: Path, codec: str) -> None:
    info = videos.make_info()
    headers = set()
    for threads in (1, 3, 8):
        write(tmp_path / "part.mp4", info, videos.make_frames(info, range(0, 5120, 512)), codec=codec, threads=threads)
        with av.open(str(tmp_path / "part.mp4")) as container:
            headers.add(container.streams.video[0].codec_context.extradata)
    assert len(headers) == 1


def test_x265_says_nothing(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    info = videos.make_info()
    for codec in ("libx265", "libsvtav1"):
        write(tmp_path / "part.mp4", info, videos.make_frames(info, [0, 512]), codec=codec)
    assert capfd.readouterr() == ("", "")


def test_the_source_keeps_its_size_of_time_even_when_it_starts_before_zero(tmp_path: Path) -> None:
    info = videos.make_info(time_base=Fraction(1, 90000))
    write(tmp_path / "part.mp4", info, videos.make_frames(info, [-6006, -3003, 0, 3003]))
    frames, found = read(tmp_path / "part.mp4")
    assert [frame.pts for frame in frames] == [0, 3003, 6006, 9009]
    assert dict(found.metadata)["comment"] == "origin_pts=-6006"


def test_user_options_reach_the_encoder(tmp_path: Path) -> None:
    info = videos.make_info()
    frames = videos.make_frames(info, [index * 512 for index in range(10)])
    write(tmp_path / "part.mp4", info, frames, options=("g=2", "x264-params=scenecut=0"))
    with av.open(str(tmp_path / "part.mp4")) as container:
        keys = [packet.is_keyframe for packet in container.demux(video=0) if packet.size]
    assert sum(keys) == 5


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({"codec": "libx246"}, "did you mean 'libx26"),
        ({"codec": "aac"}, "encodes audio, not video"),
        ({"preset": "meduim"}, "did you mean 'medium'"),
        ({"crf": 70}, "0 \\(best\\) to 51"),
        ({"crf": -1}, "0 \\(best\\) to 51"),
        ({"pixel_format": "yuv42p"}, "none of libx264's; did you mean"),
        ({"threads": -1}, "threads is -1"),
        ({"options": ("bf",)}, "not of the form key=value"),
        ({"lossless": True, "codec": "libx265"}, "lossless is stored with ffv1"),
    ],
)
def test_a_wrong_setting_is_refused_before_work_starts(config: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        check_encoding(videos.make_info(), EncodeConfig(**config))


def test_a_pixel_format_may_leave_out_its_byte_order(tmp_path: Path) -> None:
    info = videos.make_info()
    write(tmp_path / "part.mp4", info, videos.make_frames(info, [0]), pixel_format="yuv420p10")
    assert probe(tmp_path / "part.mp4").pixel_format == "yuv420p10le"


def test_frames_that_do_not_belong_are_refused(tmp_path: Path) -> None:
    info = videos.make_info()
    first, second = videos.make_frames(info, [0, 512])
    with VideoWriter(tmp_path / "part.mp4", info) as writer:
        writer.write(second)
        with pytest.raises(OutputError, match="not later than 512"):
            writer.write(first)
        with pytest.raises(OutputError, match="32x48"):
            writer.write(replace(second, width=32, pts=1024))


def test_a_full_disk_is_one_line() -> None:
    full = Path("/dev/full")
    if not full.exists():
        pytest.skip("this system has no /dev/full")
    info = videos.make_info(width=640, height=480)
    frames = videos.make_frames(info, [index * 512 for index in range(4)])
    with pytest.raises(OutputError, match="the disk is full"):
        write(full, info, frames, lossless=True)
