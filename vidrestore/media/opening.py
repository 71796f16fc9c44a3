"""Opens a source; each reason why a path is not a video has its own message."""

import errno
import logging
import os
from pathlib import Path
from typing import Any

import av
from av.container import InputContainer

from vidrestore.errors import InputError
from vidrestore.media.demuxers import FILE_OPTIONS, kind_of_playlist
from vidrestore.media.picture_size import decoder_options
from vidrestore.media.probe import codec_context, stream_info

_log = logging.getLogger(__name__)

_SNIFFED_BYTES = 4096
MOST_CHAPTERS = 10_000
"""Maximum number of chapters. FFmpeg's time for them grows with the square of their number, at every opening."""
_TOLERANT: dict[str, Any] = {"metadata_errors": "replace"} if int(av.__version__.partition(".")[0]) < 19 else {}  # noqa: PLR2004
"""Options by which PyAV 18 accepts a title that is not UTF-8; later versions do by themselves."""


def open_source(path: Path, *, max_pixels: int | None = None) -> InputContainer:
    """Open a local media file for reading; the caller closes it.

    `max_pixels` bounds what FFmpeg decodes to find out what the file is. A video is opened with it first; later
    openings of the same video need it no more.

    Raises InputError, with its own message for: no such file, a folder, something that is not a file, no permission,
    an empty file, a playlist of other files, a text file, an MP4 without its index, and anything else that FFmpeg does
    not know.
    """
    _check_file(path)
    try:
        # an absolute path: a name such as "12:30.mp4" would otherwise be taken for a protocol
        absolute = os.path.abspath(path)  # noqa: PTH100  resolve() follows links
        options = FILE_OPTIONS | (decoder_options(max_pixels) if max_pixels is not None else {})
        container: InputContainer = av.open(absolute, options=options, **_TOLERANT)
    except (av.FFmpegError, OSError, ValueError, MemoryError) as error:
        raise InputError(_why_not(path, error)) from error
    _log.debug("opened %s: %s, %d streams", path, container.format.name, len(container.streams))
    chapters = len(container.chapters())
    if chapters > MOST_CHAPTERS:
        container.close()
        raise InputError(
            f"{path} has {chapters:,} chapters; at most {MOST_CHAPTERS:,} are handled: remove them from the file first"
        )
    return container


def video_stream(path: Path, container: InputContainer) -> av.VideoStream:
    """Return the first video stream; cover art is none.

    Raises InputError naming what the file holds instead.
    """
    videos = [stream for stream in container.streams.video if not stream_info(stream).cover]
    if videos:
        stream = videos[0]
        if codec_context(stream) is None:
            raise InputError(f"{path} holds video in a codec that this build of FFmpeg cannot decode; convert it first")
        return stream
    streams = [stream_info(stream) for stream in container.streams]
    kinds = ", ".join(f"cover art ({one.codec})" if one.cover else f"{one.type} ({one.codec})" for one in streams)
    hint = "is it an audio file?" if any(one.type == "audio" for one in streams) else "is it a video?"
    raise InputError(f"{path} has no video stream (found: {kinds or 'no streams'}); {hint}")


def _check_file(path: Path) -> None:
    if path.is_dir():
        raise InputError(f"{path} is a folder; name one video file in it")
    if not path.exists():
        raise InputError(f"{path} does not exist; check the name")
    if not path.is_file():
        raise InputError(f"{path} is not a regular file but a device or a pipe; copy the video to a file first")
    if not os.access(path, os.R_OK):
        raise InputError(f"{path} may not be read by this user; change its permissions")
    if path.stat().st_size == 0:
        raise InputError(f"{path} is empty (0 bytes); was it copied or downloaded completely?")


def is_out_of_memory(error: Exception) -> bool:
    """Return whether FFmpeg, or a library of it, could not have the memory that it asked for."""
    return isinstance(error, MemoryError) or getattr(error, "errno", None) == errno.ENOMEM


def needs_too_much_memory(path: Path) -> str:
    """Return the message that a video cannot be handled in the memory that there is or that is allowed."""
    return f"{path} needs more memory to be opened than is allowed; it is damaged, or made to use up memory"


def _why_not(path: Path, error: Exception) -> str:
    if is_out_of_memory(error):
        return needs_too_much_memory(path)
    with path.open("rb") as file:
        start = file.read(_SNIFFED_BYTES)
    if start[4:8] in {b"ftyp", b"mdat", b"wide", b"moov"}:
        return (
            f"{path} looks like MP4 or MOV, but its index (moov) is missing or damaged: the recording or the copy "
            f"stopped early; copy it again, or rebuild the index with a repair tool"
        )
    if playlist := kind_of_playlist(start):
        return f"{path} is a playlist of other files ({playlist}), not a video; name the files themselves"
    if _is_text(start):
        return f"{path} is a text file, not a video; name the video itself"
    if isinstance(error, av.ArgumentError):
        return (
            f"{path} is of a kind that may name other files instead of holding a video, or is damaged; convert it first"
        )
    reason = getattr(error, "strerror", None) or str(error)
    return f"{path} is not a video that FFmpeg can read ({reason}); is it damaged or of another kind?"


def _is_text(start: bytes) -> bool:
    try:
        text = start.decode("utf-8", errors="strict" if len(start) < _SNIFFED_BYTES else "ignore")
    except UnicodeDecodeError:
        return False
    return all(character.isprintable() or character.isspace() for character in text)
