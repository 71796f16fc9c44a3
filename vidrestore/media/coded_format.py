"""The encoded pixel format: one that the encoder takes and that loses least, and its colour tags."""

import difflib
from dataclasses import replace

from av.codec import Codec

from vidrestore.errors import ConfigError, OutputError
from vidrestore.media.pixel_formats import EIGHT_BITS, NATIVE_FORMATS, bit_depth, chroma_size, is_rgb
from vidrestore.media.probe import UNSPECIFIED, VideoInfo
from vidrestore.types import Colour

_WHOLE_CHROMA_ONLY = frozenset({"libx264", "libx265"})
"""Encoders that refuse a frame whose size the chroma planes do not divide."""

_PACKED_FOR_FFV1 = "bgr0"
_FULL_CHROMA = 8
_SMALL_HEIGHT = 720
_BT709, _SMPTE170M, _SRGB = 1, 6, 13
_CODED_MATRICES = frozenset({1, 4, 5, 6, 7, 9})
"""Luma-chroma matrices that swscale knows, as ITU-T H.273 numbers them."""


def _divides(pixel_format: str, info: VideoInfo, codec: str) -> bool:
    if codec not in _WHOLE_CHROMA_ONLY or is_rgb(pixel_format) or chroma_size(pixel_format) == (0, 0):
        return True
    columns, rows = (_FULL_CHROMA // part for part in chroma_size(pixel_format))
    return info.width % columns == 0 and info.height % rows == 0


def choose_pixel_format(info: VideoInfo, codec: str, *, asked: str | None) -> str:
    """Return FFmpeg's name of the format in which `codec` stores frames of `info`: `asked`, or the one losing least.

    Raises ConfigError when the encoder does not know what is asked for, OutputError when it cannot hold the frames.
    """
    accepted = [one.name for one in Codec(codec, "w").video_formats or []]
    if asked is not None:
        return _asked_format(asked, accepted, info, codec)
    wanted = _wanted(info.pixel_format, codec)
    known = [name for name in accepted if name in NATIVE_FORMATS or name == _PACKED_FOR_FFV1]
    candidates = [name for name in known if is_rgb(name) == is_rgb(wanted) and _divides(name, info, codec)]
    if not candidates:
        raise OutputError(
            f"{codec} cannot hold {info.width}x{info.height} frames of {info.pixel_format} "
            f"(it takes {', '.join(accepted) or 'formats unknown'}); use --lossless, or name a pixel format"
        )
    return min(candidates, key=lambda name: _loss(wanted, name))


def _asked_format(name: str, accepted: list[str], info: VideoInfo, codec: str) -> str:
    found = name if name in accepted or f"{name}le" not in accepted else f"{name}le"
    if accepted and found not in accepted:
        raise ConfigError(f"pixel format {name!r} is none of {codec}'s{suggestion(name, accepted)}")
    if not _divides(found, info, codec):
        raise OutputError(
            f"{codec} cannot hold {info.width}x{info.height} frames as {found}, whose chroma needs an even size; "
            f"leave the pixel format out, use yuv444p, or --lossless"
        )
    return found


def _wanted(native: str, codec: str) -> str:
    """Return the format to come close to: lossy RGB becomes luma and chroma, halved where players need it."""
    if not is_rgb(native) or codec == "ffv1":
        return native
    chroma = "444" if codec == "prores_ks" else "420"
    depth = bit_depth(native)
    return f"yuv{chroma}p" if depth == EIGHT_BITS else f"yuv{chroma}p{depth}le"


def _loss(wanted: str, name: str) -> tuple[bool, int, int, int, int]:
    wanted_chroma, chroma = (sum(chroma_size(one)) for one in (wanted, name))
    depth = bit_depth(name) - bit_depth(wanted)
    gained = chroma - wanted_chroma
    return (name != wanted, max(0, -gained), max(0, -depth), max(0, gained), max(0, depth))


def format_notes(native: str, coded: str) -> list[str]:
    """List what of a frame in the format `native` the format `coded` does not keep, one sentence each."""
    if coded in {native, _PACKED_FOR_FFV1}:
        return []
    notes = []
    if bit_depth(coded) < bit_depth(native):
        notes.append(f"{bit_depth(native) - bit_depth(coded)} bits fewer a sample")
    if is_rgb(native) and not is_rgb(coded):
        notes.append("RGB becomes luma and chroma")
    if sum(chroma_size(coded)) < sum(chroma_size(native)):
        notes.append("less colour resolution")
    return [f"{native} is stored as {coded}{': ' if notes else ''}{', '.join(notes)}"]


def coded_colour(info: VideoInfo, pixel_format: str, *, limited_only: bool = False) -> Colour:
    """Return the colour tags of the encoded video: the source's, and a definite matrix where RGB becomes luma/chroma.

    `limited_only`: the codec cannot say full range.
    """
    colour = info.colour
    if not is_rgb(info.pixel_format) or is_rgb(pixel_format):
        return replace(colour, full_range=False) if limited_only else colour
    # players that ignore tags guess the matrix from the height: write what they guess
    guessed = _SMPTE170M if info.height < _SMALL_HEIGHT else _BT709
    return Colour(
        matrix=colour.matrix if colour.matrix in _CODED_MATRICES else guessed,
        primaries=_BT709 if colour.primaries == UNSPECIFIED else colour.primaries,
        transfer=_SRGB if colour.transfer == UNSPECIFIED else colour.transfer,
        full_range=False,
    )


def suggestion(word: str, known: list[str] | tuple[str, ...]) -> str:
    """Return the words that end a message about an unknown value."""
    close = difflib.get_close_matches(word, known, n=1)
    some = ", ".join(known[:12]) + (", ..." if len(known) > 12 else "")  # noqa: PLR2004  enough to get the idea
    return f"; did you mean {close[0]!r}?" if close else f"; known are {some}"
