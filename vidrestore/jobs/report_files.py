"""The report of a job as files in its output folder: JSON, and one page of HTML with its plots inside.

They replace nothing but earlier reports.
"""

import html
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from string import Template

from vidrestore import storage
from vidrestore.errors import InputError, OutputError
from vidrestore.files import replace_text
from vidrestore.jobs.progress import Sample
from vidrestore.jobs.registry import PAGE, REPORT
from vidrestore.jobs.report import JobReport, VideoReport
from vidrestore.printable import few, printable
from vidrestore.report import is_report
from vidrestore.report_json import to_json

_MOST_BYTES = 1 << 28
_START = (
    b'<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
    b'<meta name="viewport" content="width=device-width">\n'
)
PAGE_BEGINNINGS = (_START + b'<meta name="generator" content="vidrestore">', _START + b"<title>vidrestore: ")
"""Beginnings by which a page is recognised: of this and of earlier versions."""
_WIDTH, _HEIGHT, _LEFT, _BOTTOM = 560, 180, 56, 24
_WINDOW_SECONDS = 10.0
"""Time over which rates are computed: the workers report every few seconds only."""
_MOST_POINTS = 300

_PAGE = Template("""<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<meta name="generator" content="vidrestore"><title>vidrestore: $done of $videos videos</title>
<style>
body { font: 15px/1.5 system-ui, sans-serif; margin: 2rem auto; max-width: 75rem; padding: 0 1rem; color: #222 }
h1 { font-size: 1.4rem } h2 { font-size: 1.1rem; margin-top: 2rem }
table { border-collapse: collapse; width: 100% } td, th { padding: .2rem .6rem; text-align: left; vertical-align: top }
td.n, th.n { text-align: right; font-variant-numeric: tabular-nums } tr:nth-child(even) { background: #f5f5f5 }
.failed { color: #b00020 } .plots { display: flex; flex-wrap: wrap; gap: 1.5rem } figure { margin: 0 }
svg text { font: 11px system-ui, sans-serif; fill: #555 } figcaption { font-weight: 600 }
@media (prefers-color-scheme: dark) {
  body { background: #181818; color: #ddd } tr:nth-child(even) { background: #222 } svg text { fill: #aaa }
}
</style></head><body>
<h1>$done of $videos videos restored$failed</h1>
<p>$frames frames, $new of them in this run of $seconds s ($rate frames/s); $retries retries; $unrestored frames went
through unrestored. Ended $ended; runtime $runtime, model $model (sha256 $sha).</p>
<div class="plots">$plots</div>
<h2>Videos</h2>
<table><tr><th>video</th><th>state</th><th class="n">frames</th><th class="n">faces</th><th class="n">segments</th>
<th class="n">worker seconds</th><th class="n">retries</th><th>messages</th></tr>
$rows</table>
$trouble
$notes
</body></html>
""")


def check_job_reports(out: str, *, overwrite: bool) -> None:
    """Make sure that the report will replace nothing but an earlier one, before any work.

    Raises:
        OutputError: another file has that name; a folder is not replaced with `overwrite` either.
    """
    for name in (REPORT, PAGE):
        if storage.is_folder(storage.join(out, name)):
            raise OutputError(f"{storage.join(out, name)} is a folder, and a report is called so; move it away")
        if not overwrite and not _is_free(storage.join(out, name), json=name == REPORT):
            raise OutputError(
                f"{storage.join(out, name)} is no report of a job and would be replaced by one; move it away, or add "
                "--overwrite"
            )


def write_job_reports(report: JobReport, out: str) -> None:
    """Write the report as JSON and as HTML."""
    texts = {REPORT: to_json(report), PAGE: render_html(report)}
    for name, text in texts.items():
        address = storage.join(out, name)
        if storage.is_remote(out):
            storage.commit_text(text, address)
        else:
            replace_text(Path(address), text)


def _is_free(address: str, *, json: bool) -> bool:
    """Return whether there is no file, or an earlier report."""
    try:
        data = storage.beginning(address, _MOST_BYTES)
    except InputError:
        return not storage.exists(address)
    return not data or (is_report(data) if json else data.startswith(PAGE_BEGINNINGS))


def render_html(report: JobReport) -> str:
    """Return the whole page, in HTML, without external resources."""
    samples = report.samples
    plots = [
        _plot("frames per second", samples, _rate(lambda sample: sample.frames_done), "#1769aa"),
        _plot("busy share of the inference workers", samples, _use, "#2e7d32"),
        _plot("busy segment workers", samples, lambda _, sample: float(sample.busy), "#6a1b9a"),
        _plot("retries so far", samples, lambda _, sample: float(sample.retries), "#b00020"),
    ]
    return _PAGE.substitute(
        done=report.done,
        videos=len(report.videos),
        failed=f', <span class="failed">{report.failed} failed</span>' if report.failed else "",
        frames=report.frames,
        new=report.frames_of_this_run,
        seconds=f"{report.seconds:.1f}",
        rate=f"{report.frames_per_second:.1f}",
        retries=report.retries,
        unrestored=report.unrestored_frames,
        ended=_plain(report.ended),
        runtime=_plain(report.runtime),
        model=_plain(report.model),
        sha=_plain(report.model_sha256[:16]),
        plots="\n".join(plots),
        rows="\n".join(map(_row, report.videos)),
        trouble=_troubles(report.videos),
        notes=_list("The journal", report.journal_notes) + _list("Left out", report.left_out),
    )


def _plain(text: str) -> str:
    """Escape foreign text for HTML, so that it neither acts as markup nor changes the direction of text around it."""
    return f"<bdi>{html.escape(printable(text))}</bdi>"


def _row(video: VideoReport) -> str:
    messages = "<br>".join(map(_plain, ([video.error] if video.error else []) + few(video.warnings)))
    state = "done earlier" if video.resumed else video.state
    numbers = (video.frames, video.faces, video.segments, f"{video.worker_seconds:.1f}", len(video.retries))
    cells = "".join(f'<td class="n">{number}</td>' for number in numbers)
    kind = ' class="failed"' if video.error else ""
    return f"<tr><td>{_plain(video.destination)}</td><td{kind}>{state}</td>{cells}<td>{messages}</td></tr>"


def _list(title: str, lines: Sequence[str]) -> str:
    items = "".join(f"<li>{_plain(line)}</li>" for line in few(lines))
    return f"<h2>{title}</h2>\n<ul>{items}</ul>\n" if items else ""


def _troubles(videos: Sequence[VideoReport]) -> str:
    rows = [
        f"<tr><td>{_plain(video.destination)}</td><td>{_plain(one.task_name)}</td>"
        f'<td class="n">{one.attempt}</td><td>{_plain(one.node)}</td><td>{_plain(one.message)}</td></tr>'
        for video in videos
        for one in video.retries
    ]
    if not rows:
        return ""
    head = '<tr><th>video</th><th>task</th><th class="n">attempt</th><th>node</th><th>why</th></tr>'
    return f"<h2>Attempts that failed</h2>\n<table>{head}\n{''.join(rows)}</table>"


Curve = Callable[[Sample, Sample], float]
"""The value from one sample to another."""


def _rate(count: Callable[[Sample], int]) -> Curve:
    return lambda one, other: max(0, count(other) - count(one)) / max(1e-9, other.seconds - one.seconds)


def _use(one: Sample, other: Sample) -> float:
    passed = (other.seconds - one.seconds) * max(1, other.face_workers)
    return min(1.0, max(0.0, other.network_seconds - one.network_seconds) / max(1e-9, passed))


def _windows(samples: Sequence[Sample]) -> Iterator[tuple[Sample, Sample]]:
    """Yield each sample, after the one that was `_WINDOW_SECONDS` before it."""
    first = 0
    for number, sample in enumerate(samples[1:], 1):
        while first + 1 < number and samples[first + 1].seconds <= sample.seconds - _WINDOW_SECONDS:
            first += 1
        yield samples[first], sample


def _plot(title: str, samples: Sequence[Sample], curve: Curve, colour: str) -> str:
    """Return an SVG of a curve over time."""
    few = samples[:: max(1, len(samples) // _MOST_POINTS)]
    points = [(other.seconds, curve(one, other)) for one, other in _windows(few)]
    caption = f"<figcaption>{html.escape(title)}</figcaption>"
    if len(points) < 2:  # noqa: PLR2004  a line wants two
        return f"<figure>{caption}<p>the run was too short to draw</p></figure>"
    last = points[-1][0] or 1.0
    top = max(value for _, value in points) or 1.0
    width, height = _WIDTH - _LEFT - 8, _HEIGHT - _BOTTOM - 12

    def place(seconds: float, value: float) -> str:
        return f"{_LEFT + width * seconds / last:.1f},{12 + height * (1 - value / top):.1f}"

    line = " ".join(place(*point) for point in points)
    floor = 12 + height
    return (
        f'<figure>{caption}<svg role="img" aria-label="{html.escape(title)}" width="{_WIDTH}" height="{_HEIGHT}" '
        f'viewBox="0 0 {_WIDTH} {_HEIGHT}">'
        f'<path d="M{_LEFT},12V{floor}H{_LEFT + width}" fill="none" stroke="#999"/>'
        f'<polyline points="{line}" fill="none" stroke="{colour}" stroke-width="1.5"/>'
        f'<text x="{_LEFT - 6}" y="16" text-anchor="end">{top:.3g}</text>'
        f'<text x="{_LEFT - 6}" y="{floor}" text-anchor="end">0</text>'
        f'<text x="{_LEFT + width}" y="{floor + 16}" text-anchor="end">{last:.0f} s</text>'
        f'<text x="{_LEFT}" y="{floor + 16}">0 s</text></svg></figure>'
    )
