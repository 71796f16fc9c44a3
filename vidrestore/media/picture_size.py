"""How large the pictures of a film may be: a few kilobytes can claim, and decode to, pictures of gigabytes."""

from typing import Final

MAX_PIXELS: Final = 8192 * 4352
"""Pixels of a picture unless told otherwise: 8K in every shape that cameras and scanners give it."""
MAX_SIDE: Final = 16384
"""Pixels of the longer side, whatever the area: lookup tables and filters have one entry a column or row."""
_ALIGNMENT_SLACK = 64 * MAX_SIDE * 2
"""FFmpeg checks the size that it allocates, whose sides it rounds up."""


def decoder_options(max_pixels: int) -> dict[str, str]:
    """Options with which a decoder refuses larger pictures before it allocates them, also in mid-stream."""
    return {"max_pixels": str(max_pixels + _ALIGNMENT_SLACK)}


def is_too_large(width: int, height: int, *, max_pixels: int) -> bool:
    """Whether a picture is larger than is restored."""
    return width * height > max_pixels or max(width, height) > MAX_SIDE


def why_too_large(width: int, height: int, *, max_pixels: int) -> str:
    """The end of a sentence about pictures that are too large."""
    return (
        f"has pictures of {width}x{height} pixels; at most {max_pixels:,} pixels, and {MAX_SIDE:,} on a side, are "
        "restored: scale it down first, or raise restore.max_pixels where there is memory for it"
    )
