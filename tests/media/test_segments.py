"""A film in spans is the film: every frame once, with the same samples and times, whatever the container."""

from array import array
from fractions import Fraction
from itertools import pairwise
from pathlib import Path

import av
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from support import video_factory as videos
from vidrestore.media.reader import SegmentRange, VideoReader
from vidrestore.media.segments import TemporalSupport, VideoIndex, index_video, plan_spans
from vidrestore.types import Frame

REACH = TemporalSupport(0.2, 3, 0.1, 2)
KINDS = {
    "mp4": {"options": {"g": "12", "bf": "3", "preset": "veryfast"}},
    "open.mp4": {"options": {"x264-params": "keyint=12:open-gop=1:bframes=3:scenecut=0"}},
    "mkv": {"options": {"g": "10", "bf": "2"}, "time_base": Fraction(1, 1000)},
    "ts": {"options": {"g": "12", "bf": "2"}, "time_base": Fraction(1, 90000)},
    "mpeg2.ts": {"codec": "mpeg2video", "options": {"g": "9", "bf": "2"}, "time_base": Fraction(1, 25)},
    "webm": {"codec": "libvpx-vp9", "options": {"g": "15"}, "time_base": Fraction(1, 1000)},
    "hevc.mp4": {"codec": "libx265", "options": {"x265-params": "keyint=12:bframes=3:log-level=none"}},
    "refresh.mp4": {"options": {"x264-params": "intra-refresh=1:keyint=15:bframes=0"}},
    "mov": {"codec": "prores_ks", "pixel_format": "yuv422p10le"},
    "uneven.mp4": {"options": {"g": "8", "bf": "2"}, "uneven": True},
}


def frames_of(path: Path, span: SegmentRange | None = None) -> list[Frame]:
    with VideoReader(path, span) as reader:
        return list(reader)


def same(one: Frame, other: Frame) -> bool:
    return one.pts == other.pts and all(map(np.array_equal, one.planes, other.planes))


@pytest.mark.parametrize("kind", KINDS)
def test_spans_together_are_the_video(tmp_path: Path, kind: str) -> None:
    options = dict(KINDS[kind])
    if options.pop("uneven", False):
        steps = np.random.default_rng(1).integers(200, 1500, 90).cumsum()
        options["pts"] = [int(step) for step in steps]
    source = videos.make_video(tmp_path / f"film.{kind}", frames=90, **options)
    whole = frames_of(source)
    index = index_video(source)
    assert index.unsplittable_reason is None
    assert list(index.times) == [frame.pts for frame in whole]
    spans = plan_spans(index, REACH, frames_per_segment=17)
    assert len(spans) == 5
    got: list[Frame] = []
    for span in spans:
        read = frames_of(source, span)
        core = [frame for frame in read if span.holds(frame.pts)]
        first = len(got)
        before = next(number for number, frame in enumerate(read) if span.holds(frame.pts))
        assert before >= min(first, REACH.past_frames), "lead-in"
        assert len(read) - before - len(core) >= min(len(whole) - first - len(core), REACH.future_frames), "lead-out"
        got += core
    assert len(got) == len(whole)
    assert all(map(same, got, whole))


def test_statistics_are_of_what_counts(tmp_path: Path) -> None:
    source = videos.make_video(tmp_path / "film.mp4", frames=60, options={"g": "6"})
    spans = plan_spans(index_video(source), REACH, frames_per_segment=20)
    counted = 0
    for span in spans:
        with VideoReader(source, span) as reader:
            read = sum(1 for _ in reader)
            assert reader.statistics.frames < read
            assert not reader.statistics.losses()
            counted += reader.statistics.frames
    assert counted == 60


def test_a_video_whose_times_step_back_stays_whole(tmp_path: Path) -> None:
    late = videos.make_video(
        tmp_path / "late.ts", frames=60, pts=range(900000, 1116000, 3600), time_base=Fraction(1, 90000)
    )
    early = videos.make_video(tmp_path / "early.ts", frames=60, time_base=Fraction(1, 90000))
    both = tmp_path / "both.ts"
    both.write_bytes(late.read_bytes() + early.read_bytes())
    index = index_video(both)
    assert index.unsplittable_reason in {"its times step back", "some of its packets are damaged"}
    assert plan_spans(index, REACH, frames_per_segment=20) == (SegmentRange(),)
    assert len(frames_of(both)) == 120


def test_borders_prefer_the_start_of_a_shot(tmp_path: Path) -> None:
    source = tmp_path / "cut.mp4"
    with av.open(str(source), "w") as container:
        stream = container.add_stream("libx264", rate=25, options={"g": "40"})
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        for number in range(120):
            level = 40 if number < 57 else 200
            noise = np.random.default_rng(number // 57).integers(0, 40, (48, 64, 3))
            picture = av.VideoFrame.from_ndarray((noise + level).astype(np.uint8), "rgb24")
            picture.pts = number
            container.mux(stream.encode(picture))
        container.mux(stream.encode(None))
    index = index_video(source)
    _, second = plan_spans(index, REACH, frames_per_segment=60)
    assert second.start == index.times[57]


@pytest.mark.parametrize(
    ("damage", "says"), [("cut", "stops early|shorter|counts"), ("none", None)], ids=["truncated", "whole"]
)
def test_a_damaged_video_stays_whole(tmp_path: Path, damage: str, says: str | None) -> None:
    source = videos.make_video(tmp_path / "film.mkv", frames=200, options={"g": "10"}, time_base=Fraction(1, 1000))
    if damage == "cut":
        source.write_bytes(source.read_bytes()[: source.stat().st_size // 2])
    index = index_video(source)
    spans = plan_spans(index, REACH, frames_per_segment=20)
    if says:
        assert index.unsplittable_reason is not None
        assert spans == (SegmentRange(),)
    else:
        assert len(spans) == 10


@given(
    steps=st.lists(st.integers(1, 2000), min_size=2, max_size=300),
    keys=st.sets(st.integers(0, 300)),
    length=st.integers(1, 120),
)
def test_any_video_is_cut_without_gap_or_overlap(steps: list[int], keys: set[int], length: int) -> None:
    times = array("q", np.cumsum(steps).tolist())
    shown = array("q", sorted(times[key] for key in keys if key < len(times)))
    spans = plan_spans(VideoIndex(Fraction(1, 1000), times, shown), REACH, frames_per_segment=length)
    assert spans[0].start is None
    assert spans[-1].stop is None
    assert all(one.stop == other.start for one, other in pairwise(spans))
    for time in times:
        assert sum(span.holds(time) for span in spans) == 1
    for span in spans:
        if span.begin is not None:
            assert span.start is not None
            assert span.begin < span.start
            assert span.seek is None or span.seek <= span.begin
