"""The damage simulator: a video in, its degraded twin out, which can be compared with it frame by frame."""

import time
from array import array
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field, replace
from fractions import Fraction
from pathlib import Path
from typing import Annotated

from pydantic import Field

from vidrestore.config import Options
from vidrestore.degradation.frame_sizes import enlarge_picture, shrink_frame
from vidrestore.degradation.medium.clip import SMALLEST_SIDE
from vidrestore.degradation.medium.profiles import DegradationProfile, ProfileConfig, profile_preset, sample_profile
from vidrestore.degradation.medium.whole_video import through_medium
from vidrestore.degradation.report import DegradeReport
from vidrestore.errors import InputError
from vidrestore.media.config import EncodeConfig
from vidrestore.media.inspection import inspect_to_rewrite
from vidrestore.media.opening import open_source, video_stream
from vidrestore.media.output import atomic_output, check_destination, scratch_dir
from vidrestore.media.probe import VideoInfo
from vidrestore.media.reader import VideoReader
from vidrestore.media.rewrite import check_rewrite, mux_complete, refuse_losses, rewrite_warnings
from vidrestore.media.timestamps import time_base_of
from vidrestore.media.writer import VideoWriter
from vidrestore.report import installed_versions
from vidrestore.types import Frame, UInt8

_HDR_TRANSFERS = {16: "PQ", 18: "HLG"}
OnFrame = Callable[[int, VideoInfo], None]
"""Called with the number of frames written so far and the source's properties."""


@dataclass(frozen=True, slots=True)
class DegradeConfig(Options):
    """Which damage, and how its result is stored."""

    profile: ProfileConfig = field(default_factory=lambda: profile_preset("mixed"))
    seed: Annotated[int, Field(ge=0, description="The damage of every frame follows from it.")] = 0
    encode: EncodeConfig = field(default_factory=lambda: EncodeConfig(crf=10))
    """Much finer than what a video is restored to: what is measured is to be the damage, not this encoding."""
    overwrite: Annotated[bool, Field(description="Whether an existing destination may be replaced.")] = False
    strict: Annotated[bool, Field(description="Whether a damaged source is an error instead of a warning.")] = False


def degrade_video(
    source: Path | str,
    destination: Path | str,
    config: DegradeConfig | None = None,
    *,
    on_frame: OnFrame | None = None,
) -> DegradeReport:
    """Give a video the damage of an archive.

    The result has the frames of the source, of the same size and at the same times; audio, subtitles, chapters and
    metadata are copied. The same source, configuration and seed give the same frames, on the same host at least:
    another processor may round otherwise.

    Args:
        source: a progressive video that FFmpeg reads.
        destination: its extension names the container. The file appears there when it is whole, or not at all.
        config: the defaults draw a medium by the seed 0.
        on_frame: called after each frame.

    Returns:
        Report of what was done, including the profile that was drawn and all that could not be kept.

    Raises:
        VidrestoreError: one line that says what came, what was wanted and what to do.
    """
    source, destination = Path(source), Path(destination)
    config = config or DegradeConfig()
    started = time.perf_counter()
    info = inspect_to_rewrite(source)
    check_destination(source, destination, overwrite=config.overwrite)
    _check_picture(info)
    encode = _repeatable(config.encode)
    plan = check_rewrite(source, destination, info, encode)
    profile = sample_profile(config.profile, seed=config.seed)
    with scratch_dir(destination) as folder:
        part, times = folder / "video", array("q")
        with VideoReader(source) as reader, VideoWriter(part, reader.info, encode) as writer:
            for frame in degrade_frames(reader, profile, seed=config.seed):
                writer.write(frame)
                times.append(frame.pts)
                if on_frame:
                    on_frame(len(times), reader.info)
        read, frames = reader.statistics, len(times)
        refuse_losses(read.losses(), source, strict=config.strict)
        with atomic_output(destination) as result:
            joined = mux_complete([part], source, result, frames=frames, strict=config.strict, plan=plan, info=info)
            rounded = _rounded_times(times, info.time_base, result, shift=joined.shift)
    notices = list(info.notes)
    if transfer := _HDR_TRANSFERS.get(info.colour.transfer):
        notices.append(f"the video is HDR ({transfer}), unlike any such medium: its code values were damaged as SDR's")
    warnings = [*rewrite_warnings(read, notices, writer.notes, joined), *rounded]
    return DegradeReport(
        source=str(source),
        destination=str(destination),
        frames=frames,
        seconds=time.perf_counter() - started,
        seed=config.seed,
        profile=profile,
        streams={name: getattr(joined, name) for name in ("copied", "converted", "left_out")},
        warnings=tuple(warnings),
        versions=installed_versions(),
    )


def degrade_frames(frames: Iterable[Frame], profile: DegradationProfile, *, seed: int) -> Iterator[Frame]:
    """Damage a stream of frames: as many come out, in order, of the same size, format and times.

    Lazy; holds what `through_medium` holds, in the video's small size, and as many times.

    Raises:
        InputError: a frame is interlaced.
    """
    waiting: deque[Frame] = deque()
    scale = profile.medium.scale

    def pictures() -> Iterator[UInt8]:
        for frame in frames:
            if frame.interlaced:
                raise InputError(_interlaced(f"frame {frame.index}"))
            waiting.append(replace(frame, planes=()))
            yield shrink_frame(frame, scale=scale)

    for picture in through_medium(pictures(), profile, seed=seed):
        yield enlarge_picture(picture, waiting.popleft(), profile.medium)


def _check_picture(info: VideoInfo) -> None:
    if info.interlaced:
        raise InputError(_interlaced(str(info.path)))
    if min(info.width, info.height) < SMALLEST_SIDE:
        raise InputError(
            f"{info.path} is {info.width}x{info.height}; the damage needs sides of {SMALLEST_SIDE} pixels or more"
        )


def _interlaced(what: str) -> str:
    return (
        f"{what} is interlaced, and its two fields would be mixed when the picture is shrunk; deinterlace the video "
        f"first, for a ground truth is progressive"
    )


def _repeatable(encode: EncodeConfig) -> EncodeConfig:
    """Turn off x264's macroblock tree, with which PyAV's wheel codes small pictures otherwise from call to call."""
    if encode.codec != "libx264" or encode.lossless or any("mbtree" in option for option in encode.options):
        return encode
    return replace(encode, options=("mbtree=0", *encode.options))


def _rounded_times(times: "array[int]", time_base: Fraction, destination: Path, *, shift: Fraction) -> list[str]:
    """Report, in at most one sentence, that a container could not hold the times exactly.

    Args:
        times: times of the source's frames, in units of `time_base`, growing; 8 bytes a frame.
        time_base: seconds.
        destination: a whole file.
        shift: seconds by which everything in it is later.
    """
    with open_source(destination) as container:
        stream = video_stream(destination, container)
        unit = time_base_of(stream)
        there = array("q", sorted(packet.pts or 0 for packet in container.demux(stream) if packet.size))
    assert len(there) == len(times), "joining counted the frames"  # noqa: S101
    offsets = (abs(one * unit - other * time_base - shift) for one, other in zip(there, times, strict=True))
    wrong, most = 0, Fraction(0)
    for offset in filter(None, offsets):
        wrong, most = wrong + 1, max(most, offset)
    if not wrong:
        return []
    rounded = f"{wrong} of {len(times)} frames have their time rounded, by up to {float(most) * 1000:.3g} ms"
    return [f"{rounded}: {destination.suffix} counts in units of {unit} s; .mp4 and .mov keep times exactly"]
