"""The state of all streams as metrics of Prometheus."""

from collections.abc import Callable, Iterable, Iterator
from typing import Any

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector

from vidrestore.live.output import OutputCounts
from vidrestore.live.status import StreamStatus
from vidrestore.live.timings import BOUNDS, Histogram
from vidrestore.printable import printable
from vidrestore.server.service import Service
from vidrestore.server.web_limits import REASONS, WebCounts

_Row = tuple[str, str, Callable[[StreamStatus], Any]]
"""Name of a family, its meaning, and its value for a stream."""


class StreamCollector(Collector):
    """Collects the latest status of each stream; asks no stream itself."""

    def __init__(self, service: Service, web: WebCounts) -> None:
        self._service = service
        self._web = web

    def collect(self) -> Iterator[Metric]:
        """Yield all families, with a sample for each stream."""
        statuses = self._service.statuses()
        yield from _gauges(statuses)
        yield from _workers(self._service.workers())
        yield from _counters(statuses, self._service)
        yield from _outputs(statuses)
        yield from _histograms(statuses)
        yield from _of_the_web_server(self._web)


def metrics_text(service: Service, web: WebCounts | None = None) -> bytes:
    """Return the answer to a scrape."""
    registry = CollectorRegistry(auto_describe=False)
    registry.register(StreamCollector(service, web or WebCounts()))
    return generate_latest(registry)


def _by_stream(
    kind: type[GaugeMetricFamily] | type[CounterMetricFamily], rows: Iterable[_Row], statuses: list[StreamStatus]
) -> Iterator[Metric]:
    for name, what, take in rows:
        family = kind(f"vidrestore_{name}", what, labels=["stream"])
        for status in statuses:
            family.add_metric([printable(status.name)], float(take(status)))
        yield family


def _gauges(statuses: list[StreamStatus]) -> Iterator[Metric]:
    tables: tuple[_Row, ...] = (
        ("up", "1 while frames come from the source", lambda status: status.state == "live"),
        ("fps_in", "Frames per second from the source", lambda status: status.rate_in),
        ("fps_out", "Frames per second to the outputs", lambda status: status.rate_out),
        ("quality_level", "Quality level, 0 is the best", lambda status: status.quality_level),
        ("rung", "Former name of quality_level", lambda status: status.quality_level),
        ("frames_waiting", "Frames between source and encoder", lambda status: status.waiting),
        (
            "longest_gap_seconds",
            "Longest time without a frame",
            lambda status: status.sink_counts.longest_gap_seconds,
        ),
    )
    yield from _by_stream(GaugeMetricFamily, tables, statuses)
    queues = GaugeMetricFamily("vidrestore_queue_depth", "Items that wait", labels=["stream", "queue"])
    for status in statuses:
        for queue, depth in status.queues.items():
            queues.add_metric([printable(status.name), queue], depth)
    yield queues


def _counters(statuses: list[StreamStatus], service: Service) -> Iterator[Metric]:
    tables: tuple[_Row, ...] = (
        ("frames_in", "Frames from the source", lambda status: status.frames_in),
        ("frames_out", "Frames of the source that were encoded", lambda status: status.frames_out),
        ("frames_held", "Frames made to bridge gaps", lambda status: status.sink_counts.held),
        ("gaps", "Times that frames had to be made", lambda status: status.sink_counts.gaps),
        ("faces", "Faces restored", lambda status: status.faces),
        ("faces_propagated", "Faces propagated without inference", lambda status: status.faces_propagated),
        ("faces_carried", "Former name of faces_propagated", lambda status: status.faces_propagated),
        ("source_sessions", "Times the source was opened", lambda status: status.source_counts.sessions),
        ("source_failures", "Times the source failed", lambda status: status.source_counts.failures),
        ("source_outage_seconds", "Time without a source", lambda status: status.source_counts.outage_seconds),
        ("source_clock_jumps", "Jumps of the source's clock", lambda status: status.source_counts.clock_jumps),
        (
            "packets_undecodable",
            "Packets refused by the decoder",
            lambda status: status.source_counts.packets_undecodable,
        ),
        ("frames_corrupt", "Frames decoded with damage", lambda status: status.source_counts.frames_corrupt),
        ("worker_failures", "Inference requests without a response", lambda status: status.worker_failures),
        ("answers_replaced", "Faces left unrestored for that reason", lambda status: status.answers_replaced),
        ("engine_failures", "Engine restarts", lambda status: status.engine_failures),
        ("steps_down", "Times the quality level got worse", lambda status: status.steps_down),
        ("steps_up", "Times the quality level got better", lambda status: status.steps_up),
        ("restarts", "Times that the stream's process died", lambda status: service.restarts(status.name)),
    )
    yield from _by_stream(CounterMetricFamily, tables, statuses)
    dropped = CounterMetricFamily("vidrestore_frames_dropped", "Frames not encoded", labels=["stream", "reason"])
    for status in statuses:
        for reason, count in status.dropped.items():
            dropped.add_metric([printable(status.name), reason], count)
    yield dropped


def _workers(workers: dict[str, tuple[int, int]]) -> Iterator[Metric]:
    """Yield calls and items of the face workers; their quotient is the mean batch."""
    calls = CounterMetricFamily("vidrestore_worker_calls", "Batches that face workers computed", labels=["work"])
    items = CounterMetricFamily("vidrestore_worker_items", "Items in these batches", labels=["work"])
    for work, (called, done) in workers.items():
        calls.add_metric([work], called)
        items.add_metric([work], done)
    yield from (calls, items)


def _outputs(statuses: list[StreamStatus]) -> Iterator[Metric]:
    tables: tuple[tuple[str, str, Callable[[OutputCounts], Any]], ...] = (
        ("opened", "Times an output was opened", lambda output: output.opened),
        ("failures", "Times an output failed", lambda output: output.failures),
        ("packets", "Packets written", lambda output: output.packets),
        ("bytes", "Bytes written", lambda output: output.bytes),
        ("packets_dropped", "Packets that an output did not take", lambda output: output.packets_dropped),
    )
    for name, what, take in tables:
        family = CounterMetricFamily(f"vidrestore_output_{name}", what, labels=["stream", "output"])
        for status in statuses:
            for output, counts in status.outputs.items():
                family.add_metric([printable(status.name), printable(output)], float(take(counts)))
        yield family


def _histograms(statuses: list[StreamStatus]) -> Iterator[Metric]:
    latency = HistogramMetricFamily(
        "vidrestore_latency_seconds", "From a source's frame to its packet at the first output", labels=["stream"]
    )
    stages = HistogramMetricFamily("vidrestore_stage_seconds", "Work on a frame", labels=["stream", "stage"])
    for status in statuses:
        latency.add_metric([printable(status.name)], _buckets(status.latency), status.latency.total)
        for stage, histogram in status.stages.items():
            stages.add_metric([printable(status.name), stage], _buckets(histogram), histogram.total)
    yield from (latency, stages)


def _of_the_web_server(web: WebCounts) -> Iterator[Metric]:
    connections = GaugeMetricFamily("vidrestore_web_connections", "Open connections to the web server")
    connections.add_metric([], web.open)
    refused = CounterMetricFamily(
        "vidrestore_web_refused", "Connections and requests that the web server refused", labels=["reason"]
    )
    for reason in REASONS:
        refused.add_metric([reason], web.refused[reason])
    yield from (connections, refused)


def _buckets(histogram: Histogram) -> list[tuple[str, float]]:
    total, buckets = 0, []
    for bound, count in zip((*map(str, BOUNDS), "+Inf"), histogram.counts, strict=True):
        total += count
        buckets.append((bound, float(total)))
    return buckets
