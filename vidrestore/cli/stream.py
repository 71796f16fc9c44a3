"""`vidrestore stream`: live video in, restored live video out."""

import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Any, get_args

import typer
from rich.live import Live
from rich.table import Table
from rich.text import Text

from vidrestore.cli.options import Address, Codec, Device, Faces, Model, Report, StreamCrf, StreamPreset, stream_option
from vidrestore.cli.terminal import cell, err, say
from vidrestore.cli.zoo import fetch_needed
from vidrestore.config import apply_settings, given, update
from vidrestore.errors import ConfigError, VidrestoreError
from vidrestore.files import replace_text
from vidrestore.live.addresses import parse_source, parse_target
from vidrestore.live.config import StreamConfig
from vidrestore.live.status import StreamStatus
from vidrestore.redaction import redact
from vidrestore.report import check_report, installed_versions
from vidrestore.report_json import to_json
from vidrestore.runtime.streams import StreamSpec
from vidrestore.server.logs import LOG, Style, start_logging
from vidrestore.server.run import serve
from vidrestore.server.service import Service
from vidrestore.server.settings import ServiceConfig, address, read_settings

_REDRAW_SECONDS = 0.5
_SUMMARY_SECONDS = 60.0


@dataclass(frozen=True, slots=True)
class StreamsReport:
    """The report of all streams, as `--report` writes it."""

    streams: tuple[StreamStatus, ...]
    problems: dict[str, str]
    versions: dict[str, str]


def stream(
    source: Annotated[
        str | None,
        typer.Argument(
            help="rtsp(s)://, rtmp(s)://, http(s)://, udp://, tcp://, /dev/videoN or a file. '${NAME}' is taken from "
            "the environment, for passwords.",
            metavar="SRC",
        ),
    ] = None,
    destinations: Annotated[
        list[str] | None,
        typer.Argument(
            help="rtsp(s)://, rtmp(s)://, udp://, tcp://, FOLDER/ (HLS), FILE.mp4 or .mkv (a recording); one or more.",
            metavar="DST...",
        ),
    ] = None,
    config: Annotated[
        Path | None, typer.Option(help="TOML file of streams, instead of SRC and DST.", metavar="STREAMS.toml")
    ] = None,
    lag: Annotated[
        int | None, typer.Option(help="Frames to hold back for steadier faces, 0 to 8 (default: 0).")
    ] = None,
    mode: Annotated[str | None, stream_option("mode", metavar="realtime|complete")] = None,
    retry: Annotated[str | None, stream_option("source.retry", metavar="always|transient|never")] = None,
    transport: Annotated[
        str | None, typer.Option(metavar="tcp|udp", help="Transport of RTSP sources and outputs (default: tcp).")
    ] = None,
    model: Model = None,
    device: Device = None,
    faces: Faces = None,
    codec: Codec = None,
    crf: StreamCrf = None,
    preset: StreamPreset = None,
    record_seconds: Annotated[float | None, stream_option("output.record_seconds")] = None,
    no_audio: Annotated[bool, typer.Option("--no-audio", help="Drop the audio.")] = False,
    loop: Annotated[bool, typer.Option("--loop", help="Start a file again at its end.")] = False,
    web: Annotated[
        str | None,
        typer.Option(help="Serve web page, metrics and health, such as on 127.0.0.1:8080.", metavar="HOST:PORT"),
    ] = None,
    web_hosts: Annotated[
        list[str] | None,
        typer.Option(
            "--web-host", metavar="NAME", help="Another host name of the web page, such as a reverse proxy's."
        ),
    ] = None,
    no_web_token: Annotated[
        bool, typer.Option("--no-web-token", help="Show the web page to everybody on this host, without a token.")
    ] = False,
    runtime: Annotated[
        str | None,
        typer.Option(metavar="local|ray", help="Run in this process, or on Ray (default: local; ray with --address)."),
    ] = None,
    address: Address = None,
    log: Annotated[str, typer.Option(metavar="text|json", help="Format of the log on stderr.")] = "text",
    report: Report = None,
    settings: Annotated[
        list[str] | None,
        typer.Option(
            "--set",
            metavar="PATH=VALUE",
            help="Set any option, such as quality.enabled=false; may be repeated. See `vidrestore config show --for "
            "stream`.",
        ),
    ] = None,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Print only warnings and errors.")] = False,
) -> None:
    """Restore the faces in live streams.

    SIGTERM completes every output and ends; SIGHUP reads --config again.
    """
    chosen: dict[str, Any] = {
        "restore": {
            "lag": lag,
            "restorer": {"model": model, "device": device},
            "detector": {"device": device},
            "selection": {"max_faces": faces},
        },
        "source": {"retry": retry, "transport": transport, "audio": False if no_audio else None, "loop": loop or None},
        "sink": {"encode": {"codec": codec, "crf": crf, "preset": preset}},
        "output": {"record_seconds": record_seconds, "transport": transport},
        "mode": mode,
    }
    for_all = {
        "runtime": "ray" if address else runtime,
        "ray": {"address": address},
        "web": {"listen": web, "hosts": web_hosts or None, "token": "none" if no_web_token else None},
    }

    def read() -> ServiceConfig:
        found = _read(source, destinations, config)
        specs = tuple(
            replace(spec, config=apply_settings(update(spec.config, given(chosen)), settings or []))
            for spec in found.streams
        )
        return update(replace(found, streams=specs), given(for_all))

    style = _style(log)
    found = read()
    if report:
        check_report(report, apart_from=_files_of(found))
    fetch_needed(found.streams[0].config.restore, quiet=quiet)
    start_logging(style, quiet=quiet)

    @contextmanager
    def watch(service: Service) -> Iterator[None]:
        with _shown(service, drawn=err.is_terminal and style == "text" and not quiet):
            yield

    service = serve(found, reread=read if config else None, watch=watch)
    _tell(service, report, quiet=quiet)


def _files_of(config: ServiceConfig) -> list[Path]:
    """Return sources, playlists and recordings, which a report may not replace."""
    sources = [parse_source(spec.source) for spec in config.streams]
    targets = [parse_target(target) for spec in config.streams for target in spec.targets]
    return [Path(source.url) for source in sources if source.kind == "file"] + [
        Path(target.url) for target in targets if target.kind in {"hls", "recording"}
    ]


def _style(log: str) -> Style:
    for style in get_args(Style):
        if log == style:
            return style  # type: ignore[no-any-return]  # one of the literals
    raise ConfigError(f"--log is {log!r}; use one of {', '.join(get_args(Style))}")


def _read(source: str | None, destinations: list[str] | None, config: Path | None) -> ServiceConfig:
    if config is not None:
        if source is not None:
            raise ConfigError("both SRC and --config are given; the file names the streams, leave SRC and DST out")
        return read_settings(config)
    if source is None or not destinations:
        raise ConfigError("a stream needs SRC and DST, such as rtsp://camera/live rtsp://server/restored; or --config")
    targets = tuple(address(destination, "DST") for destination in destinations)
    spec = StreamSpec("stream", address(source, "SRC"), targets, StreamConfig())
    spec.check()
    return ServiceConfig(streams=(spec,))


def _tell(service: Service, report: Path | None, *, quiet: bool) -> None:
    statuses = service.statuses()
    problems = {name: redact(problem.message) for name, problem in service.problems.items()}
    if report:
        check_report(report)  # a recording may have come to be called so
        replace_text(report, to_json(StreamsReport(tuple(statuses), problems, installed_versions())))
    if not quiet:
        for status in statuses:
            say(summary(status))
    if problems:
        if len(statuses) > 1:
            names = ", ".join(sorted(problems))
            raise VidrestoreError(f"{len(problems)} of {len(statuses)} streams failed ({names}); the log says why")
        problem = next(iter(service.problems.values()))
        raise type(problem)(redact(problem.message))


def summary(status: StreamStatus) -> str:
    """Describe a stream in one line."""
    quantiles = [status.latency.quantile(share) for share in (0.5, 0.95)]
    text = " / ".join("-" if value is None else f"{1000 * value:.0f}" for value in quantiles)
    return (
        f"{status.name}: {status.state}, {status.frames_in} frames in, {status.frames_out} out, "
        f"{sum(status.dropped.values())} dropped, {status.sink_counts.held} held, {status.faces} faces, "
        f"{status.source_counts.failures} source failures, latency p50 / p95 {text} ms"
        f"{', certificates not checked' * bool(status.warnings)}"
    )


@contextmanager
def _shown(service: Service, *, drawn: bool) -> Iterator[None]:
    """Show a table that redraws itself where somebody watches, else a line for each stream now and then."""
    ended = threading.Event()

    def redraw() -> None:
        with Live(console=err, auto_refresh=False, transient=True) as live:
            while not ended.wait(_REDRAW_SECONDS):
                live.update(_table(service.statuses()), refresh=True)

    def sum_up() -> None:
        while not ended.wait(_SUMMARY_SECONDS):
            for status in service.statuses():
                LOG.info("%s", summary(status), extra={"stream": status.name})

    thread = threading.Thread(target=redraw if drawn else sum_up, name="display", daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()


def _table(statuses: Sequence[StreamStatus]) -> Table:
    table = Table(box=None, padding=(0, 1, 0, 0))
    for name in ("stream", "state", "in", "out", "p50 ms", "p95 ms", "dropped", "held", "quality"):
        table.add_column(name)
    for status in statuses:
        latency = [status.latency_now.get(name) for name in ("p50", "p95")]
        times = ["-" if value is None else f"{1000 * value:.0f}" for value in latency]
        dropped = str(sum(status.dropped.values()))
        rates = [f"{status.rate_in:.1f}", f"{status.rate_out:.1f}"]
        held = str(status.sink_counts.held)
        cells = (status.name, status.state, *rates, *times, dropped, held, status.quality)
        table.add_row(*map(cell, cells))
    warnings = [f"{status.name}: {warning}" for status in statuses for warning in status.warnings]
    table.caption = Text("\n".join(warnings), style="yellow") if warnings else None
    table.caption_justify = "left"
    return table
