"""What bounds a row: the slowest part that it needs, by that part's own speed (a roofline over codecs and networks).

A whole command of n frames takes at least its start, then n frames at the rate of the slowest part. How much of that
speed a row reached tells whether the part is what limits it, or the way in which the parts are put together.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from benchmarks.limits import ARITHMETIC, DECODE, ENCODE, NETWORK, TEMPORAL, TRAFFIC
from benchmarks.results import REST, Limit, Row, stage_milliseconds
from benchmarks.systems import ONE_SECOND, SYSTEMS

_REACHED = 0.8
"""Share of the bound from which on it is what limits."""


@dataclass(frozen=True, slots=True)
class Bound:
    """The slowest part of a row, and how near the row came."""

    part: str
    """Name of the limit."""
    frames_per_second: float
    """What the part allows by itself."""
    start_seconds: float
    """Seconds of starting, which count to the bound; 0 where they are unknown or not timed."""
    reached: float
    """The row's speed as a share of what part and start allow together."""


def bound_of(row: Row, rows: Iterable[Row], limits: Iterable[Limit]) -> Bound | None:
    """Return what bounds a row, by the limits that were measured; None where none was."""
    allowed = sorted(_allowed(row, limits))
    if not allowed:
        return None
    rate, part = allowed[0]
    start = 0.0 if row.is_reference else _start_seconds(row, rows)
    frames = row.clip.frames
    possible = frames / (start + frames / rate)
    return Bound(part, rate, start, row.frames_per_second.median / possible)


def words(row: Row, bound: Bound | None) -> str:
    """Say what bounds a row."""
    busiest = _busiest(row)
    if row.is_reference:
        return f"one step after the other; {busiest}"
    if row.system == ONE_SECOND:
        return "the start"
    if bound is None:
        return f"not measured; {busiest}"
    start = f" and {bound.start_seconds:.1f} s of start" if bound.start_seconds else ""
    reached = f"{bound.part} ({bound.frames_per_second:.0f} frames/s){start}: {bound.reached:.0%} reached"
    return reached if bound.reached >= _REACHED else f"{reached}; {busiest}"


def _allowed(row: Row, limits: Iterable[Limit]) -> list[tuple[float, str]]:
    """Return frames a second that each part allows, with its name; of the network its fastest way."""
    found: list[tuple[float, str]] = []
    network: list[tuple[float, str]] = []
    encode = ENCODE.format(preset=_preset(row))
    device = row.device.partition(":")[0]
    for limit in limits:
        rate = limit.rates.median
        if limit.clip == row.clip.name and limit.name in {DECODE, encode}:
            found.append((rate, limit.name))
        elif (limit.device, limit.network) == (device, row.network) and row.clip.faces:
            if limit.name.startswith(NETWORK):
                network.append((rate / row.clip.faces, limit.name))
            elif limit.name == TEMPORAL:
                found.append((rate / row.clip.faces, limit.name))
    return found + ([max(network)] if network else [])


def _preset(row: Row) -> str:
    return next((system.preset for system in SYSTEMS.values() if system.name == row.system), "medium")


def _start_seconds(row: Row, rows: Iterable[Row]) -> float:
    """Return the seconds of the shortest run of one second of video with that network on that device."""
    alike = (one for one in rows if (one.system, one.device, one.network) == (ONE_SECOND, row.device, row.network))
    return min((run.seconds for one in alike for run in one.runs), default=0.0)


def _busiest(row: Row) -> str:
    stages = {stage: spent for stage, spent in stage_milliseconds(row.runs).items() if stage != REST}
    if not stages:
        return "no stage was timed"
    stage = max(stages, key=stages.__getitem__)
    return f"busiest stage {stage}, {stages[stage]:.1f} ms a frame"


def balance(limits: Sequence[Limit], *, device: str, network: str) -> str | None:
    """Say in a sentence whether arithmetic or memory bounds the network, and what was reached; None if not measured."""
    own = {limit.name: limit.rates.median for limit in limits if (limit.device, limit.network) == (device, network)}
    ways = {name: rate for name, rate in own.items() if name.startswith(NETWORK)}
    if ARITHMETIC not in own or TRAFFIC not in own or not ways:
        return None
    best = max(ways, key=ways.__getitem__)
    allowed = min(own[ARITHMETIC], own[TRAFFIC])
    what = "arithmetic" if own[ARITHMETIC] <= own[TRAFFIC] else "memory"
    return (
        f"*{network}* on {device}: arithmetic allows {own[ARITHMETIC]:.0f} faces/s, memory {own[TRAFFIC]:.0f} where no "
        f"operation is fused; {what} bounds it. *{best}* reaches {ways[best]:.0f}, {ways[best] / allowed:.0%} of that."
    )
