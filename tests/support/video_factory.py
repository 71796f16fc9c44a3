"""Small films made on the spot: every property that a test asks for, and nothing random."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from av.container import OutputContainer

from vidrestore.media.pixel_formats import bit_depth, plane_shapes
from vidrestore.media.probe import VideoInfo
from vidrestore.types import Colour, Frame, Planes

SRT = "1\n00:00:00,040 --> 00:00:00,160\nHello <i>you</i>\nand all\n\n2\n00:00:00,200 --> 00:00:00,400\nÜber €\n\n"
SUBTITLE_TEXTS = ("Hello", "you", "and all", "Über €")
UNTAGGED = Colour()


@dataclass(frozen=True)
class VideoSpec:
    """What `make_film` makes; times in units of `time_base` unless said."""

    frames: int = 12
    codec: str = "libx264"
    pixel_format: str = "yuv420p"
    width: int = 64
    height: int = 48
    time_base: Fraction = Fraction(1, 12800)
    pts: Sequence[int] | None = None
    last_duration: int | None = None
    colour: Colour = UNTAGGED
    rotation: int = 0
    display_matrix: tuple[int, ...] | None = None
    sample_aspect_ratio: Fraction = Fraction(1)
    options: Mapping[str, str] = field(default_factory=dict)
    audio: str | None = None
    """Encoder of a stereo 48 kHz tone."""
    audio_seconds: Fraction = Fraction(1, 2)
    audio_start: int = 0
    """In samples; may be negative."""
    subtitles: str | None = None
    """subrip, ass, mov_text or webvtt."""
    chapters: int = 0
    metadata: Mapping[str, str] = field(default_factory=dict)
    stream_metadata: Mapping[str, str] = field(default_factory=dict)
    attachment: bytes | None = None
    cover: bytes | None = None
    container: str | None = None
    container_options: Mapping[str, str] = field(default_factory=dict)

    @property
    def times(self) -> list[int]:
        """Presentation times of all frames."""
        if self.pts is not None:
            return list(self.pts)
        step = round(Fraction(1, 25) / self.time_base)
        return [index * step for index in range(self.frames)]


def pattern(pixel_format: str, width: int, height: int, index: int) -> Planes:
    """A moving gradient with a little texture in every plane, the same for the same arguments."""
    top = (1 << bit_depth(pixel_format)) - 1
    dtype = np.uint8 if top <= 255 else np.uint16
    planes = []
    for number, shape in enumerate(plane_shapes(pixel_format, width, height)):
        rows, columns = np.indices(shape[:2])
        wave = (columns * 5 + rows * 3 + index * 11 + number * 40 + (rows * columns) % 7) % 220 / 255
        plane = (wave * top).astype(dtype)
        planes.append(np.dstack([plane, plane[::-1], plane.T.copy().T]) if len(shape) == 3 else plane)
    return tuple(planes)


def make_frames(info: VideoInfo, pts: Sequence[int], *, last_duration: int = 1) -> list[Frame]:
    """Frames such as a reader would hand out for `info`."""
    ends = [*pts[1:], pts[-1] + last_duration]
    return [
        Frame(
            index=index,
            pts=time,
            time_base=info.time_base,
            duration=end - time,
            width=info.width,
            height=info.height,
            pixel_format=info.pixel_format,
            planes=pattern(info.pixel_format, info.width, info.height, index),
            colour=info.colour,
            sample_aspect_ratio=info.sample_aspect_ratio,
            interlaced=info.interlaced,
        )
        for index, (time, end) in enumerate(zip(pts, ends, strict=True))
    ]


def make_info(pixel_format: str = "yuv420p", **changes: object) -> VideoInfo:
    """What a reader would say of an unremarkable video, with `changes`."""
    info = VideoInfo(
        path=Path("made-up.mp4"),
        container="mov,mp4,m4a,3gp,3g2,mj2",
        codec="h264",
        stream_index=0,
        width=64,
        height=48,
        source_pixel_format=pixel_format,
        pixel_format=pixel_format,
        time_base=Fraction(1, 12800),
        start_pts=0,
        average_rate=Fraction(25),
        frames=None,
        duration=None,
        rotation=0,
        mirrored=False,
        display_matrix=None,
        sample_aspect_ratio=Fraction(1),
        colour=Colour(),
        interlaced=False,
        field_order=None,
        bit_rate=None,
        mastering_display=None,
        content_light=None,
        streams=(),
        chapters=0,
        metadata=(),
    )
    return replace(info, **changes)


def png() -> bytes:
    """A small picture, as a file."""
    context = av.CodecContext.create("png", "w")
    context.width, context.height, context.pix_fmt, context.time_base = 16, 16, "rgb24", Fraction(1, 25)
    frame = av.VideoFrame.from_ndarray(np.full((16, 16, 3), 77, np.uint8), "rgb24")
    return b"".join(bytes(packet) for packet in [*context.encode(frame), *context.encode(None)])


def make_video(path: Path, **changes: object) -> Path:
    """Make the video that `VideoSpec(**changes)` describes, in the container that the extension names."""
    spec = VideoSpec(**changes)
    options = dict(spec.container_options)
    with av.open(str(path), "w", format=spec.container, container_options=options) as output:
        output.metadata.update(spec.metadata)
        video = _add_video(output, spec)
        audio = _add_audio(output, spec) if spec.audio else None
        subtitles, srt = _add_subtitles(output, spec, path) if spec.subtitles else (None, None)
        if spec.attachment is not None:
            output.add_attachment("font.ttf", "font/ttf", spec.attachment)
        cover = _add_cover(output, spec.cover, path) if spec.cover else []
        output.set_chapters(_chapters(spec))
        packets = [*cover, *_video_packets(video, spec), *(_audio_packets(audio, spec) if audio else [])]
        packets += list(_subtitle_packets(subtitles, srt)) if subtitles else []
        for packet in sorted(packets, key=lambda one: one.dts * one.time_base):
            output.mux(packet)
    return path


def _add_video(output: OutputContainer, spec: VideoSpec) -> av.VideoStream:
    quiet = {"x265-params": "log-level=error"} if spec.codec == "libx265" else {}
    stream = output.add_stream(spec.codec, rate=25, options=quiet | dict(spec.options))
    stream.width, stream.height, stream.pix_fmt = spec.width, spec.height, spec.pixel_format
    context = stream.codec_context
    context.time_base = spec.time_base
    stream.time_base = spec.time_base
    context.sample_aspect_ratio = spec.sample_aspect_ratio
    _tag(context, spec.colour)
    if spec.rotation:
        stream.set_display_rotation(spec.rotation)
    if spec.display_matrix:
        stream.set_display_matrix(spec.display_matrix)
    stream.metadata.update(spec.stream_metadata)
    return stream


def _tag(target: av.VideoFrame | av.VideoCodecContext, colour: Colour) -> None:
    target.colorspace, target.color_primaries = colour.matrix, colour.primaries
    target.color_trc, target.color_range = colour.transfer, 2 if colour.full_range else 1


def _video_packets(stream: av.VideoStream, spec: VideoSpec) -> list[av.Packet]:
    packets = []
    times = spec.times
    for index, time in enumerate(times):
        frame = av.VideoFrame(spec.width, spec.height, spec.pixel_format)
        for plane, values in zip(frame.planes, _patterns(spec, index), strict=True):
            rows = np.frombuffer(plane, dtype=values.dtype).reshape(values.shape[0], -1)
            rows[:, : values[0].size] = values.reshape(values.shape[0], -1)
        _tag(frame, spec.colour)
        frame.pts, frame.time_base = time, spec.time_base
        last = spec.last_duration or round(Fraction(1, 25) / spec.time_base)
        frame.duration = times[index + 1] - time if index + 1 < len(times) else last
        packets += stream.encode(frame)
    return packets + stream.encode(None)


def _patterns(spec: VideoSpec, index: int) -> Planes:
    known = spec.pixel_format.replace("yuvj", "yuv")
    if known in {"bgr0", "bgra", "rgba"}:
        planes = pattern("rgb24", spec.width, spec.height, index)[0]
        return (np.dstack([planes, np.full(planes.shape[:2], 255, np.uint8)]),)
    if known == "nv12":
        luma, blue, red = pattern("yuv420p", spec.width, spec.height, index)
        return (luma, np.dstack([blue, red]))
    return pattern(known, spec.width, spec.height, index)


def _add_audio(output: OutputContainer, spec: VideoSpec) -> av.AudioStream:
    stream = output.add_stream(spec.audio, rate=48000, options={"strict": "-2"})
    stream.codec_context.layout = "stereo"
    stream.metadata.update({"language": "deu", "title": "Commentary"})
    return stream


def _audio_packets(stream: av.AudioStream, spec: VideoSpec) -> list[av.Packet]:
    stream.codec_context.open(strict=False)
    size = stream.codec_context.frame_size or 1024
    packets = []
    for start in range(0, round(spec.audio_seconds * 48000), size):
        tone = np.sin((np.arange(size) + start) * 0.05) * 8000
        frame = av.AudioFrame.from_ndarray(np.repeat(tone.astype(np.int16), 2)[None], format="s16", layout="stereo")
        frame.sample_rate, frame.time_base, frame.pts = 48000, Fraction(1, 48000), start + spec.audio_start
        packets += [packet for one in _resampled(stream, frame) for packet in stream.encode(one)]
    return packets + stream.encode(None)


def _resampled(stream: av.AudioStream, frame: av.AudioFrame) -> list[av.AudioFrame]:
    context = stream.codec_context
    resampler = av.AudioResampler(format=context.format, layout=context.layout, rate=48000)
    frames = resampler.resample(frame)
    for one in frames:
        one.pts, one.time_base = frame.pts, frame.time_base
    return frames


def _add_subtitles(output: OutputContainer, spec: VideoSpec, path: Path) -> tuple[av.stream.Stream, Path]:
    srt = path.with_suffix(".srt")
    srt.write_text(SRT, encoding="utf-8")
    stream = output.add_stream(spec.subtitles)
    with av.open(str(srt)) as container:
        source = container.streams.subtitles[0]
        source.codec_context.open(strict=False)
        stream.codec_context.subtitle_header = source.codec_context.subtitle_header
        stream.time_base = source.time_base
    stream.metadata.update({"language": "fra"})
    return stream, srt


def _subtitle_packets(stream: av.stream.Stream, srt: Path) -> list[av.Packet]:
    packets = []
    with av.open(str(srt)) as container:
        source = container.streams.subtitles[0]
        for packet in container.demux(source):
            if packet.size:
                converted = stream.codec_context.encode_subtitle(source.codec_context.decode2(packet))
                converted.stream, converted.time_base = stream, packet.time_base
                converted.pts = converted.dts = packet.pts
                converted.duration = packet.duration
                packets.append(converted)
    return packets


def _add_cover(output: OutputContainer, cover: bytes, path: Path) -> list[av.Packet]:
    if path.suffix == ".mkv":
        output.add_attachment("cover.png", "image/png", cover)
        return []
    stream = output.add_mux_stream("png", width=16, height=16)
    stream.disposition = int(av.stream.Disposition.attached_pic)
    packet = av.Packet(cover)
    packet.stream, packet.pts, packet.dts, packet.time_base = stream, 0, 0, Fraction(1, 90000)
    packet.is_keyframe = True
    return [packet]


def _chapters(spec: VideoSpec) -> list[dict[str, object]]:
    return [
        {
            "id": number + 1,
            "start": number * 100,
            "end": (number + 1) * 100,
            "time_base": Fraction(1, 1000),
            "metadata": {"title": f"chapter {number + 1}"},
        }
        for number in range(spec.chapters)
    ]
