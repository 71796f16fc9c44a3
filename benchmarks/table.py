"""A benchmark as Markdown: the tables of docs/benchmarks/speed.md, made from its JSON and from nothing else."""

import statistics
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.bounds import balance, bound_of, words
from benchmarks.results import (
    REST,
    Benchmark,
    Check,
    Limit,
    MemoryUse,
    Quartiles,
    Row,
    Session,
    stage_milliseconds,
)
from benchmarks.systems import ONE_SECOND, SYSTEMS
from benchmarks.videos import SHAPES
from vidrestore.errors import OutputError
from vidrestore.files import replace_text
from vidrestore.markdown import markdown_table

START, STOP = "<!-- benchmark -->", "<!-- /benchmark -->"
_STAGES = (
    *("decode", "preview", "detect", "find", "track", "align", "denoise", "see"),
    *("restore", "stabilize", "composite", "encode"),
    REST,
)
_VERSIONS = ("python", "torch", "av", "ray", "facexlib")
_NONE = "-"


@dataclass(frozen=True, slots=True)
class Table:
    """Cells as text; the first column names the row."""

    title: str
    head: tuple[str, ...]
    body: tuple[tuple[str, ...], ...]


def tables(benchmark: Benchmark) -> list[Table]:
    """Return the tables of whole commands and stages for each network and device, then of the parts, then of memory."""
    made = []
    groups = sorted({(row.network, row.device) for row in benchmark.rows}, key=lambda one: (one[1] == "cpu", one))
    for network, device in groups:
        rows = [row for row in benchmark.rows if (row.network, row.device) == (network, device)]
        made.append(_speed(rows, benchmark, f"Whole commands on {_device(device)}, network: {network}"))
        made.append(_stages([row for row in rows if not row.is_reference], f"Stages of {_device(device)}, {network}"))
    made.append(_limits(benchmark.limits))
    made.append(_memory(benchmark.memory))
    return [table for table in made if table.body]


def footnotes(benchmark: Benchmark) -> list[str]:
    """Describe what was measured, on what, and what was checked: a sentence each."""
    described = {row.system: row for row in benchmark.rows}
    ways = sorted({(limit.device, limit.network) for limit in benchmark.limits if limit.network})
    balances = (balance(benchmark.limits, device=device, network=network) for device, network in ways)
    return [
        *dict.fromkeys(map(_setting, benchmark.sessions)),
        *(f"*{row.system}*: {row.what}" for row in described.values()),
        *filter(None, balances),
        *_checked(benchmark),
    ]


def markdown(benchmark: Benchmark) -> str:
    """Return all tables and footnotes as Markdown."""
    notes = "\n".join(f"- {note}" for note in footnotes(benchmark))
    drawn = [f"**{table.title}**\n\n{markdown_table(table.head, table.body)}" for table in tables(benchmark)]
    return "\n\n".join([*drawn, notes])


def update_readme(readme: Path, benchmark: Benchmark) -> None:
    """Replace the tables in a file; errors are those of `replace_between`."""
    replace_between(readme, START, STOP, markdown(benchmark))


def replace_between(readme: Path, first: str, last: str, text: str) -> None:
    """Replace the text between two markers.

    Raises:
        OutputError: the file cannot be read or written, or lacks a marker.
    """
    try:
        whole = readme.read_text(encoding="utf-8")
    except OSError as error:
        raise OutputError(f"cannot read {readme}: {error.strerror}") from error
    before, start, rest = whole.partition(first)
    _, stop, after = rest.partition(last)
    if not (start and stop):
        raise OutputError(f"{readme} lacks the markers {first} and {last}; put them where the table belongs")
    replace_text(readme, f"{before}{first}\n{text}\n{last}{after}")


def _speed(rows: Sequence[Row], benchmark: Benchmark, title: str) -> Table:
    head = (
        *("video, system", "frames", "frames/s (quartiles)", "times reference", "faces/s", "GPU busy", "GPU memory"),
        *("memory", "bound by"),
    )
    order = {clip: place for place, clip in enumerate(dict.fromkeys(shape.name for shape in SHAPES))}
    systems = {system.name: place for place, system in enumerate(SYSTEMS.values())}
    ordered = sorted(rows, key=lambda row: (order.get(row.clip.name, 99), systems.get(row.system, 99)))
    return Table(title, head, tuple(_speed_cells(row, benchmark) for row in ordered))


def _speed_cells(row: Row, benchmark: Benchmark) -> tuple[str, ...]:
    busy = [usage.gpu_busy_percent for usage in row.usages if usage.gpu_busy_percent is not None]
    gpu = [usage.gpu_peak_bytes for usage in row.usages if usage.gpu_peak_bytes is not None]
    return (
        f"{row.clip.name}, {row.system}",
        f"{len(row.runs)} x {row.clip.frames}",
        _quartiles(row.frames_per_second),
        _times(row, benchmark.rows),
        _number(row.faces_per_second.median),
        f"{statistics.median(busy):.0f} %" if busy else _NONE,
        _gib(max(gpu)) if gpu else _NONE,
        _gib(max(usage.host_peak_bytes for usage in row.usages)),
        words(row, bound_of(row, benchmark.rows, benchmark.limits)),
    )


def _times(row: Row, rows: Iterable[Row]) -> str:
    """Return how many times the lightest reference's speed on the same video a row reaches."""
    same = {one.system: one for one in rows if one.key[:3] == row.key[:3]}
    lightest = same.get(SYSTEMS["reference"].name)
    if lightest is None or row.system == ONE_SECOND:
        return _NONE
    return _number(row.frames_per_second.median / lightest.frames_per_second.median)


def _stages(rows: Sequence[Row], title: str) -> Table:
    busy = {f"{row.clip.name}, {row.system}": stage_milliseconds(row.runs) for row in rows if row.system != ONE_SECOND}
    timed = {stage for stages in busy.values() for stage in stages}
    stages = [*(stage for stage in _STAGES if stage in timed), *sorted(timed.difference(_STAGES))]
    body = tuple((stage, *(_stage(one, stage) for one in busy.values())) for stage in stages)
    return Table(f"{title}, busy milliseconds a frame", ("stage", *busy), body)


def _stage(busy: Mapping[str, float], stage: str) -> str:
    return _number(busy[stage]) if stage in busy else _NONE


def _limits(limits: Iterable[Limit]) -> Table:
    body = tuple(
        (
            f"{limit.name}{f', {limit.clip}' if limit.clip else ''}",
            limit.network or _NONE,
            limit.device,
            f"{_scaled(limit.rates.median)} ({_scaled(limit.rates.lower)}-{_scaled(limit.rates.upper)})",
            limit.unit,
        )
        for limit in limits
    )
    return Table("Parts by themselves", ("part", "network", "device", "a second (quartiles)", "of"), body)


def _memory(uses: Iterable[MemoryUse]) -> Table:
    head = ("runtime", "video", "frames", "peak memory", "median", "time")
    return Table("Memory and length", head, tuple(_memory_cells(use) for use in uses))


def _memory_cells(use: MemoryUse) -> tuple[str, ...]:
    sizes = (_gib(use.peak_bytes), _gib(use.median_bytes))
    return (use.runtime, f"{use.minutes:g} min", str(use.frames), *sizes, f"{use.seconds:.0f} s")


def _setting(session: Session) -> str:
    """Describe date, code and host in one sentence."""
    machine = session.machine
    changed = " with uncommitted changes" if session.dirty else ""
    code = f"{session.date[:10]}, commit `{session.commit[:12]}`{changed}"
    units = ", ".join(machine.bf16_flags) or "no bf16 units"
    where = f"{machine.cpu}, {machine.cores} cores ({units}), {', '.join(machine.gpus) or 'no GPU'}"
    versions = (f"{name} {session.versions[name]}" for name in _VERSIONS if name in session.versions)
    return f"{code}; {where}; {', '.join(versions)}."


def _checked(benchmark: Benchmark) -> list[str]:
    """List every check once, with the value that came nearest to its limit."""
    worst: dict[str, Check] = {}
    for check in (check for session in benchmark.sessions for check in session.checks):
        known = worst.get(check.what)
        if known is None or (check.value < known.value) == check.at_least:
            worst[check.what] = check
    return [f"Checked before a number was written: {'; '.join(map(_check, worst.values()))}."] if worst else []


def _check(check: Check) -> str:
    sign = ">=" if check.at_least else "<="
    unit = f" {check.unit}" if check.unit else ""
    return f"{check.what} {_number(check.value)}{unit} ({sign} {check.limit:g})"


def _device(device: str) -> str:
    return "the CPU" if device == "cpu" else "the GPU"


def _quartiles(values: Quartiles) -> str:
    return f"{_number(values.median)} ({_number(values.lower)}-{_number(values.upper)})"


def _scaled(value: float) -> str:
    """Format with three figures and a prefix of the SI."""
    for factor, prefix in ((1e12, " T"), (1e9, " G"), (1e6, " M")):
        if value >= factor:
            return f"{_number(value / factor)}{prefix}"
    return _number(value)


def _number(value: float) -> str:
    """Format with three figures, without exponents."""
    whole = abs(value) >= 100  # noqa: PLR2004  three figures before the point
    return f"{value:.0f}" if whole else f"{value:.3g}"


def _gib(size: int) -> str:
    return f"{size / 2**30:.2f} GiB"
