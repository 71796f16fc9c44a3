import hashlib
from collections.abc import Callable, Iterator
from fractions import Fraction
from itertools import islice, pairwise
from pathlib import Path
from typing import Self

import av
import pytest
from av.container import InputContainer
from hypothesis import given
from hypothesis import strategies as st

from support import video_factory as videos
from vidrestore.errors import InputError, OutputError
from vidrestore.media.config import EncodeConfig
from vidrestore.media.opening import open_source
from vidrestore.media.output import CONTAINERS
from vidrestore.media.probe import VideoInfo
from vidrestore.media.reader import VideoReader, probe
from vidrestore.media.remux.mux import RemuxReport, join
from vidrestore.media.remux.plan import Action, check_remux
from vidrestore.media.timestamps import packet_times
from vidrestore.media.writer import VideoWriter
from vidrestore.types import Colour

UNEVEN = [0, 512, 1024, 1500, 2048, 2700, 3300, 3900, 4500, 5100, 5700, 9000]
Joined = Callable[..., RemuxReport]


@pytest.fixture
def restore(tmp_path: Path) -> Joined:
    """Decode a source, encode it again in parts, and join them."""

    def run(source: Path, destination: Path, *, cuts: int = 3, **config: object) -> RemuxReport:
        settings = EncodeConfig(**{"preset": "veryfast", "options": ("bf=2",), **config})
        with VideoReader(source) as reader:
            frames = list(reader)
        size = -(-len(frames) // cuts)
        parts = []
        for start in range(0, len(frames), size):
            parts.append(tmp_path / f"part{start}.mp4")
            with VideoWriter(parts[-1], reader.info, settings) as writer:
                for frame in frames[start : start + size]:
                    writer.write(frame)
        return join(parts, source, destination)

    return run


def packets(path: Path, kind: str, number: int = 0) -> list[tuple[Fraction, str]]:
    """Seconds and hash of every packet of a stream."""
    with av.open(str(path)) as container:
        stream = getattr(container.streams, kind)[number]
        demuxed = [packet for packet in container.demux(stream) if packet.size]
        return [(packet.pts * packet.time_base, hashlib.sha256(bytes(packet)).hexdigest()) for packet in demuxed]


def seconds(path: Path) -> list[Fraction]:
    with VideoReader(path) as reader:
        return [frame.seconds for frame in reader]


def subtitle_text(path: Path) -> str:
    def lines() -> Iterator[str]:
        with av.open(str(path)) as container:
            for packet in container.demux(container.streams.subtitles[0]):
                for subtitle in packet.decode() if packet.size else []:
                    yield subtitle.dialogue.decode()

    return "\n".join(lines())


@pytest.mark.parametrize("extension", [".mp4", ".m4v", ".mov", ".mkv", ".ts"])
def test_sound_is_copied_byte_for_byte_at_the_same_times(restore: Joined, tmp_path: Path, extension: str) -> None:
    source = videos.make_video(tmp_path / "film.mkv", audio="aac", pts=UNEVEN, audio_seconds=Fraction(1))
    result = tmp_path / f"result{extension}"
    report = restore(source, result)
    before, after = packets(source, "audio"), packets(result, "audio")
    tolerance = {".mkv": Fraction(1, 1000), ".ts": Fraction(1, 1000)}.get(extension, Fraction(0))
    if extension != ".ts":  # MPEG-TS puts a header before each packet of AAC
        assert [one for _, one in before] == [one for _, one in after]
    for (early, _), (late, _) in zip(before, after, strict=True):
        assert abs(early + report.shift - late) <= tolerance
    assert report.frames == 12
    assert any("aac" in line for line in report.copied)


@pytest.mark.parametrize("codec", ["libx264", "libx265", "libsvtav1", "libvpx-vp9", "ffv1", "prores_ks"])
@pytest.mark.parametrize("cuts", [1, 5])
def test_pictures_keep_their_times_wherever_the_video_was_cut(
    restore: Joined, tmp_path: Path, codec: str, cuts: int
) -> None:
    source = videos.make_video(tmp_path / "film.mp4", pts=[time + 700 for time in UNEVEN], audio="aac")
    result = tmp_path / ("result.mov" if codec == "prores_ks" else "result.mp4")
    options = ("bf=2",) if codec == "libx264" else ()
    report = restore(source, result, cuts=cuts, codec=codec, options=options)
    assert seconds(result) == seconds(source)
    assert report.shift == 0


@pytest.mark.parametrize("time_base", [Fraction(1, 90000), Fraction(1001, 30000), Fraction(1, 1000), Fraction(1, 600)])
def test_odd_units_of_time_survive(restore: Joined, tmp_path: Path, time_base: Fraction) -> None:
    times = [7, 27, 47, 60, 61, 100, 120]
    options = {"movie_timescale": str(time_base.denominator)}
    source = videos.make_video(tmp_path / "film.mov", time_base=time_base, pts=times, container_options=options)
    restore(source, tmp_path / "result.mp4")
    assert seconds(tmp_path / "result.mp4") == [time * time_base for time in times]


def test_matroska_keeps_times_to_a_millisecond(restore: Joined, tmp_path: Path) -> None:
    source = videos.make_video(tmp_path / "film.mp4", pts=UNEVEN)
    restore(source, tmp_path / "result.mkv")
    pairs = zip(seconds(source), seconds(tmp_path / "result.mkv"), strict=True)
    assert all(abs(one - other) <= Fraction(1, 1000) for one, other in pairs)


def test_a_video_that_starts_before_zero_keeps_its_distances(tmp_path: Path) -> None:
    source = videos.make_video(tmp_path / "film.mp4")
    info = probe(source)
    frames = videos.make_frames(info, [-1024, -512, 0, 512])
    for name, some in (("0.mp4", frames[:2]), ("1.mp4", frames[2:])):
        with VideoWriter(tmp_path / name, info) as writer:
            for frame in some:
                writer.write(frame)
    report = join([tmp_path / "0.mp4", tmp_path / "1.mp4"], source, tmp_path / "result.mp4")
    assert seconds(tmp_path / "result.mp4") == [index * Fraction(1, 25) for index in range(4)]
    assert report.shift == Fraction(1024, 12800)


def test_sound_that_starts_early_or_ends_late_is_whole(restore: Joined, tmp_path: Path) -> None:
    source = videos.make_video(tmp_path / "film.mp4", audio="aac", audio_start=-4096, audio_seconds=Fraction(3))
    restore(source, tmp_path / "result.mp4")
    assert packets(source, "audio") == packets(tmp_path / "result.mp4", "audio")
    assert seconds(source) == seconds(tmp_path / "result.mp4")


def test_everything_in_matroska_stays_in_matroska(restore: Joined, tmp_path: Path) -> None:
    source = videos.make_video(
        tmp_path / "film.mkv",
        audio="flac",
        subtitles="ass",
        chapters=3,
        attachment=b"a font" * 40,
        cover=videos.png(),
        metadata={"title": "A film", "artist": "Somebody"},
        stream_metadata={"language": "eng", "title": "Main"},
        sample_aspect_ratio=Fraction(16, 15),
        rotation=90,
    )
    result = tmp_path / "result.mkv"
    report = restore(source, result)
    assert (report.left_out, report.converted, report.shift) == ((), (), 0)
    before, after = probe(source), probe(result)
    assert [(one.type, one.codec, one.language, one.title) for one in before.streams] == [
        (one.type, one.codec, one.language, one.title) for one in after.streams
    ]
    assert (after.rotation, after.sample_aspect_ratio, after.chapters) == (90, Fraction(16, 15), 3)
    with av.open(str(source)) as one, av.open(str(result)) as other:
        assert one.chapters() == other.chapters()
        assert one.streams.attachments[0].data == other.streams.attachments[0].data
        assert one.metadata["title"] == other.metadata["title"]
    assert packets(source, "audio") == packets(result, "audio")
    assert packets(source, "subtitles") == packets(result, "subtitles")


@pytest.mark.parametrize("extension", [".mp4", ".mov"])
def test_what_quicktime_holds_goes_through(restore: Joined, tmp_path: Path, extension: str) -> None:
    source = videos.make_video(
        tmp_path / "film.mp4",
        audio="aac",
        subtitles="mov_text",
        chapters=2,
        rotation=270,
        sample_aspect_ratio=Fraction(4, 3),
        colour=Colour(1, 1, 1, full_range=True),
        metadata={"title": "A film", "comment": "Made on the spot", "creation_time": "2020-02-02T12:00:00.000000Z"},
    )
    result = tmp_path / f"result{extension}"
    report = restore(source, result)
    before, after = probe(source), probe(result)
    assert report.left_out == ()
    assert (after.rotation, after.sample_aspect_ratio, after.colour) == (270, Fraction(4, 3), before.colour)
    with av.open(str(source)) as one, av.open(str(result)) as other:
        assert [chapter["metadata"] for chapter in one.chapters()] == [
            chapter["metadata"] for chapter in other.chapters()
        ]
        for key in ("title", "comment", "creation_time"):
            assert one.metadata[key] == other.metadata[key]
    assert subtitle_text(source) == subtitle_text(result)
    data = result.read_bytes()
    assert data.index(b"moov") < data.index(b"mdat"), "the index comes first, so that a player can start at once"


def test_cover_art_stays_in_mp4(restore: Joined, tmp_path: Path) -> None:
    source = videos.make_video(tmp_path / "film.mp4", cover=videos.png())
    restore(source, tmp_path / "result.mp4")
    assert [one.cover for one in probe(tmp_path / "result.mp4").streams] == [False, True]
    with av.open(str(tmp_path / "result.mp4")) as container:
        cover = next(packet for packet in container.demux(container.streams.video[1]) if packet.size)
        assert bytes(cover) == videos.png()


@pytest.mark.parametrize(
    ("source_name", "codec", "result_name", "target"),
    [
        ("film.mkv", "subrip", "result.mp4", "mov_text"),
        ("film.mkv", "ass", "result.mov", "mov_text"),
        ("film.mp4", "mov_text", "result.mkv", "subrip"),
    ],
)
def test_text_subtitles_are_rewritten_for_the_container_and_that_is_said(
    restore: Joined, tmp_path: Path, source_name: str, codec: str, result_name: str, target: str
) -> None:
    source = videos.make_video(tmp_path / source_name, subtitles=codec)
    report = restore(source, tmp_path / result_name)
    assert any(codec in line and target in line for line in report.converted)
    text = subtitle_text(tmp_path / result_name)
    assert all(part in text for part in videos.SUBTITLE_TEXTS)
    info = next(one for one in probe(tmp_path / result_name).streams if one.type == "subtitle")
    assert (info.codec, info.language) == (target, "fra")


def test_attachments_that_mp4_cannot_hold_are_left_out_and_named(restore: Joined, tmp_path: Path) -> None:
    source = videos.make_video(tmp_path / "film.mkv", attachment=b"font" * 9)
    report = restore(source, tmp_path / "result.mp4")
    assert any("attachment" in line and "font/ttf" in line for line in report.left_out)


def test_metadata_that_a_container_loses_is_named(restore: Joined, tmp_path: Path) -> None:
    source = videos.make_video(tmp_path / "film.mkv", metadata={"director": "Somebody"}, rotation=90)
    report = restore(source, tmp_path / "result.ts")
    assert any("DIRECTOR" in line for line in report.left_out)
    assert any("rotation by 90" in line for line in report.left_out)


def test_sound_that_does_not_fit_is_refused_before_work_starts(tmp_path: Path) -> None:
    source = videos.make_video(tmp_path / "film.mp4", audio="aac")
    with pytest.raises(OutputError, match=r"audio .* does not fit into \.webm .*result\.mp4") as caught:
        check_remux(source, tmp_path / "result.webm")
    assert "aac" in str(caught.value)


@pytest.mark.parametrize(
    ("encoder", "extension", "fits"),
    [
        ("libx264", ".mp4", True),
        ("libx264", ".webm", False),
        ("libvpx-vp9", ".webm", True),
        ("libvpx-vp9", ".mov", False),
        ("prores_ks", ".mp4", False),
        ("prores_ks", ".mov", True),
        ("ffv1", ".mkv", True),
        ("ffv1", ".ts", False),
    ],
)
def test_video_that_does_not_fit_is_refused_before_work_starts(
    tmp_path: Path,
    encoder: str,
    extension: str,
    fits: bool,  # noqa: FBT001
) -> None:
    source = videos.make_video(tmp_path / "film.mp4", frames=2)
    if fits:
        check_remux(source, tmp_path / f"result{extension}", video_codec=encoder)
    else:
        with pytest.raises(OutputError, match=f"does not hold video of {encoder}"):
            check_remux(source, tmp_path / f"result{extension}", video_codec=encoder)


def test_a_plan_names_every_stream(tmp_path: Path) -> None:
    source = videos.make_video(tmp_path / "film.mkv", audio="aac", subtitles="subrip", attachment=b"font", chapters=1)
    plan = check_remux(source, tmp_path / "result.mp4")
    assert [one.action for one in plan.streams] == [Action.REPLACE, Action.COPY, Action.CONVERT, Action.LEAVE_OUT]
    assert not (tmp_path / "result.mp4").exists()


def test_an_unknown_container_lists_the_known_ones(tmp_path: Path) -> None:
    source = videos.make_video(tmp_path / "film.mp4", frames=2)
    with pytest.raises(OutputError) as caught:
        check_remux(source, tmp_path / "result.avi")
    assert all(extension in str(caught.value) for extension in CONTAINERS)


def test_a_timecode_goes_on(restore: Joined, tmp_path: Path) -> None:
    source = videos.make_video(tmp_path / "film.mov", stream_metadata={"timecode": "01:02:03:04"})
    for name in ("result.mov", "result.mp4"):
        report = restore(source, tmp_path / name)
        with av.open(str(tmp_path / name)) as container:
            assert container.streams.video[0].metadata["timecode"] == "01:02:03:04"
        assert any("tmcd" in line for line in report.converted)


def test_hevc_has_the_tag_that_apple_plays(restore: Joined, tmp_path: Path) -> None:
    source = videos.make_video(tmp_path / "film.mp4")
    restore(source, tmp_path / "result.mp4", codec="libx265", options=())
    with av.open(str(tmp_path / "result.mp4")) as container:
        assert container.streams.video[0].codec_context.codec_tag == "hvc1"


def test_a_gif_keeps_its_pace_and_its_end(gif: Path, restore: Joined, tmp_path: Path) -> None:
    report = restore(gif, tmp_path / "result.mp4")
    assert seconds(gif) == seconds(tmp_path / "result.mp4")
    assert abs(probe(tmp_path / "result.mp4").duration - probe(gif).duration) <= Fraction(1, 25)
    assert (report.copied, report.left_out) == ((), ())


def test_a_concert_keeps_its_sound(concert: Path, tmp_path: Path, restore: Joined) -> None:
    restore(concert, tmp_path / "result.mp4", preset="ultrafast")
    assert packets(concert, "audio") == packets(tmp_path / "result.mp4", "audio")
    assert seconds(concert) == seconds(tmp_path / "result.mp4")


def _part(path: Path, info: VideoInfo, pts: list[int], **config: object) -> Path:
    with VideoWriter(path, info, EncodeConfig(preset="ultrafast", **config)) as writer:
        for frame in videos.make_frames(info, pts):
            writer.write(frame)
    return path


def test_parts_that_do_not_fit_together_are_refused(tmp_path: Path) -> None:
    source = videos.make_video(tmp_path / "film.mp4")
    info = probe(source)
    first = _part(tmp_path / "0.mp4", info, [0, 512])
    overlapping = _part(tmp_path / "1.mp4", info, [512, 1024])
    other = _part(tmp_path / "2.mp4", info, [1024, 1536], pixel_format="yuv444p")
    result = tmp_path / "result.mp4"
    with pytest.raises(OutputError, match="not after the part before it"):
        join([first, overlapping], source, result)
    with pytest.raises(OutputError, match="different settings"):
        join([first, other], source, result)
    with pytest.raises(OutputError, match="not one frame was restored"):
        join([], source, result)
    with pytest.raises(OutputError, match="part of the result is not usable"):
        join([tmp_path / "missing.mp4"], source, result)


def test_a_source_that_is_gone_says_so(tmp_path: Path) -> None:
    source = videos.make_video(tmp_path / "film.mp4")
    part = _part(tmp_path / "0.mp4", probe(source), [0, 512])
    source.unlink()
    with pytest.raises(InputError, match="does not exist"):
        join([part], source, tmp_path / "result.mp4")


class _Breaking:
    """A container that can be read up to its fifth packet."""

    def __init__(self, container: InputContainer) -> None:
        self._container = container

    def __getattr__(self, name: str) -> object:
        return getattr(self._container, name)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._container.close()

    def demux(self, *streams: object) -> Iterator[av.Packet]:
        yield from islice(self._container.demux(*streams), 5)
        raise av.error.InvalidDataError(1094995529, "Invalid data found when processing input")


def test_sound_that_cannot_be_read_is_a_loss_and_not_left_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = videos.make_video(tmp_path / "film.mkv", audio="aac")
    part = _part(tmp_path / "0.mp4", probe(source), [0, 40, 80])
    whole = join([part], source, tmp_path / "whole.mkv")

    def open_breaking(path: Path) -> object:
        container = open_source(path)
        return _Breaking(container) if path == source else container

    monkeypatch.setattr("vidrestore.media.remux.mux.open_source", open_breaking)
    damaged = join([part], source, tmp_path / "result.mkv")
    assert (whole.losses, whole.left_out, damaged.left_out) == ((), (), ())
    assert [line for line in damaged.losses if "Invalid data" in line] == list(damaged.losses) != []
    assert len(packets(tmp_path / "result.mkv", "audio")) == 5


def test_times_of_a_video_take_24_bytes_a_frame() -> None:
    times = packet_times(range(0, 512_000, 512), last_duration=512)
    assert len(times) == 1000
    assert times.pts.nbytes + times.dts.nbytes + times.durations.nbytes == 24 * len(times)


def test_two_pictures_at_one_time_are_refused() -> None:
    with pytest.raises(ValueError, match="same time"):
        packet_times([0, 512, 512], last_duration=512)


@given(st.sets(st.integers(-(10**6), 10**9), min_size=1, max_size=40), st.randoms(use_true_random=False))
def test_decoding_times_grow_and_never_follow_the_picture(pts: set[int], random: object) -> None:
    order = sorted(pts)
    for start in range(0, len(order), 5):  # a group of pictures is decoded in any order, groups follow each other
        group = order[start : start + 5]
        random.shuffle(group)
        order[start : start + 5] = group
    times = packet_times(order, last_duration=7)
    assert [one.pts for one in times] == order
    assert all(one.dts <= one.pts for one in times)
    assert all(one.dts < other.dts for one, other in pairwise(times))
    assert sum(one.duration for one in times) == max(pts) - min(pts) + 7
