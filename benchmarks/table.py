"""A benchmark as Markdown: the tables of docs/benchmarks/speed.md, made from its JSON and from nothing else."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.results import REST, Benchmark, Check, MemoryUse, Quartiles, Row
from vidrestore.errors import OutputError
from vidrestore.files import replace_text
from vidrestore.markdown import markdown_table

START, STOP = "<!-- benchmark -->", "<!-- /benchmark -->"
_STAGES = (
    *("decode", "preview", "detect", "track", "align", "denoise", "see", "restore", "stabilize", "composite", "encode"),
    REST,
)
_VERSIONS = ("python", "torch", "av", "ray", "facexlib")
_NONE = "-"


@dataclass(frozen=True, slots=True)
class Table:
    """Cells as text; the first column names the row."""

    head: tuple[str, ...]
    body: tuple[tuple[str, ...], ...]


def tables(benchmark: Benchmark) -> list[Table]:
    """Return the tables of speed from end to end, speed of each stage, and memory where it was measured."""
    made = [_speed(benchmark.rows), _stages(benchmark.rows)]
    return [*made, _memory(benchmark.memory)] if benchmark.memory else made


def footnotes(benchmark: Benchmark) -> list[str]:
    """Describe what was measured, on what, and what was checked before: a sentence each."""
    return [
        _setting(benchmark),
        *(f"*{row.name}*: {row.what} {_effort(row)}" for row in benchmark.rows),
        f"Checked before timing: {'; '.join(map(_check, benchmark.checks))}.",
    ]


def markdown(benchmark: Benchmark) -> str:
    """Return all tables and footnotes as Markdown."""
    notes = "\n".join(f"- {note}" for note in footnotes(benchmark))
    drawn = [markdown_table(table.head, table.body) for table in tables(benchmark)]
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


def _speed(rows: Sequence[Row]) -> Table:
    references = [row.name for row in rows if row.is_reference]
    head = ("flow", "frames/s (quartiles)", *(f"times {name}" for name in references), "start-up")
    return Table(head, tuple(_speed_cells(row, references) for row in rows))


def _speed_cells(row: Row, references: Sequence[str]) -> tuple[str, ...]:
    ratios = [_quartiles(row.times_reference[name]) if name in row.times_reference else _NONE for name in references]
    return (row.name, _quartiles(row.frames_per_second), *ratios, f"{row.start_seconds:.1f} s")


def _stages(rows: Sequence[Row]) -> Table:
    timed = {stage for row in rows for stage in row.stage_frames_per_second}
    stages = [*(stage for stage in _STAGES if stage in timed), *sorted(timed.difference(_STAGES))]
    body = tuple((stage, *(_stage(row, stage) for row in rows)) for stage in stages)
    return Table(("frames/s of a stage", *(row.name for row in rows)), body)


def _stage(row: Row, stage: str) -> str:
    speed = row.stage_frames_per_second.get(stage)
    return _NONE if speed is None else _number(speed)


def _memory(uses: Iterable[MemoryUse]) -> Table:
    head = ("runtime", "video", "frames", "peak memory", "median", "time")
    return Table(head, tuple(_memory_cells(use) for use in uses))


def _memory_cells(use: MemoryUse) -> tuple[str, ...]:
    sizes = (_gib(use.peak_bytes), _gib(use.median_bytes))
    return (use.runtime, f"{use.minutes:g} min", str(use.frames), *sizes, f"{use.seconds:.0f} s")


def _setting(benchmark: Benchmark) -> str:
    """Describe video, date, code and host in one sentence."""
    machine, clip = benchmark.machine, benchmark.clip
    video = f"{clip.name}, {clip.width}x{clip.height}, {clip.frames} frames"
    changed = " with uncommitted changes" if benchmark.dirty else ""
    code = f"{benchmark.date[:10]}, commit `{benchmark.commit[:12]}`{changed}"
    units = ", ".join(machine.bf16_flags) or "no bf16 units"
    where = f"{machine.cpu}, {machine.cores} cores ({units}), {', '.join(machine.gpus) or 'no GPU'}"
    versions = (f"{name} {benchmark.versions[name]}" for name in _VERSIONS if name in benchmark.versions)
    return f"{video}; {code}; {where}; {', '.join(versions)}."


def _check(check: Check) -> str:
    sign = ">=" if check.at_least else "<="
    return f"{check.what} {_number(check.value)} {check.unit} ({sign} {check.limit:g})"


def _effort(row: Row) -> str:
    runs = f"{len(row.runs)} runs" if len(row.runs) > 1 else "1 run"
    return f"{runs} of {row.runs[0].frames} frames."


def _quartiles(values: Quartiles) -> str:
    return f"{_number(values.median)} ({_number(values.lower)}-{_number(values.upper)})"


def _number(value: float) -> str:
    """Format with three figures, without exponents."""
    whole = abs(value) >= 100  # noqa: PLR2004  three figures before the point
    return f"{value:.0f}" if whole else f"{value:.3g}"


def _gib(size: int) -> str:
    return f"{size / 2**30:.2f} GiB"
