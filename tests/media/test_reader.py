import pickle
import struct
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from support import video_factory as videos
from vidrestore.errors import InputError
from vidrestore.media.geometry import frame_to_display
from vidrestore.media.pixel_formats import NATIVE_FORMATS, layout_of, views
from vidrestore.media.reader import ReadStatistics, VideoReader, probe
from vidrestore.media.timestamps import GrowingTimestamps
from vidrestore.types import Colour

HDR = Colour(matrix=9, primaries=9, transfer=16)


def test_frames_come_in_presentation_order_with_every_last_one(tmp_path: Path) -> None:
    video = videos.make_video(tmp_path / "b-frames.mp4", frames=31, options={"bf": "3"})
    with VideoReader(video) as reader:
        frames = list(reader)
    assert [frame.pts for frame in frames] == [index * 512 for index in range(31)]
    assert [frame.index for frame in frames] == list(range(31))
    assert reader.statistics.frames == reader.info.frames == 31
    assert reader.statistics.missing_frames == 0


def test_planes_are_read_only_views_of_the_decoded_values(tmp_path: Path) -> None:
    video = videos.make_video(tmp_path / "odd.mkv", codec="ffv1", width=45, height=35, pixel_format="yuv420p10le")
    with VideoReader(video) as reader:
        frame = next(iter(reader))
    expected = videos.pattern("yuv420p10le", 45, 35, 0)
    assert [plane.shape for plane in frame.planes] == [(35, 45), (18, 23), (18, 23)]
    assert all(np.array_equal(plane, wanted) for plane, wanted in zip(frame.planes, expected, strict=True))
    assert not any(plane.flags.writeable for plane in frame.planes)
    assert frame.planes[0].dtype == np.uint16


def test_frames_outlive_the_reader(tmp_path: Path) -> None:
    video = videos.make_video(tmp_path / "film.mkv", codec="ffv1")
    with VideoReader(video) as reader:
        frames = list(reader)
    assert np.array_equal(frames[5].planes[0], videos.pattern("yuv420p", 64, 48, 5)[0])


@pytest.mark.parametrize(
    ("time_base", "pts"),
    [
        (Fraction(1, 15360), [0, 512, 1024, 1100, 2000, 5000, 5001, 9000]),
        (Fraction(1001, 30000), [5, 6, 7, 11, 12, 20]),
        (Fraction(1, 90000), [1234567, 1237570, 1240574, 1249999]),
        (Fraction(1, 600), [7, 27, 47, 60, 61]),
    ],
)
def test_times_are_exact_at_a_variable_frame_rate(tmp_path: Path, time_base: Fraction, pts: list[int]) -> None:
    options = {"movie_timescale": str(time_base.denominator)}
    video = videos.make_video(tmp_path / "film.mp4", time_base=time_base, pts=pts, container_options=options)
    with VideoReader(video) as reader:
        assert [frame.seconds for frame in reader] == [time * time_base for time in pts]


def test_info_tells_what_the_file_tells(tmp_path: Path) -> None:
    video = videos.make_video(
        tmp_path / "film.mp4",
        colour=HDR,
        rotation=90,
        sample_aspect_ratio=Fraction(16, 15),
        audio="aac",
        chapters=2,
        metadata={"title": "A film"},
    )
    info = probe(video)
    assert (info.width, info.height, info.codec, info.pixel_format) == (64, 48, "h264", "yuv420p")
    assert (info.rotation, info.sample_aspect_ratio, info.colour) == (90, Fraction(16, 15), HDR)
    assert (info.average_rate, info.frames, info.duration) == (25, 12, Fraction(12, 25))
    assert dict(info.metadata)["title"] == "A film"
    assert [(one.type, one.codec, one.language) for one in info.streams][:2] == [
        ("video", "h264", "und"),
        ("audio", "aac", "deu"),
    ]
    assert info.chapters == 2
    assert pickle.loads(pickle.dumps(info)) == info  # noqa: S301  our own bytes


@pytest.mark.parametrize("degrees", [0, 90, 180, 270])
def test_rotation_is_counted_counter_clockwise(tmp_path: Path, degrees: int) -> None:
    video = videos.make_video(tmp_path / "film.mp4", frames=1, rotation=degrees)
    with VideoReader(video) as reader:
        assert next(iter(reader)).rotation == degrees == reader.info.rotation


@pytest.mark.parametrize("mirrored", [False, True])
@pytest.mark.parametrize("degrees", [0, 90, 180, 270])
def test_a_mirroring_matrix_is_told_from_the_rotation_after_it(tmp_path: Path, degrees: int, *, mirrored: bool) -> None:
    """H.273's matrices by hand: the rows are where a step to the right and a step down in the frame lead."""
    right = {0: (1, 0), 90: (0, -1), 180: (-1, 0), 270: (0, 1)}[degrees]
    down = (-right[1], right[0])
    side = -1 if mirrored else 1
    matrix = (side * right[0] << 16, side * right[1] << 16, 0, down[0] << 16, down[1] << 16, 0, 0, 0, 1 << 30)
    video = videos.make_video(tmp_path / "film.mp4", frames=1, display_matrix=matrix)
    with VideoReader(video) as reader:
        frame = next(iter(reader))
    assert (frame.rotation, frame.mirrored) == (degrees, mirrored) == (reader.info.rotation, reader.info.mirrored)
    moved = frame_to_display(frame)[:, :2]
    np.testing.assert_array_equal(moved, np.array([matrix[0:2], matrix[3:5]]).T / 65536)


def test_mastering_display_and_content_light_are_read(tmp_path: Path) -> None:
    params = "mastering-display=G(13250,34500)B(7500,3000)R(34000,16000)WP(15635,16450)L(10000000,50):cll=1000,400"
    video = videos.make_video(
        tmp_path / "hdr.mp4", pixel_format="yuv420p10le", options={"x264-params": params}, colour=HDR
    )
    info = probe(video)
    assert info.mastering_display is not None
    assert info.mastering_display.primaries[0] == (Fraction(34000, 50000), Fraction(16000, 50000))
    assert info.mastering_display.maximum_luminance == 1000
    assert info.content_light is not None
    assert (info.content_light.maximum, info.content_light.maximum_frame_average) == (1000, 400)


def test_interlaced_videos_are_told(tmp_path: Path) -> None:
    video = videos.make_video(tmp_path / "film.mp4", options={"x264-params": "bff=1"})
    with VideoReader(video) as reader:
        assert all(frame.interlaced for frame in reader)
    assert (reader.info.interlaced, reader.info.field_order) == (True, "bff")


def test_full_range_formats_lose_their_j_and_keep_their_range(tmp_path: Path) -> None:
    colour = Colour(full_range=True)
    video = videos.make_video(tmp_path / "film.mp4", pixel_format="yuvj420p", colour=colour)
    with VideoReader(video) as reader:
        frame = next(iter(reader))
    assert (reader.info.source_pixel_format, frame.pixel_format) == ("yuvj420p", "yuv420p")
    assert frame.colour.full_range


@pytest.mark.parametrize(("source", "native"), [("bgr0", "rgb24"), ("bgra", "rgb24")])
def test_packed_rgb_is_handed_out_as_rgb24_exactly(tmp_path: Path, source: str, native: str) -> None:
    video = videos.make_video(tmp_path / "film.mkv", codec="ffv1", pixel_format=source)
    with VideoReader(video) as reader:
        frame = next(iter(reader))
    picture = videos.pattern("rgb24", 64, 48, 0)[0]
    assert frame.pixel_format == native
    assert np.array_equal(frame.planes[0], picture[..., ::-1])
    assert bool(reader.info.notes) == (source == "bgra")


SOURCES = ["nv12", "nv21", "p010le", "yuyv422", "yuva420p", "yuva444p10le", "gbrap", "gbrap12le", "rgba", "bgr24"]
SOURCES += ["rgb48le", "ya8", "gray10be", "yuv422p10be", "x2rgb10le", "y210le", "yuvj422p", "gbrp10be"]


@pytest.mark.parametrize("source", SOURCES)
@pytest.mark.parametrize("full", [False, True])
def test_every_format_becomes_native_without_losing_a_value(source: str, full: bool) -> None:  # noqa: FBT001
    """Down from the native format and up again gives the same values: nothing was rounded on the way."""
    layout = layout_of(source)
    assert layout.native in NATIVE_FORMATS
    assert layout.exact
    rng = np.random.default_rng(7)
    original = av.VideoFrame(46, 34, layout.native)
    bits = max(part.bits for part in original.format.components)
    for view in views(original, layout.native):
        view.flags.writeable = True
        view[...] = rng.integers(0, 1 << bits, view.shape)
    if layout.converted:
        value = {"src_color_range": 2, "dst_color_range": 2} if full else {}
        packed = original.reformat(format=source, interpolation="POINT", threads=1, **value)
        back = packed.reformat(format=layout.viewed_as, interpolation="POINT", threads=1, **value)
        found = views(back, layout.native)
        wanted = views(original, layout.native)
        assert all(np.array_equal(one, other) for one, other in zip(found, wanted, strict=True))


def test_a_gif_is_a_video(gif: Path) -> None:
    with VideoReader(gif) as reader:
        frames = list(reader)
    assert (reader.info.pixel_format, reader.info.frames) == ("rgb24", len(frames))
    assert frames[0].planes[0].shape == (reader.info.height, reader.info.width, 3)
    assert reader.info.notes


def test_a_webcam_recording_is_read_to_its_end(webcam: Path) -> None:
    with VideoReader(webcam) as reader:
        frames = list(reader)
    assert len(frames) == 87
    assert all(frame.colour.full_range for frame in frames)
    assert [frame.pts for frame in frames] == sorted({frame.pts for frame in frames})


def test_a_truncated_video_gives_what_is_there_and_counts_what_is_not(tmp_path: Path) -> None:
    options = {"movflags": "faststart"}
    video = videos.make_video(
        tmp_path / "film.mp4", frames=60, container_options=options, options={"g": "5", "crf": "5"}
    )
    whole = video.read_bytes()
    video.write_bytes(whole[: len(whole) * 2 // 3])
    with VideoReader(video) as reader:
        count = sum(1 for _ in reader)
    statistics = reader.statistics
    assert 0 < count < 60
    assert statistics.missing_frames == 60 - count


FASTSTART = {"movflags": "faststart"}
DENSE = {"g": "5", "crf": "5", "bf": "0"}


def _read(path: Path) -> ReadStatistics:
    with VideoReader(path) as reader:
        for _ in reader:
            pass
    return reader.statistics


def _cut(path: Path, share: float) -> Path:
    data = path.read_bytes()
    path.write_bytes(data[: int(len(data) * share)])
    return path


def _remux(source: Path, destination: Path, *, last_seconds: Fraction | None = None) -> Path:
    """The same packets in another container; the last one stays on the screen for `last_seconds`."""
    with av.open(str(source)) as video, av.open(str(destination), "w") as output:
        stream = output.add_stream_from_template(video.streams.video[0])
        packets = [packet for packet in video.demux(video.streams.video[0]) if packet.size]
        if last_seconds:
            packets[-1].duration = round(last_seconds / packets[-1].time_base)
        for packet in packets:
            packet.stream = stream
            output.mux(packet)
    return destination


def test_frames_that_an_edit_list_cuts_are_not_missing(tmp_path: Path) -> None:
    video = videos.make_video(tmp_path / "film.mp4", pts=[(index - 12) * 512 for index in range(30)])
    statistics = _read(video)
    assert (statistics.frames, statistics.missing_frames) == (18, 0)


def test_a_truncated_video_with_an_edit_list_lacks_what_the_list_keeps(tmp_path: Path) -> None:
    pts = [(index - 12) * 512 for index in range(60)]
    video = videos.make_video(tmp_path / "film.mp4", pts=pts, container_options=FASTSTART, options=DENSE)
    statistics = _read(_cut(video, 0.75))
    assert 0 < statistics.frames < 48
    assert statistics.missing_frames == 48 - statistics.frames


def test_undecodable_packets_of_a_truncated_video_count_once(tmp_path: Path) -> None:
    video = videos.make_video(tmp_path / "film.mp4", frames=60, container_options=FASTSTART, options=DENSE)
    with av.open(str(video)) as container:
        packets = [packet for packet in container.demux(container.streams.video[0]) if packet.size]
    data = bytearray(video.read_bytes())
    for packet in packets[20:25]:
        data[packet.pos : packet.pos + packet.size] = bytes(packet.size)
    video.write_bytes(data)
    statistics = _read(_cut(video, 0.75))
    assert statistics.undecodable_packets >= 5
    assert statistics.frames + statistics.undecodable_packets + statistics.missing_frames == 60


@pytest.mark.parametrize("name", ["film.mkv", "film.webm"])
@pytest.mark.parametrize("audio_seconds", [Fraction(1), Fraction(9)])
def test_a_truncated_matroska_video_is_not_whole(tmp_path: Path, name: str, audio_seconds: Fraction) -> None:
    kinds = {"film.mkv": ("libx264", DENSE), "film.webm": ("libvpx-vp9", {"lag-in-frames": "0"})}
    codec, options = kinds[name]
    video = videos.make_video(
        tmp_path / name, frames=150, codec=codec, options=options, audio="libopus", audio_seconds=audio_seconds
    )
    assert _read(video).missing_frames == 0
    statistics = _read(_cut(video, 0.3))
    assert 0 < statistics.frames < 150
    assert statistics.missing_frames == pytest.approx(150 - statistics.frames, abs=1)


@pytest.mark.parametrize("audio", [None, "aac"])
def test_a_truncated_matroska_video_of_unknown_length_is_incomplete(tmp_path: Path, audio: str | None) -> None:
    video = videos.make_video(tmp_path / "film.mkv", frames=100, options=DENSE, audio=audio, audio_seconds=Fraction(4))
    video.write_bytes(video.read_bytes().replace(b"DURATION", b"NOTATION"))
    assert _read(video).missing_frames == 0
    statistics = _read(_cut(video, 0.6))
    assert statistics.missing_frames == pytest.approx(100 - statistics.frames, abs=1)


def test_sound_that_goes_on_is_no_missing_picture(tmp_path: Path) -> None:
    video = videos.make_video(tmp_path / "film.mkv", audio="aac", audio_seconds=Fraction(5))
    assert _read(video).missing_frames == 0
    video.write_bytes(video.read_bytes().replace(b"DURATION", b"NOTATION"))
    assert _read(video).missing_frames == 0


@pytest.mark.parametrize("name", ["long.mp4", "long.mkv", "long.ts"])
def test_a_last_picture_that_stays_is_no_missing_picture(tmp_path: Path, name: str) -> None:
    video = videos.make_video(tmp_path / "film.mp4", options={"bf": "0"})
    assert _read(_remux(video, tmp_path / name, last_seconds=Fraction(5))).missing_frames == 0


@pytest.mark.parametrize("name", ["film.mp4", "film.mkv", "film.mov", "film.ts"])
def test_uneven_pictures_are_no_missing_pictures(tmp_path: Path, name: str) -> None:
    video = videos.make_video(tmp_path / name, pts=[0, 512, 1024, 1100, 2000, 50000, 51000, 90000])
    assert _read(video).missing_frames == 0


@pytest.mark.slow
def test_no_shared_clip_is_damaged(shared: Path) -> None:
    clips = [path for path in (shared / "clips").iterdir() if path.suffix in {".mkv", ".mp4", ".gif"}]
    assert clips
    assert [path.name for path in clips if _read(path).missing_frames] == []


def test_corrupt_packets_are_counted_and_reading_goes_on(tmp_path: Path) -> None:
    video = videos.make_video(tmp_path / "film.mkv", frames=40, options={"g": "8", "crf": "10"})
    data = bytearray(video.read_bytes())
    for place in range(len(data) // 4, len(data) // 2, 97):
        data[place] ^= 0xFF
    video.write_bytes(data)
    with VideoReader(video) as reader:
        count = sum(1 for _ in reader)
    statistics = reader.statistics
    assert count > 10
    assert statistics.undecodable_packets + statistics.corrupt_frames > 0


def test_a_picture_that_changes_its_size_is_scaled_and_counted(tmp_path: Path) -> None:
    large = videos.make_video(tmp_path / "large.ts", frames=5)
    small = videos.make_video(tmp_path / "small.ts", frames=5, width=32, height=32)
    (tmp_path / "both.ts").write_bytes(large.read_bytes() + small.read_bytes())
    with VideoReader(tmp_path / "both.ts") as reader:
        frames = list(reader)
    assert {plane.shape for frame in frames for plane in frame.planes[:1]} == {(48, 64)}
    assert reader.statistics.adapted_frames == 5
    assert reader.statistics.reordered_timestamps > 0
    assert [frame.pts for frame in frames] == sorted({frame.pts for frame in frames})


def test_reading_can_stop_half_way(tmp_path: Path) -> None:
    video = videos.make_video(tmp_path / "film.mp4", frames=60)
    with VideoReader(video) as reader:
        for frame in reader:
            if frame.index == 3:
                break
    assert reader.statistics.frames == 4


def _mp4_without_index(folder: Path) -> Path:
    path = videos.make_video(folder / "film.mp4", frames=20)
    data = path.read_bytes()
    path.write_bytes(data[: data.index(b"moov") - 4])
    return path


def _audio_only(folder: Path, name: str, cover: bytes | None) -> Path:
    path = folder / name
    with av.open(str(path), "w") as output:
        stream = output.add_stream("mp3" if path.suffix == ".mp3" else "aac", rate=48000)
        picture = None
        if cover:
            picture = output.add_mux_stream("png", width=16, height=16)
            picture.disposition = int(av.stream.Disposition.attached_pic)
        frame = av.AudioFrame(format=stream.format.name, layout="stereo", samples=stream.frame_size or 1152)
        frame.sample_rate, frame.pts = 48000, 0
        for plane in frame.planes:
            plane.update(bytes(plane.buffer_size))
        for packet in [*stream.encode(frame), *stream.encode(None)]:
            output.mux(packet)
        if cover and picture:
            packet = av.Packet(cover)
            packet.stream, packet.pts, packet.dts, packet.is_keyframe = picture, 0, 0, True
            output.mux(packet)
    return path


def test_a_missing_file_says_so(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="does not exist"):
        probe(tmp_path / "nothing.mp4")


def test_a_folder_says_so(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="is a folder"):
        probe(tmp_path)


def test_an_empty_file_says_so(tmp_path: Path) -> None:
    (tmp_path / "film.mp4").touch()
    with pytest.raises(InputError, match="is empty"):
        probe(tmp_path / "film.mp4")


@pytest.mark.parametrize("name", ["film.mp4", "notes.txt", "readme"])
def test_a_text_file_says_so(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_text("Not a film at all, only words. ¡Äöü!\n" * 50, encoding="utf-8")
    with pytest.raises(InputError, match="is a text file"):
        probe(tmp_path / name)


def test_an_mp4_without_its_index_says_so(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="index"):
        probe(_mp4_without_index(tmp_path))


def test_random_bytes_say_so(tmp_path: Path) -> None:
    (tmp_path / "film.mkv").write_bytes(np.random.default_rng(3).bytes(50_000))
    with pytest.raises(InputError, match=r"not a video that FFmpeg can read|has no video stream"):
        probe(tmp_path / "film.mkv")


def test_sound_alone_says_so(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="is it an audio file"):
        probe(_audio_only(tmp_path, "sound.m4a", None))


def test_cover_art_is_not_a_video(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"cover art \(png\)"):
        probe(_audio_only(tmp_path, "sound.mp4", videos.png()))


def test_a_stream_without_one_good_frame_says_so(tmp_path: Path) -> None:
    video = videos.make_video(tmp_path / "film.mp4", frames=5)
    data = bytearray(video.read_bytes())
    start = data.index(b"mdat") + 4
    size = struct.unpack(">I", data[start - 8 : start - 4])[0] - 8
    data[start : start + size] = bytes(size)
    video.write_bytes(data)
    with pytest.raises(InputError, match="not one frame can be decoded"):
        probe(video)


def test_names_that_look_like_protocols_or_patterns_are_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    videos.make_video(tmp_path / "plain.mp4", frames=2).rename(tmp_path / "12:30 %03d Ünï.mp4")
    monkeypatch.chdir(tmp_path)
    assert probe("12:30 %03d Ünï.mp4").frames == 2


@given(
    st.lists(
        st.tuples(st.none() | st.integers(-1000, 100_000), st.none() | st.integers(-1000, 100_000), st.integers(0, 90)),
        min_size=1,
        max_size=50,
    )
)
def test_times_always_grow(packets: list[tuple[int | None, int | None, int]]) -> None:
    clock = GrowingTimestamps(Fraction(1, 1000), first=0, step=40)
    times = [clock.next(*packet) for packet in packets]
    assert times == sorted(set(times))
    assert clock.invented == sum(pts is None for pts, _, _ in packets)


@given(st.sets(st.integers(-(10**9), 10**12), min_size=1, max_size=60))
def test_sound_times_are_never_touched(pts: set[int]) -> None:
    clock = GrowingTimestamps(Fraction(1, 90000), first=0, step=3003)
    assert [clock.next(time, None, 0) for time in sorted(pts)] == sorted(pts)
    assert clock.invented == clock.reordered == 0
