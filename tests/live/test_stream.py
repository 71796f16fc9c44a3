"""Whole streams against real servers: RTSP in, RTSP out, and everything that can go wrong between."""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from benchmarks.live_peers import BALL_SIZE, Camera, Viewer, Viewing, moving_ball
from benchmarks.rtsp_relay import RtspRelay
from support.waiting import until
from vidrestore.errors import ConfigError
from vidrestore.live.stream import LiveStream
from vidrestore.types import UInt8

pytestmark = pytest.mark.integration

MakeStream = Callable[..., LiveStream]
QUICK = {"backoff": {"first_seconds": 0.1, "max_seconds": 0.5}}
SOURCE = {"silence_seconds": 1.0, "open_seconds": 3.0, "retry": "always"} | QUICK
RATE = 25
WIDTH, HEIGHT = BALL_SIZE


@contextmanager
def running(stream: LiveStream) -> Iterator[LiveStream]:
    thread = threading.Thread(target=stream.run, daemon=True)
    thread.start()
    try:
        yield stream
    finally:
        stream.stop()
        thread.join(30)
        assert not thread.is_alive()


def balanced(stream: LiveStream) -> bool:
    status = stream.status()
    return status.frames_in == status.frames_out + sum(status.dropped.values())


@pytest.mark.live
def test_pictures_and_sound_arrive_in_order_and_together(relay: RtspRelay, make_stream: MakeStream) -> None:
    stream = make_stream(relay.url("in"), relay.url("out"), source=SOURCE, output=QUICK)
    with Camera(relay.url("in"), moving_ball, rate=RATE) as camera, running(stream), Viewer(relay.url("out")) as viewer:
        assert viewer.wait_for(120, seconds=25)
        status = stream.status()
    numbers = [seen.number for seen in viewer.seen.pictures]
    assert all(before < after for before, after in pairwise(numbers)), "in order, none twice"
    missing = numbers[-1] - numbers[0] + 1 - len(numbers)
    assert missing <= sum(stream.status().dropped.values()), "what a slow machine lost is counted"
    assert steps_back(viewer.seen) == []
    offsets = viewer.seen.sound_offsets(RATE)
    assert len(offsets) >= 2
    assert max(map(abs, offsets)) < 0.04
    delays = [seen.at - camera.taken(seen.number) for seen in viewer.seen.pictures[25:]]
    assert np.median(delays) < 0.3
    assert status.latency.quantile(0.5) is not None
    assert balanced(stream)


def test_a_server_that_dies_and_comes_back_costs_the_outage_and_no_more(make_stream: MakeStream) -> None:
    with RtspRelay() as theirs, RtspRelay() as ours:
        events: list[str] = []
        stream = make_stream(theirs.url("in"), ours.url("out"), events=events, source=SOURCE, output=QUICK)
        with Camera(theirs.url("in"), moving_ball, rate=RATE), running(stream), Viewer(ours.url("out")) as viewer:
            assert viewer.wait_for(60, seconds=25)
            theirs.vanish()
            time.sleep(1.5)
            theirs.listen()
            until(lambda: stream.source.counts.sessions >= 2 and stream.source.counts.state == "live")
            assert viewer.wait_for(80, seconds=15)
            status = stream.status()
        assert viewer.seen.sessions == 1, "who watches notices no new connection"
        assert status.sink_counts.gaps >= 1
        assert status.sink_counts.held >= 5, "the last picture is shown meanwhile"
        assert status.source_counts.failures >= 1
        assert status.source_counts.outage_seconds > 1.0
        assert max(map(abs, viewer.seen.sound_offsets(RATE))) < 0.04
        assert steps_back(viewer.seen) == []
        assert any("trying again" in event for event in events)
        assert any("is live again" in event for event in events)
    assert balanced(stream)


def test_a_source_that_hangs_is_opened_anew(make_stream: MakeStream) -> None:
    with RtspRelay() as theirs, RtspRelay() as ours:
        events: list[str] = []
        stream = make_stream(theirs.url("in"), ours.url("out"), events=events, source=SOURCE, output=QUICK)
        with Camera(theirs.url("in"), moving_ball, rate=RATE), running(stream), Viewer(ours.url("out")) as viewer:
            assert viewer.wait_for(40, seconds=25)
            failures = stream.source.counts.failures
            theirs.freeze()
            until(lambda: stream.source.counts.failures > failures)
            assert any("silent" in event or "no frame" in event for event in events), events
            theirs.thaw()
            frames = stream.status().frames_out
            until(lambda: stream.status().frames_out > frames + 25)
        assert stream.sink.counts.held >= 5, "the last picture is shown meanwhile"


def test_an_output_that_dies_or_hangs_is_opened_anew(make_stream: MakeStream) -> None:
    with RtspRelay() as theirs, RtspRelay() as ours:
        events: list[str] = []
        output = {"stall_seconds": 1.0} | QUICK
        stream = make_stream(theirs.url("in"), ours.url("out"), events=events, source=SOURCE, output=output)
        with Camera(theirs.url("in"), noise, rate=RATE), running(stream):
            until(lambda: stream.sink.outputs[0].counts.pictures > 20)
            ours.kick()
            until(lambda: stream.sink.outputs[0].counts.opened == 2)
            ours.freeze()
            until(lambda: any("takes nothing" in event for event in events), seconds=20)
            ours.thaw()
            until(lambda: stream.sink.outputs[0].counts.opened >= 3 and stream.sink.outputs[0].counts.state == "live")
            with Viewer(ours.url("out")) as viewer:
                assert viewer.wait_for(20, seconds=10)
            assert stream.source.counts.sessions == 1, "the source does not suffer"
        assert stream.sink.outputs[0].counts.packets_dropped > 0, "and what was lost is counted"
    assert balanced(stream)


def steps_back(seen: Viewing) -> list[tuple[int, float]]:
    """Where a picture's time is not later than the one's before: its place, and by how much.

    The first seconds do not count: a client sets its clock anew when the first report of the sender has come.
    """
    later = [picture for picture in seen.pictures if picture.at > seen.pictures[0].at + 1.0]
    steps = [(place, after.time - before.time) for place, (before, after) in enumerate(pairwise(later))]
    return [(place, step) for place, step in steps if step <= 0]


def noise(number: int) -> UInt8:
    """Fills a socket's buffers within a second."""
    return np.random.default_rng(number).integers(0, 255, (HEIGHT, WIDTH, 3), dtype=np.uint8)


@pytest.mark.live
def test_overload_drops_and_counts_and_never_lags(relay: RtspRelay, make_stream: MakeStream, worker: Any) -> None:
    worker.seconds = 0.08
    stream = make_stream(relay.url("in"), relay.url("out"), source=SOURCE, output=QUICK, quality={"enabled": False})
    with Camera(relay.url("in"), moving_ball, rate=RATE, sound=False) as camera, running(stream):
        with Viewer(relay.url("out")) as viewer:
            assert viewer.wait_for(60, seconds=25)
        status = stream.status()
    delays = [seen.at - camera.taken(seen.number) for seen in viewer.seen.pictures]
    assert max(delays[-30:]) < 0.6
    assert status.rate_out < 0.7 * RATE
    latency = stream.status().latency.quantile(0.95)
    assert latency is not None
    assert latency < 0.4
    assert stream.status().dropped["outdated"] + stream.status().dropped["overflow"] > 20
    assert balanced(stream)


def lost_of_fifty(stream: LiveStream) -> int:
    """Count what is dropped of the next two seconds of a camera, however long they take here."""
    before = stream.status()
    until(lambda: stream.status().frames_in >= before.frames_in + 2 * RATE)
    return sum(stream.status().dropped.values()) - sum(before.dropped.values())


def test_overload_steps_down_until_little_is_lost(relay: RtspRelay, make_stream: MakeStream, worker: Any) -> None:
    """The fake costs time only where it is asked, and fewer looks ask less often."""
    worker.seconds = 0.08
    stream = make_stream(relay.url("in"), relay.url("out"), source=SOURCE, output=QUICK)
    with Camera(relay.url("in"), moving_ball, rate=RATE, sound=False), running(stream):
        until(lambda: stream.status().quality_level >= 1)
        until(lambda: lost_of_fifty(stream) <= 15, seconds=60)


def test_another_size_in_another_codec_is_fitted_into_the_first(make_stream: MakeStream) -> None:
    with RtspRelay() as theirs, RtspRelay() as ours:
        stream = make_stream(theirs.url("in"), ours.url("out"), source=SOURCE, output=QUICK)
        with running(stream), Viewer(ours.url("out")) as viewer:
            with Camera(theirs.url("in"), moving_ball, rate=RATE):
                assert viewer.wait_for(30, seconds=25)
            tall = lambda number: cv2.resize(moving_ball(number), (240, 240))  # noqa: E731
            with Camera(theirs.url("in"), tall, rate=RATE, coder="libx265"):
                until(lambda: stream.source.counts.frames_adapted > 40)
        pair = stream._pair
        assert pair is not None
        assert pair[0].planes[0].shape == (HEIGHT, WIDTH)
        luma = pair[0].planes[0].astype(int)
        assert abs(luma[:, :60] - 16).max() < 12, "black bars"
        assert luma[:, WIDTH // 2].mean() > 40
        assert viewer.seen.sessions == 1
    assert balanced(stream)


def test_style_codes_are_refused_before_anything_runs(make_stream: MakeStream, tmp_path: Path) -> None:
    video = tmp_path / "film.mp4"
    video.touch()
    with pytest.raises(ConfigError, match="style codes"):
        make_stream(video, tmp_path / "x.mkv", restore={"style": {"frames": 2}})


def test_a_dead_worker_costs_faces_and_no_picture(relay: RtspRelay, make_stream: MakeStream, worker: Any) -> None:
    stream = make_stream(relay.url("in"), relay.url("out"), source=SOURCE, output=QUICK, worker_timeout_seconds=0.3)
    with Camera(relay.url("in"), moving_ball, rate=RATE), running(stream):
        until(lambda: stream.status().frames_out > 20)
        worker.broken = True
        before = stream.status()
        until(lambda: stream.status().worker_failures >= 2)
        worker.broken = False
        until(lambda: stream.status().frames_out > before.frames_out + 40)
        status = stream.status()
        assert status.answers_replaced > 5
        assert status.engine_failures == 0
        assert status.dropped["lost"] == 0
    assert balanced(stream)


@pytest.mark.parametrize("overlap", [False, True])
def test_an_engine_that_fails_begins_anew_and_shows_every_picture(
    relay: RtspRelay, make_stream: MakeStream, monkeypatch: pytest.MonkeyPatch, *, overlap: bool
) -> None:
    from vidrestore.live import stream as module  # noqa: PLC0415  its engine is replaced

    whole = module.restore_frames
    failed: list[int] = []

    def brittle(frames, *arguments, **options):  # noqa: ANN001, ANN002, ANN003, ANN202
        for number, frame in enumerate(whole(frames, *arguments, **options)):
            if number == 10 and len(failed) < 2:
                failed.append(number)
                raise ValueError("a bug")
            yield frame

    monkeypatch.setattr(module, "restore_frames", brittle)
    events: list[str] = []
    options = {"source": SOURCE, "output": QUICK, "overlap": overlap}
    stream = make_stream(relay.url("in"), relay.url("out"), events=events, **options)
    with Camera(relay.url("in"), moving_ball, rate=RATE), running(stream), Viewer(relay.url("out")) as viewer:
        assert viewer.wait_for(50, seconds=25)
    assert stream.status().engine_failures == 2
    assert sum(thread.name == "ahead" for thread in threading.enumerate()) == 0
    assert any("a bug" in event for event in events)
    assert balanced(stream)
