"""A video with new frames and everything else as it was: planned before the work, muxed and checked after it."""

from collections.abc import Iterable, Sequence
from pathlib import Path

from vidrestore.errors import InputError, OutputError
from vidrestore.media.config import EncodeConfig
from vidrestore.media.output import container_format
from vidrestore.media.probe import VideoInfo
from vidrestore.media.reader import ReadStatistics
from vidrestore.media.remux.mux import RemuxReport, join
from vidrestore.media.remux.plan import RemuxPlan, check_remux
from vidrestore.media.writer import check_encoding


def check_rewrite(source: Path, destination: Path, info: VideoInfo, encode: EncodeConfig) -> RemuxPlan:
    """Plan what becomes of every stream of a source when its video is encoded again.

    Args:
        source: the video.
        destination: result; its extension names the container.
        info: what is known of the source.
        encode: how the new video is encoded.

    Raises:
        InputError: the source is not a video.
        OutputError: the container is unknown, or does not hold the new video or the audio.
        ConfigError: the encoder cannot be configured as asked.
    """
    container_format(destination)
    return check_remux(source, destination, video_codec=check_encoding(info, encode).codec)


def mux_complete(
    segments: Sequence[Path],
    source: Path,
    destination: Path,
    *,
    frames: int,
    strict: bool = False,
    plan: RemuxPlan | None = None,
    info: VideoInfo | None = None,
) -> RemuxReport:
    """Mux encoded segments with everything else of their source, and check that no frame is missing.

    Args:
        segments: encoded video, in order.
        source: video with the audio, subtitles, chapters and metadata.
        destination: written as it is muxed: give a temporary file, and publish it when this returns.
        frames: number of frames in the segments.
        strict: whether streams that are damaged in the source are an error.
        plan: what becomes of each stream, if it is known already.
        info: what is known of the source already.

    Raises:
        InputError: the source is damaged and `strict` is set.
        OutputError: frames are missing, or writing fails.
    """
    report = join(segments, source, destination, plan=plan, info=info)
    if report.frames != frames:
        raise OutputError(f"{report.frames} frames came out of {frames}; this is a bug, please report it")
    refuse_losses(report.losses, source, strict=strict)
    return report


def refuse_losses(losses: Sequence[str], source: Path | str, *, strict: bool) -> None:
    """Refuse a damaged source where damage is an error.

    Raises:
        InputError: there are losses and `strict` is set.
    """
    if losses and strict:
        raise InputError(f"{source} is damaged: {'; '.join(losses)}; without --strict, what can be read is used")


def rewrite_warnings(
    read: ReadStatistics, notes: Iterable[str], encoder_notes: Iterable[str], muxed: RemuxReport | None
) -> list[str]:
    """List everything that is not in a result as it was in its source: all wording is here.

    Args:
        read: counts of what was lost and changed when the source was decoded.
        notes: what of the video the reader does not keep, or anything else to be said of it.
        encoder_notes: what the encoder does not keep.
        muxed: what became of the other streams; None where it has not come to that.
    """
    lines = [*read.losses(), *notes, *read.changes(), *encoder_notes]
    if muxed is not None:
        lines += [*muxed.losses, *muxed.converted, *muxed.left_out]
        if muxed.shift:
            lines.append(f"everything starts {float(muxed.shift):.3f} s later than in the source")
        if muxed.retimed_packets:
            lines.append(f"{muxed.retimed_packets} audio packets were not later than the one before and were moved")
    return lines
