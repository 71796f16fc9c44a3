"""Tracks in which nothing is, and gaps that no container holds: they never cost the film."""

from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path

import av
import pytest

from support import video_factory as videos
from vidrestore import storage
from vidrestore.errors import InputError, OutputError
from vidrestore.jobs.segment import Segment, restore_segment
from vidrestore.jobs.tasks import PlanTask
from vidrestore.media.gaps import longest_gap, may_have_long_gaps, refuse_long_gaps
from vidrestore.media.inspection import inspect
from vidrestore.media.remux.mux import RemuxReport, join
from vidrestore.media.remux.plan import check_remux
from vidrestore.media.segments import index_video
from vidrestore.restoration.config import VideoRestoreConfig

RESULTS = ("mp4", "mov", "mkv", "ts")


def hollowed(video: Path, result: Path, keep: Sequence[int]) -> Path:
    """A copy of a film with all of its tracks, and only the packets of some."""
    with av.open(str(video)) as source, av.open(str(result), "w") as output:
        tracks = {stream.index: output.add_stream_from_template(stream) for stream in source.streams}
        for packet in source.demux():
            if packet.size and packet.stream.index in keep:
                packet.stream = tracks[packet.stream.index]
                output.mux(packet)
    return result


def restored(video: Path, result: Path) -> RemuxReport:
    """A film that went all the way, without faces being looked for."""
    plan = check_remux(video, result)
    part = result.with_name("part")
    restore_segment(Segment(video, part), None, VideoRestoreConfig(), lambda _: None)
    return join([part], video, result, plan=plan)


@pytest.mark.parametrize("suffix", RESULTS)
@pytest.mark.parametrize("keep", [(0,), (0, 1), (0, 2), (0, 1, 2)])
def test_empty_sound_and_subtitles(keep: tuple[int, ...], suffix: str, tmp_path: Path) -> None:
    whole = videos.make_video(tmp_path / "whole.mkv", audio="aac", subtitles="subrip")
    video = hollowed(whole, tmp_path / "film.mkv", keep)
    result = tmp_path / f"result.{suffix}"
    told = restored(video, result)
    assert told.frames == 12
    with av.open(str(result)) as container:
        assert sum(packet.size > 0 for packet in container.demux(container.streams.video[0])) == 12
        # whatever is reported as kept is there, and nothing else is
        kept = len(told.copied) + len(told.converted)
        assert len(container.streams) == 1 + kept
    if 1 in keep:
        assert any(line.startswith("audio 1 (aac)") for line in told.copied)
    elif suffix in {"mp4", "mov"}:
        assert any("audio 1 (aac)" in line and "empty" in line for line in told.left_out)


@pytest.mark.parametrize("suffix", RESULTS)
@pytest.mark.parametrize("source", ["mkv", "nut", "ts"])
@pytest.mark.parametrize("kind", ["audio", "video"])
def test_empty_track_before_one_that_is_not(kind: str, source: str, suffix: str, tmp_path: Path) -> None:
    """The sound's language must not be looked for in another track."""
    video, result = tmp_path / f"film.{source}", tmp_path / f"result.{suffix}"
    whole = videos.make_video(tmp_path / "whole.mkv", audio="aac")
    with av.open(str(whole)) as template, av.open(str(video), "w") as output:
        tracks = [output.add_stream_from_template(template.streams[0])]
        output.add_stream_from_template(template.streams[int(kind == "audio")])
        tracks.append(output.add_stream_from_template(template.streams[1]))
        tracks[1].metadata["language"] = "deu"
        for packet in template.demux():
            if packet.size:
                packet.stream = tracks[packet.stream.index]
                output.mux(packet)
    told = restored(video, result)
    with av.open(str(result)) as container:
        wanted = "ger" if suffix == "mov" else "deu"  # QuickTime's own name
        sounds = [track for track in container.streams.audio if track.metadata.get("language") == wanted]
        assert len(sounds) == 1
        assert sum(packet.size > 0 for packet in container.demux(sounds[0])) > 20
    gone = [line for line in told.left_out if line.startswith(f"{kind} 1")]
    assert len(gone) == (suffix in {"mp4", "mov"} or (source == "ts" and (kind, suffix) != ("video", "ts"))), told


def video_with_gap(path: Path, *, unit: Fraction, gap: int) -> Path:
    step = max(1, round(Fraction(1, 25) / unit))
    times = [0, step, 2 * step, 2 * step + gap, 3 * step + gap]
    return videos.make_video(path, pts=times, time_base=unit, options={"bf": "0"})


def test_long_gap_is_told_before_the_work(tmp_path: Path) -> None:
    video = video_with_gap(tmp_path / "film.nut", unit=Fraction(1, 1_000_000), gap=2_500_000_000)
    assert may_have_long_gaps(inspect(video))
    with pytest.raises(InputError, match=r"a gap of 2,500 s between frames; in its units .* at most 2,147 s"):
        refuse_long_gaps(video, index_video(video))
    order = PlanTask(
        str(video), storage.fingerprint(str(video)), str(tmp_path / "result.mp4"), VideoRestoreConfig(), 100.0, None
    )
    with pytest.raises(InputError, match="a gap of 2,500 s"):
        order.run(None, lambda _: None)


@pytest.mark.parametrize(("suffix", "unit"), [("nut", Fraction(1, 1_000_000)), ("mkv", Fraction(1, 1000))])
def test_longest_gap_that_is_allowed_keeps_all_times(suffix: str, unit: Fraction, tmp_path: Path) -> None:
    gap = longest_gap(unit) - 4 * max(1, round(Fraction(1, 25) / unit))
    video = video_with_gap(tmp_path / f"film.{suffix}", unit=unit, gap=gap)
    refuse_long_gaps(video, index_video(video))
    for container in RESULTS:
        assert restored(video, tmp_path / f"result.{container}").frames == 5
    there, here = index_video(tmp_path / "result.mp4"), index_video(video)
    assert [time * there.time_base for time in there.times] == [time * here.time_base for time in here.times]


def test_writer_refuses_a_gap_instead_of_moving_frames(tmp_path: Path) -> None:
    video = video_with_gap(tmp_path / "film.nut", unit=Fraction(1, 1000), gap=135_000_000)
    with pytest.raises(OutputError, match="the video has a gap of 135,000 s"):
        restore_segment(Segment(video, tmp_path / "part"), None, VideoRestoreConfig(), lambda _: None)


def test_usual_videos_are_not_searched_for_gaps(tmp_path: Path) -> None:
    for suffix in ("mp4", "mkv", "ts", "avi"):
        assert not may_have_long_gaps(inspect(videos.make_video(tmp_path / f"film.{suffix}", codec="mpeg4")))


@pytest.mark.parametrize("suffix", RESULTS)
def test_sound_after_a_long_gap_does_not_cost_the_video(suffix: str, tmp_path: Path) -> None:
    whole = videos.make_video(tmp_path / "whole.mkv", audio="aac")
    video = tmp_path / "film.mkv"
    with av.open(str(whole)) as source, av.open(str(video), "w") as output:
        tracks = [output.add_stream_from_template(stream) for stream in source.streams]
        for number, packet in enumerate(source.demux()):
            if packet.size:
                if packet.stream.type == "audio" and number > 20:
                    packet.pts += 50_000_000  # ms: 2.4 thousand million samples of 1/48000 s
                    packet.dts += 50_000_000
                packet.stream = tracks[packet.stream.index]
                output.mux(packet)
    told = restored(video, tmp_path / f"result.{suffix}")
    assert told.frames == 12
    if suffix in {"mp4", "mov"}:
        assert any("after a gap" in line for line in told.losses)
