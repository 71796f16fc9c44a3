"""PyAV's rational numbers as exact fractions: `Fraction` or None in PyAV 18, a type of its own in PyAV 19."""

from fractions import Fraction
from typing import Any, Protocol

import av
from av.stream import Stream


class Ratio(Protocol):
    """A numerator over a denominator."""

    @property
    def numerator(self) -> int:
        """Number above the line."""
        ...

    @property
    def denominator(self) -> int:
        """Number below the line; 0 where nothing was set."""
        ...


def to_fraction(ratio: Ratio | None) -> Fraction | None:
    """Return the same number as a `Fraction`; None where it is unset, which FFmpeg writes as 0/1 or 0/0."""
    if ratio is None or not ratio.numerator or not ratio.denominator:
        return None
    return Fraction(ratio.numerator, ratio.denominator)


def time_base_of(timed: "Stream | av.Packet[Any]") -> Fraction:
    """Return the seconds in one unit of time of a stream or packet that is read, or written after its header."""
    time_base = to_fraction(timed.time_base)
    assert time_base, "FFmpeg gives every stream of a file a time base"  # noqa: S101
    return time_base
