"""Limits on the size of frames: a few kilobytes can claim, and decode to, frames of gigabytes."""

from typing import Final

MAX_PIXELS: Final = 8192 * 4352
"""Default limit on the pixels of a frame: 8K in every shape that cameras and scanners produce."""
MAX_SIDE: Final = 16384
"""Limit on the longer side in pixels, whatever the area: lookup tables and filters have one entry a column or row."""
_ALIGNMENT_SLACK = 64 * MAX_SIDE * 2
"""Slack for FFmpeg, which checks the size that it allocates, whose sides it rounds up."""


def decoder_options(max_pixels: int) -> dict[str, str]:
    """Return the options with which a decoder refuses larger frames before it allocates them, also in mid-stream."""
    return {"max_pixels": str(max_pixels + _ALIGNMENT_SLACK)}


def is_too_large(width: int, height: int, *, max_pixels: int) -> bool:
    """Return whether a frame is too large to be restored."""
    return width * height > max_pixels or max(width, height) > MAX_SIDE


def why_too_large(width: int, height: int, *, max_pixels: int) -> str:
    """Return the end of a sentence about frames that are too large."""
    return (
        f"has frames of {width}x{height} pixels; at most {max_pixels:,} pixels, and {MAX_SIDE:,} on a side, are "
        "restored: scale it down first, or raise restore.max_pixels where there is memory for it"
    )
