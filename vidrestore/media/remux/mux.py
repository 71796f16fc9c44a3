"""Muxes the parts' video and everything else of the source into one file, without re-encoding."""

import heapq
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from fractions import Fraction
from operator import itemgetter
from pathlib import Path
from typing import Any, TypeAlias

import av
from av.container import InputContainer, OutputContainer
from av.stream import Stream
from av.subtitles.stream import SubtitleStream

from vidrestore.media.gaps import MOST_TICKS
from vidrestore.media.opening import open_source
from vidrestore.media.output import translate_write_errors
from vidrestore.media.probe import VideoInfo, stream_info
from vidrestore.media.reader import probe
from vidrestore.media.remux.metadata import lost_entries, lost_from_stream
from vidrestore.media.remux.output import open_output
from vidrestore.media.remux.parts import EncodedSegments, read_parts
from vidrestore.media.remux.plan import Action, RemuxPlan, check_remux
from vidrestore.media.remux.subtitles import SubtitleConverter
from vidrestore.media.timestamps import time_base_of

_MILLISECOND = Fraction(1, 1000)
_BEFORE_ALL = Fraction(-(2**62))
_QUICKTIME = frozenset({"mp4", "mov"})

# a string: PyAV's packets are generic to type checkers only
_Timed: TypeAlias = "tuple[Fraction, av.Packet[Any], Stream]"
"""Time in seconds when a packet is due, the packet, and the stream that it goes to."""


@dataclass(frozen=True, slots=True)
class RemuxReport:
    """Fate of everything in the source besides its video; one line each."""

    frames: int
    """Frames in the result."""
    copied: tuple[str, ...]
    converted: tuple[str, ...]
    left_out: tuple[str, ...]
    """Streams and metadata that the container of the result cannot hold."""
    losses: tuple[str, ...] = ()
    """Packets of streams besides the video that could not be read because the source is damaged."""
    retimed_packets: int = 0
    """Audio packets whose decoding time stepped back in the source, and was moved."""
    shift: Fraction = Fraction(0)
    """Seconds by which everything starts later than in the source, where the container cannot start before zero."""


def join(
    parts: Sequence[Path],
    source: str | Path,
    destination: str | Path,
    *,
    plan: RemuxPlan | None = None,
    info: VideoInfo | None = None,
) -> RemuxReport:
    """Put the parts' video and the source's other streams, chapters and metadata into `destination`.

    Nothing is re-encoded: packets are byte for byte those of the parts and of the source, at the same times: exactly
    in MP4 and MOV, to 1 ms in Matroska and WebM, to 1/90000 s in MPEG-TS. What the container cannot hold is
    converted (text subtitles) or left out, as `check_remux` plans it; the report says so, and names apart what damage
    in the source has cost. An existing destination is replaced; write through `output.atomic_output` to keep it whole
    until the end. A `plan` and an `info` that are known already are used as they are.

    Raises OutputError when the parts do not fit together, when the container cannot hold the audio, and when writing
    fails; InputError when the source is not a readable video.
    """
    source, destination = Path(source), Path(destination)
    plan = plan or check_remux(source, destination)
    info = info or probe(source)
    with ExitStack() as stack:
        opened = stack.enter_context(open_source(source))
        # when the last frame leaves the screen; Matroska knows only the end of everything, maybe the audio's
        duration = opened.streams[info.stream_index].duration
        encoded = read_parts(parts, info.time_base, end_pts=info.start_pts + duration if duration else None)
        with translate_write_errors(destination), ExitStack() as output:
            container, targets = open_output(destination, opened, info, encoded, plan, output)
            muxer = _Muxer(opened, container, plan, targets, _shift(info, encoded, plan))
            muxer.mux_all(info, encoded)
        report = RemuxReport(
            frames=len(encoded.times),
            copied=(),
            converted=(),
            left_out=tuple(map(str, plan.of(Action.LEAVE_OUT))),
            losses=muxer.losses(),
            retimed_packets=muxer.retimed,
        )
        return _compared(report, opened, list(targets), muxer.muxed, plan, destination, info, encoded)


def _shift(info: VideoInfo, encoded: EncodedSegments, plan: RemuxPlan) -> Fraction:
    """Return the seconds to add to all times so that no frame is due before zero; MPEG-TS's muxer does so itself.

    Audio may start early: its first samples are there for the decoder and not heard.
    """
    return Fraction(0) if plan.container == "mpegts" else max(Fraction(0), -encoded.start_pts * info.time_base)


class _Muxer:
    """Interleaves the video's packets with those of the source's other streams; holds one packet of each."""

    def __init__(
        self,
        source: InputContainer,
        output: OutputContainer,
        plan: RemuxPlan,
        targets: dict[int, Stream],
        shift: Fraction,
    ) -> None:
        self._source = source
        self._output = output
        self._targets = targets
        self._shift = shift
        self._converters = {
            planned.stream.index: _converter(source.streams[planned.stream.index], targets[planned.stream.index])
            for planned in plan.of(Action.CONVERT)
        }
        self._last_dts: dict[int, int] = {}
        self._read_error: str | None = None
        self._beyond_gap: Counter[str] = Counter()
        self._refused: Counter[str] = Counter()
        self.retimed = 0
        self.muxed: Counter[int] = Counter()
        """Number of packets by the index of the source's stream."""

    def mux_all(self, info: VideoInfo, encoded: EncodedSegments) -> None:
        """Write the whole file, in the order of decoding times."""
        self._output.start_encoding()
        video = self._targets[info.stream_index]
        own: Iterator[_Timed] = ((_seconds(packet), packet, video) for packet in encoded.packets())
        sources = {target.index: index for index, target in self._targets.items()}
        for _, packet, target in heapq.merge(own, self._others(info.stream_index), key=itemgetter(0)):
            self.muxed[sources[target.index]] += self._mux(packet, target)

    def losses(self) -> tuple[str, ...]:
        """Return what could not be read from the source, one line each."""
        lines = [f"what follows damage in the source: {self._read_error}"] if self._read_error else []
        for index, converter in self._converters.items():
            if converter.unreadable:
                lines.append(f"{converter.unreadable} unreadable subtitles of stream {index}")
        lines += [f"{packets} damaged {kind} packets" for kind, packets in self._refused.items()]
        for kind, packets in self._beyond_gap.items():
            lines.append(
                f"{packets} {kind} packets after a gap that {self._output.format.name} cannot hold; .mkv holds it"
            )
        return tuple(lines)

    def _others(self, video: int) -> "Iterator[_Timed]":
        streams = [self._source.streams[index] for index in self._targets if index != video]
        if not streams:
            return
        packets = self._source.demux(streams)
        last = _BEFORE_ALL
        while True:
            try:
                packet = next(packets, None)
            except (av.FFmpegError, OSError) as error:
                self._read_error = str(error)
                return
            if packet is None:
                return
            if packet.size:
                # a cover has no time; what steps back goes on where the file has it
                last = max(last, _seconds(packet))
                converter = self._converters.get(packet.stream.index)
                target = self._targets[packet.stream.index]
                for one in converter.convert(packet) if converter else [packet]:
                    yield last, one, target

    def _mux(self, packet: "av.Packet[Any]", target: Stream) -> bool:
        """Write a packet, unless the container cannot hold how long it is after the one before."""
        unit, source_unit = time_base_of(target), time_base_of(packet)
        dts = packet.dts if packet.dts is not None else packet.pts
        pts = packet.pts if packet.pts is not None else dts
        packet.stream = target
        packet.time_base = unit
        time = round(((dts or 0) * source_unit + self._shift) / unit)
        if self._output.format.name in _QUICKTIME and time - self._last_dts.get(target.index, time) > MOST_TICKS:
            self._beyond_gap[target.type] += 1
            return False
        packet.dts = self._growing(target, time)
        packet.pts = max(packet.dts, round(((pts or 0) * source_unit + self._shift) / unit))
        packet.duration = round((packet.duration or 0) * source_unit / unit)
        kind = target.type
        try:
            self._output.mux_one(packet)
        except (av.InvalidDataError, av.ArgumentError, av.PatchWelcomeError):
            if kind == "video":
                raise
            # a muxer looks into some packets, of AAC for instance, and refuses damaged ones
            self._refused[kind] += 1
            return False
        return True

    def _growing(self, target: Stream, dts: int) -> int:
        last = self._last_dts.get(target.index)
        if target.type == "audio" and last is not None and dts < last + self._strict:
            self.retimed += 1
            dts = last + self._strict
        self._last_dts[target.index] = dts
        return dts

    @property
    def _strict(self) -> int:
        """Ticks between packets that the muxer insists on: Matroska allows none, for its ticks are long."""
        return 0 if self._output.format.name in {"matroska", "webm"} else 1


def _seconds(packet: "av.Packet[Any]") -> Fraction:
    time = packet.dts if packet.dts is not None else packet.pts
    return _BEFORE_ALL if time is None else time * time_base_of(packet)


def _converter(source: Stream, target: Stream) -> SubtitleConverter:
    assert isinstance(source, SubtitleStream), "only text subtitles are planned to be converted"  # noqa: S101
    assert isinstance(target, SubtitleStream), "the target was added with a subtitle codec"  # noqa: S101
    return SubtitleConverter(source, target)


def _compared(
    report: RemuxReport,
    source: InputContainer,
    added: Sequence[int],
    muxed: Mapping[int, int],
    plan: RemuxPlan,
    destination: Path,
    info: VideoInfo,
    encoded: EncodedSegments,
) -> RemuxReport:
    """Complete the report with what the written file turns out to hold and not to hold."""
    lost: list[str] = []
    with open_source(destination) as result:
        lost += [f"metadata entry {key}" for key in lost_entries(source.metadata, result.metadata)]
        held = _held(source, added, muxed, result)
        for index, target in held.items():
            stream = source.streams[index]
            lost += lost_from_stream(stream_info(stream), stream.metadata, result.streams[target].metadata)
        dropped = {index for index in added if index not in held and not stream_info(source.streams[index]).cover}
        lost += [
            f"{planned}: it is empty, and {destination.suffix} does not hold empty tracks"
            for planned in plan.streams
            if planned.stream.index in dropped
        ]
        if source.chapters() and not result.chapters():
            lost.append(f"{len(source.chapters())} chapters: {result.format.name} has none")
        video = result.streams.video[0]
        expected = encoded.start_pts * info.time_base
        start = (video.start_time or 0) * time_base_of(video)
    written = probe(destination)
    if info.display_matrix and written.display_matrix is None:
        lost.append(f"{_turning(info)}: {destination.suffix} has no place for it")
    if info.sample_aspect_ratio != written.sample_aspect_ratio:
        # PyAV cannot set it for a muxer, and MP4's reads it from the codec parameters where Matroska's does not.
        ratio = str(info.sample_aspect_ratio).replace("/", ":")
        lost.append(
            f"the pixel aspect ratio {ratio}: {destination.suffix} with {written.codec} loses it; .mp4 keeps it"
        )
    shift = start - expected

    def kept(*actions: Action) -> tuple[str, ...]:
        return tuple(str(planned) for planned in plan.of(*actions) if planned.stream.index not in dropped)

    return replace(
        report,
        copied=kept(Action.COPY, Action.ATTACH),
        converted=kept(Action.CONVERT, Action.REMAKE),
        left_out=(*report.left_out, *lost),
        shift=shift if abs(shift) >= _MILLISECOND else Fraction(0),
    )


def _held(
    source: InputContainer, added: Sequence[int], muxed: Mapping[int, int], result: InputContainer
) -> dict[int, int]:
    """Return where each stream that was added is in the result: MP4's muxer drops some of those without packets.

    Covers are not looked for: they hold no place among the tracks.
    """
    ours = [stream_info(source.streams[index]) for index in added]
    theirs = [stream_info(stream) for stream in result.streams]
    held: dict[int, int] = {}
    for kind in {one.type for one in ours}:
        wanted = [one.index for one in ours if one.type == kind and not one.cover]
        places = [one.index for one in theirs if one.type == kind and not one.cover]
        if len(places) < len(wanted):
            wanted = [index for index in wanted if muxed.get(index)]
        held |= dict(zip(wanted, places, strict=False))
    return held


def _turning(info: VideoInfo) -> str:
    turned = f"the rotation by {info.rotation} degrees" if info.rotation or not info.mirrored else ""
    return " and ".join(part for part in ("the mirroring" if info.mirrored else "", turned) if part)
