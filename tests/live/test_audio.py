"""Sound on its way: passed on where it fits, coded anew where it does not, always at its time."""

import io
import threading
from collections.abc import Callable, Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

from vidrestore.live.audio import AacSound, holds
from vidrestore.live.packets import CodecParameters, Packet
from vidrestore.live.stream import LiveStream
from vidrestore.live.timeline import SECOND

MakeStream = Callable[..., LiveStream]
RATE = 8000
PIECE = 160
"""Samples of a packet of telephones and cameras: 20 ms."""


def g711(samples: np.ndarray, codec: str = "pcm_alaw", channels: int = 1) -> tuple[CodecParameters, list[bytes]]:
    """The track, and the packets of it."""
    memory = io.BytesIO()
    layout = "mono" if channels == 1 else "stereo"
    with av.open(memory, "w", format="nut") as container:
        stream = container.add_stream(codec, rate=RATE)
        stream.layout = layout
        for start in range(0, len(samples) - PIECE + 1, PIECE):
            piece = np.repeat(samples[start : start + PIECE], channels)[None].astype(np.int16)
            frame = av.AudioFrame.from_ndarray(piece, "s16", layout)
            frame.sample_rate, frame.pts = RATE, start
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    with av.open(io.BytesIO(memory.getvalue())) as container:
        packets = [packet for packet in container.demux(audio=0) if packet.size]
        return CodecParameters.of(container.streams[0], packets[0]), [bytes(packet) for packet in packets]


def beeping(seconds: float, *, every: float = 0.5) -> np.ndarray:
    """A beep of a tenth of a second at the begin of each interval."""
    at = np.arange(round(seconds * RATE)) / RATE
    return np.where(at % every < 0.1, 12000 * np.sin(2 * np.pi * 440 * at), 0)


def recoded(track: CodecParameters, packets: Sequence[bytes], times: Sequence[int]) -> list[Packet]:
    coder = AacSound(track)
    given = (
        Packet("audio", track, data, time, time, 0, keyframe=True, arrived=1)
        for data, time in zip(packets, times, strict=True)
    )
    return [made for packet in given for made in coder.take(packet) or []]


def heard(packets: Sequence[Packet]) -> tuple[np.ndarray, np.ndarray]:
    """Samples and the time of each, in seconds."""
    decoder = av.CodecContext.create("aac", "r")
    assert isinstance(decoder, av.AudioCodecContext)
    decoder.extradata = packets[0].track.stream.codec_context.extradata
    samples, times = [], []
    for packet in packets:
        coded = av.Packet(packet.data)
        coded.pts, coded.time_base = packet.pts, Fraction(1, SECOND)
        for frame in decoder.decode(coded):
            values = frame.to_ndarray()[0]
            samples.append(values)
            times.append(packet.pts / SECOND + np.arange(len(values)) / RATE)
    return np.concatenate(samples), np.concatenate(times)


def onsets(packets: Sequence[Packet]) -> list[float]:
    samples, times = heard(packets)
    loud = np.convolve(np.abs(samples), np.ones(40) / 40, "same") > 0.05
    begins = times[np.flatnonzero(loud[1:] & ~loud[:-1])]
    return [float(begin) for begin, before in zip(begins, [0.0, *begins], strict=False) if begin - before > 0.2]


def regular(count: int, *, start: int = 7 * SECOND) -> list[int]:
    return [start + number * PIECE * SECOND // RATE for number in range(count)]


@pytest.mark.parametrize("codec", ["pcm_alaw", "pcm_mulaw"])
@pytest.mark.parametrize("channels", [1, 2])
def test_a_beep_is_heard_when_it_was(codec: str, channels: int) -> None:
    track, packets = g711(beeping(3.0), codec, channels)
    made = recoded(track, packets, regular(len(packets)))
    found = onsets(made)
    assert len(found) == 6
    assert found[1:] == pytest.approx([7.5, 8.0, 8.5, 9.0, 9.5], abs=0.012)
    assert {packet.track.codec for packet in made} == {"aac"}
    assert [packet.pts for packet in made] == sorted({packet.pts for packet in made})


def test_after_an_outage_sound_goes_on_at_its_time() -> None:
    track, packets = g711(beeping(4.0))
    times = regular(len(packets))
    times[115:] = [time + 3 * SECOND + SECOND // 7 for time in times[115:]]  # between two beeps
    found = onsets(recoded(track, packets, times))
    late = 3 + 1 / 7
    assert found[1:] == pytest.approx([7.5, 8, 8.5, 9, *(9.5 + late + half / 2 for half in range(3))], abs=0.022)


@pytest.mark.parametrize("drift", [-0.004, 0.004])
def test_a_clock_that_drifts_is_followed(drift: float) -> None:
    """Forty times as fast as any quartz: sound stays within what is promised."""
    track, packets = g711(beeping(20.0))
    times = [round(7 * SECOND + (time - 7 * SECOND) * (1 + drift)) for time in regular(len(packets))]
    found = onsets(recoded(track, packets, times))
    true = 7 + np.arange(40) * 0.5 * (1 + drift)
    off = [min(abs(one - true)) for one in found]
    assert len(found) >= 38
    assert max(off) < 0.035


def test_what_cannot_be_decoded_is_said_and_costs_no_more() -> None:
    track, packets = g711(beeping(2.0), channels=2)
    coder = AacSound(track)
    made: list[Packet] = []
    for number, (data, time) in enumerate(zip(packets, regular(len(packets)), strict=True)):
        torn = number == 40  # half of a sample
        coded = coder.take(Packet("audio", track, data[:1] if torn else data, time, time, 0, keyframe=True, arrived=1))
        assert (coded is None) == torn
        made += coded or []
    assert onsets(made)[1:] == pytest.approx([7.5, 8.0, 8.5], abs=0.022)


def coded(codec: str, rate: int, layout: str, samples: np.ndarray) -> tuple[CodecParameters, list[bytes]]:
    """The track of mono samples in an MPEG transport stream, and its packets."""
    memory = io.BytesIO()
    with av.open(memory, "w", format="mpegts") as container:
        stream = container.add_stream(codec, rate=rate)
        stream.layout = layout
        resampler = av.AudioResampler(stream.codec_context.format, layout, rate, stream.codec_context.frame_size)
        frame = av.AudioFrame.from_ndarray(samples[None].astype(np.int16), "s16", "mono")
        frame.sample_rate, frame.pts = rate, 0
        for piece in [*resampler.resample(frame), *resampler.resample(None)]:
            container.mux(stream.encode(piece))
        container.mux(stream.encode(None))
    with av.open(io.BytesIO(memory.getvalue())) as container:
        packets = [packet for packet in container.demux(audio=0) if packet.size]
        return CodecParameters.of(container.streams[0], packets[0]), [bytes(packet) for packet in packets]


@pytest.mark.parametrize("codec", ["ac3", "eac3", "mp2", "libopus", "aac"])
def test_a_track_is_kept_as_what_it_is(codec: str) -> None:
    track, _ = coded(codec, 48000, "stereo", np.zeros(4800))
    assert track.codec == codec.removeprefix("lib")


def test_a_source_may_change_its_channels_in_mid_stream() -> None:
    """As broadcasters do between a film and what interrupts it."""
    tone = 12000 * np.sin(2 * np.pi * 440 * np.arange(48000) / 48000)
    one, stereo = coded("ac3", 48000, "stereo", tone)
    _, around = coded("ac3", 48000, "5.1", tone)
    coder = AacSound(one)
    made: list[Packet] = []
    pieces = [*stereo, *around, *stereo]
    for number, data in enumerate(pieces):
        time = 5 * SECOND + number * 1536 * SECOND // 48000
        coded_now = coder.take(Packet("audio", one, data, time, time, 0, keyframe=True, arrived=1))
        assert coded_now is not None
        made += coded_now
    made += coder.flush()
    assert sum(packet.duration for packet in made) / SECOND == pytest.approx(len(pieces) * 1536 / 48000, abs=0.1)


def test_channels_make_another_track() -> None:
    mono, stereo = (g711(beeping(0.1), channels=channels)[0] for channels in (1, 2))
    assert mono.key != stereo.key


def test_the_end_of_the_sound_is_not_cut_off() -> None:
    track, packets = g711(beeping(2.05, every=0.5)[: 2 * RATE + 2 * PIECE])
    coder = AacSound(track)
    made: list[Packet] = []
    for data, time in zip(packets, regular(len(packets)), strict=True):
        made += coder.take(Packet("audio", track, data, time, time, 0, keyframe=True, arrived=1)) or []
    made += coder.flush()
    assert onsets(made)[-1] == pytest.approx(9.0, abs=0.022)


def test_a_recording_that_ends_before_its_sound_came_has_its_pictures(
    make_stream: MakeStream, make_portrait_video: Any, tmp_path: Path
) -> None:
    camera = tmp_path / "camera.mov"
    with av.open(str(make_portrait_video(frames=15))) as given, av.open(str(camera), "w") as container:
        video = container.add_stream_from_template(given.streams.video[0])
        container.add_stream("aac", rate=48000)
        for packet in given.demux(video=0):
            if packet.dts is not None:
                packet.stream = video
                container.mux(packet)
    make_stream(camera, tmp_path / "rec.mkv", mode="complete").run()
    (result,) = tmp_path.glob("rec-*")
    with av.open(str(result)) as container:
        assert sum(1 for _ in container.decode(video=0)) == 15


@pytest.mark.parametrize(
    ("container", "codec", "held"),
    [
        ("rtsp", "pcm_alaw", True),
        ("mov", "pcm_alaw", True),
        ("mp4", "pcm_alaw", False),
        ("matroska", "pcm_mulaw", False),
        ("mpegts", "pcm_alaw", False),
        ("hls", "pcm_mulaw", False),
        ("flv", "pcm_alaw", False),
    ],
)
def test_containers_are_known(container: str, codec: str, held: bool) -> None:  # noqa: FBT001
    track, _ = g711(beeping(0.1), codec)
    assert holds(container, track) == held


@pytest.mark.parametrize(("rate", "held"), [(44100, True), (48000, True), (32000, False), (24000, False)])
def test_not_every_mp3_goes_into_flv(rate: int, held: bool) -> None:  # noqa: FBT001
    track, _ = coded("libmp3lame", rate, "stereo", np.zeros(rate // 5))
    assert holds("flv", track) == held


@pytest.mark.parametrize(
    ("name", "codec"),
    [
        ("rec.mp4", "aac"),
        ("hls/", "aac"),
        pytest.param("rec.mkv", "aac", marks=pytest.mark.nightly),
        pytest.param("rec.mov", "pcm_alaw", marks=pytest.mark.nightly),
    ],
)
def test_the_sound_of_a_camera_is_in_every_output(
    make_stream: MakeStream, make_portrait_video: Any, tmp_path: Path, name: str, codec: str
) -> None:
    camera = tmp_path / "camera.mov"
    sound = beeping(2.0)
    with av.open(str(make_portrait_video(frames=50))) as given, av.open(str(camera), "w") as container:
        video = container.add_stream_from_template(given.streams.video[0])
        audio = container.add_stream("pcm_alaw", rate=RATE)
        audio.layout = "mono"
        for packet in given.demux(video=0):
            if packet.dts is not None:
                packet.stream = video
                container.mux(packet)
        for start in range(0, len(sound), PIECE):
            frame = av.AudioFrame.from_ndarray(sound[None, start : start + PIECE].astype(np.int16), "s16", "mono")
            frame.sample_rate, frame.pts = RATE, start
            container.mux(audio.encode(frame))
    events: list[str] = []
    stream = make_stream(camera, f"{tmp_path}/{name}", mode="complete", events=events)
    thread = threading.Thread(target=stream.run)
    thread.start()
    thread.join(60)
    (result,) = [*tmp_path.glob("rec-*"), *tmp_path.glob("hls/*.m3u8")]
    with av.open(str(result)) as container:
        assert container.streams.audio[0].codec_context.codec.canonical_name == codec
        first = next(frame.time for frame in container.decode(video=0))
    with av.open(str(result)) as container:
        resampler = av.AudioResampler("s16", "mono", RATE)
        frames = [
            (one.time, one.to_ndarray()[0]) for frame in container.decode(audio=0) for one in resampler.resample(frame)
        ]
    times = np.concatenate([start + np.arange(len(values)) / RATE for start, values in frames]) - first
    values = np.concatenate([values for _, values in frames]).astype(float) / 32768
    loud = np.convolve(np.abs(values), np.ones(40) / 40, "same") > 0.05
    begins = times[np.flatnonzero(loud[1:] & ~loud[:-1])]
    assert begins[begins > 0.25] == pytest.approx([0.5, 1.0, 1.5], abs=0.03)
    assert any("written as AAC" in event for event in events) == (codec == "aac")
