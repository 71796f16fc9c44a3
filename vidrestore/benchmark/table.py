"""A benchmark as Markdown: the tables of README.md, made from its JSON and from nothing else."""

from collections.abc import Iterable, Sequence
from pathlib import Path

from vidrestore.benchmark.results import Benchmark, Check, MemoryUse, Quartiles, Row, replace_text
from vidrestore.errors import OutputError

START, STOP = "<!-- benchmark -->", "<!-- /benchmark -->"
_STAGES = ("decode", "preview", "detect", "track", "align", "restore", "composite", "encode")
_VERSIONS = ("python", "torch", "av", "ray", "facexlib")
_NONE = "-"


def markdown(benchmark: Benchmark) -> str:
    """All tables with what they were measured on."""
    parts = [_speed(benchmark), _stages(benchmark.rows), _footnotes(benchmark)]
    if benchmark.memory:
        parts.append(_memory(benchmark.memory))
    return "\n\n".join(parts)


def speed_cells(benchmark: Benchmark) -> tuple[list[str], list[list[str]]]:
    """Head and body of the speed table, as text; a column of ratios for each reference row."""
    references = [row.name for row in benchmark.rows if row.is_reference]
    head = ["flow", "frames/s (quartiles)", *(f"times *{name}*" for name in references), "start-up"]
    return head, [_speed_cells(row, references) for row in benchmark.rows]


def update_readme(readme: Path, benchmark: Benchmark) -> None:
    """Replace what stands between the two markers.

    Raises:
        OutputError: the file cannot be read or written, or lacks a marker.
    """
    try:
        text = readme.read_text(encoding="utf-8")
    except OSError as error:
        raise OutputError(f"cannot read {readme}: {error.strerror}") from error
    before, start, rest = text.partition(START)
    _, stop, after = rest.partition(STOP)
    if not (start and stop):
        raise OutputError(f"{readme} lacks the markers {START} and {STOP}; put them where the table belongs")
    replace_text(readme, f"{before}{START}\n{markdown(benchmark)}\n{STOP}{after}")


def _speed(benchmark: Benchmark) -> str:
    head, body = speed_cells(benchmark)
    return _table(head, body)


def _speed_cells(row: Row, references: Sequence[str]) -> list[str]:
    ratios = [_quartiles(row.times_reference[name]) if name in row.times_reference else _NONE for name in references]
    name = row.name if row.is_reference else f"**{row.name}**"
    return [name, _quartiles(row.frames_per_second), *ratios, f"{row.start_seconds:.1f} s"]


def _stages(rows: Sequence[Row]) -> str:
    head = ["frames/s of a stage", *(row.name for row in rows)]
    timed = {stage for row in rows for stage in row.stage_frames_per_second}
    stages = [*(stage for stage in _STAGES if stage in timed), *sorted(timed.difference(_STAGES))]
    return _table(head, ([stage, *(_stage(row, stage) for row in rows)] for stage in stages))


def _stage(row: Row, stage: str) -> str:
    speed = row.stage_frames_per_second.get(stage)
    return _NONE if speed is None else _number(speed)


def _memory(uses: Iterable[MemoryUse]) -> str:
    head = ["runtime", "film", "frames", "peak memory", "median", "time"]
    body = [
        [
            use.runtime,
            f"{use.minutes:g} min",
            str(use.frames),
            _gib(use.peak_bytes),
            _gib(use.median_bytes),
            f"{use.seconds:.0f} s",
        ]
        for use in uses
    ]
    return _table(head, body)


def _footnotes(benchmark: Benchmark) -> str:
    notes = [
        _setting(benchmark),
        *(f"*{row.name}*: {row.what} {len(row.runs)} runs of {row.runs[0].frames} frames." for row in benchmark.rows),
        f"Checked before timing: {'; '.join(map(_check, benchmark.checks))}.",
    ]
    return "\n".join(f"- {note}" for note in notes)


def _setting(benchmark: Benchmark) -> str:
    """Film, date, code and machine in one sentence."""
    machine, clip = benchmark.machine, benchmark.clip
    film = f"{clip.name}, {clip.width}x{clip.height}, {clip.frames} frames"
    changed = " with uncommitted changes" if benchmark.dirty else ""
    code = f"{benchmark.date[:10]}, commit `{benchmark.commit[:12]}`{changed}"
    units = ", ".join(machine.bf16_flags) or "no bf16 units"
    where = f"{machine.cpu}, {machine.cores} cores ({units}), {', '.join(machine.gpus) or 'no GPU'}"
    versions = (f"{name} {benchmark.versions[name]}" for name in _VERSIONS if name in benchmark.versions)
    return f"{film}; {code}; {where}; {', '.join(versions)}."


def _check(check: Check) -> str:
    sign = ">=" if check.at_least else "<="
    return f"{check.what} {_number(check.value)} {check.unit} ({sign} {check.limit:g})"


def _table(head: Sequence[str], body: Iterable[Sequence[str]]) -> str:
    rule = [":--", *("--:" for _ in head[1:])]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in (head, rule, *body))


def _quartiles(values: Quartiles) -> str:
    return f"{_number(values.median)} ({_number(values.lower)}-{_number(values.upper)})"


def _number(value: float) -> str:
    """Three figures, without exponents."""
    whole = abs(value) >= 100  # noqa: PLR2004  three figures before the point
    return f"{value:.0f}" if whole else f"{value:.3g}"


def _gib(size: int) -> str:
    return f"{size / 2**30:.2f} GiB"
