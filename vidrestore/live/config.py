"""Options of live streams: source, quality, encoding, outputs."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field

from vidrestore.config import OptionError, Options
from vidrestore.faces.config import DetectorConfig, TrackerConfig
from vidrestore.media.config import EncodeConfig
from vidrestore.redaction import redact, remember
from vidrestore.restoration.config import DetectionConfig, RestoreConfig, RestorerConfig

Mode = Literal["realtime", "complete"]
Retry = Literal["always", "transient", "never"]

_SECRET_OPTIONS = frozenset({"headers", "cookies", "http_proxy", "post_data", "key"})
_TLS_OPTIONS = frozenset({"tls_verify", "verify", "verifyhost", "ca_file", "cafile"})
_CA_FILE = "PEM file of the certificate authorities to trust; empty: those of SSL_CERT_FILE or of the system."


@dataclass(frozen=True, slots=True)
class BackoffConfig(Options):
    """Delays before trying again: each grows by a factor, with jitter so that many do not come at once."""

    first_seconds: Annotated[float, Field(gt=0, description="Delay before the first retry.")] = 0.25
    max_seconds: Annotated[float, Field(gt=0, description="Longest delay.")] = 10.0
    factor: Annotated[float, Field(ge=1, description="Growth of the delay from one retry to the next.")] = 1.7
    jitter: Annotated[float, Field(ge=0, lt=1, description="Random variation of a delay, as a fraction of it.")] = 0.3

    def check_together(self) -> None:
        """Check that delays grow."""
        if self.first_seconds > self.max_seconds:
            self.refuse("first_seconds", f"use max_seconds ({self.max_seconds}) or less")


@dataclass(frozen=True, slots=True)
class SourceConfig(Options):
    """Options of reading a source, and of its silence."""

    transport: Annotated[
        Literal["tcp", "udp"], Field(description="Transport of RTSP; UDP loses packets where TCP waits.")
    ] = "tcp"
    open_seconds: Annotated[float, Field(gt=0, description="Time after which a connection attempt is given up.")] = 10.0
    silence_seconds: Annotated[
        float, Field(gt=0, description="Time without a frame after which the source is reconnected.")
    ] = 4.0
    retry: Annotated[
        Retry,
        Field(
            description="When to reconnect. transient: always, unless the very first attempt fails for good (wrong "
            "password, wrong path, no video); always: even then; never: any failure ends the stream."
        ),
    ] = "transient"
    audio: Annotated[bool, Field(description="Pass the audio through.")] = True
    loop: Annotated[bool, Field(description="Start a file again at its end.")] = False
    backoff: BackoffConfig = field(default_factory=BackoffConfig)
    verify: Annotated[
        bool,
        Field(
            description="Check the certificate and name of a TLS server (https, rtsps, rtmps). Without, anybody in "
            "between gets the password and chooses the video."
        ),
    ] = True
    ca_file: Annotated[str, Field(description=_CA_FILE)] = ""
    private_addresses: Annotated[
        bool,
        Field(
            description="Allow an HTTP server on the internet to name addresses in private networks and on this "
            "host (HLS segments, redirects), and one in a private network addresses on this host."
        ),
    ] = False
    options: Annotated[
        tuple[str, ...], Field(description='Further options of FFmpeg\'s demuxer and protocol, each "key=value".')
    ] = ()

    def check_together(self) -> None:
        """Check that FFmpeg's options are pairs and do not undo the checks of TLS, and remember their secrets."""
        if wrong := [option for option in self.options if "=" not in option]:
            self._refuse_option(f"has {redact(wrong[0])!r}; write key=value")
        _check_ca_file(self, self.ca_file)
        for name, value in (option.split("=", 1) for option in self.options):
            if name.strip().lower() in _TLS_OPTIONS and (name, value) != ("tls_verify", "1"):
                self._refuse_option(f"has {name}; say verify = false, or ca_file, in its place")
            if name in _SECRET_OPTIONS:
                remember(value, *_secrets_in(value))

    def _refuse_option(self, complaint: str) -> None:
        raise OptionError("options", f" {complaint}")


@dataclass(frozen=True, slots=True)
class OutputConfig(Options):
    """Options of writing outputs."""

    transport: Annotated[Literal["tcp", "udp"], Field(description="Transport of RTSP.")] = "tcp"
    verify: Annotated[
        bool,
        Field(
            description="Check the certificate and name of a TLS server (rtsps, rtmps). Without, anybody in between "
            "gets the password or stream key, and the video."
        ),
    ] = True
    ca_file: Annotated[str, Field(description=_CA_FILE)] = ""
    record_seconds: Annotated[float, Field(gt=0, description="Length of each file of a recording.")] = 300.0
    queue_packets: Annotated[
        int,
        Field(
            ge=1,
            description="Maximum number of packets that wait for an output; beyond, all that wait are dropped up to "
            "the next keyframe.",
        ),
    ] = 256
    stall_seconds: Annotated[
        float, Field(gt=0, description="Time after which an output that takes nothing is reconnected.")
    ] = 4.0
    backoff: BackoffConfig = field(default_factory=BackoffConfig)

    def check_together(self) -> None:
        """Check that the file of certificates exists."""
        _check_ca_file(self, self.ca_file)


def _secrets_in(lines: str) -> Iterator[str]:
    """Yield the values of headers ("Authorization: Bearer SECRET") and of cookies ("name=SECRET; path=/")."""
    for line in lines.splitlines():
        value = line.partition(":")[2].strip() or line.partition(";")[0].partition("=")[2].strip()
        yield value
        yield value.rpartition(" ")[2]


def _check_ca_file(config: Options, path: str) -> None:
    if path and not Path(path).is_file():
        config.refuse("ca_file", "no such file; name a PEM file of certificates")


@dataclass(frozen=True, slots=True)
class SinkConfig(Options):
    """Options of encoding restored frames, and of what is shown when there are none."""

    encode: EncodeConfig = field(
        default_factory=lambda: EncodeConfig(preset="veryfast", crf=23, pixel_format="yuv420p")
    )
    keyframe_seconds: Annotated[float, Field(gt=0, description="Time between two keyframes.")] = 2.0
    hold_after_seconds: Annotated[
        float, Field(gt=0, description="Time without a frame after which the last one is repeated, at hold_rate.")
    ] = 0.5
    hold_rate: Annotated[
        float, Field(gt=0, description="Frames per second while the source is away, at most its own rate.")
    ] = 10.0
    no_signal_after_seconds: Annotated[
        float,
        Field(
            ge=0,
            description="Time without a frame after which the last frame is dimmed and says for how long; 0: never.",
        ),
    ] = 5.0


@dataclass(frozen=True, slots=True)
class QualityConfig(Options):
    """Options of when a stream lowers its quality level, and when it raises it again."""

    enabled: Annotated[bool, Field(description="Lower the quality under load instead of dropping frames alone.")] = True
    max_dropped: Annotated[
        float,
        Field(
            ge=0,
            lt=1,
            description="Fraction of a second's frames that may be dropped; more in two seconds in a row lowers the "
            "quality level.",
        ),
    ] = 0.1
    idle: Annotated[
        float, Field(gt=0, lt=1, description="Load of the engine below which a better quality level may be tried.")
    ] = 0.75
    up_after_seconds: Annotated[
        float,
        Field(
            gt=0,
            description="Time of such low load before that; doubled, up to max_up_after_seconds, each time the better "
            "level proves too much.",
        ),
    ] = 5.0
    max_up_after_seconds: Annotated[
        float, Field(gt=0, description="Longest such time, and the first where the network is unlikely to keep up.")
    ] = 120.0


def live_restore_config() -> RestoreConfig:
    """Return the pipeline's options for a live stream: small batches, no delay, on a CPU the light network."""
    return RestoreConfig(
        detection=DetectionConfig(search_seconds=0, close_looks=4),
        detector=DetectorConfig(batch_size_gpu=2),
        tracker=TrackerConfig(coast_seconds=0.3),
        restorer=RestorerConfig(model="auto", batch_size_gpu=2),
        lag=0,
    )


@dataclass(frozen=True, slots=True)
class StreamConfig(Options):
    """Everything about one stream but its addresses."""

    restore: RestoreConfig = field(default_factory=live_restore_config)
    source: SourceConfig = field(default_factory=SourceConfig)
    sink: SinkConfig = field(default_factory=SinkConfig)
    output: OutputConfig = field(default_factory=OutputConfig)
    quality: QualityConfig = field(default_factory=QualityConfig)
    mode: Annotated[
        Mode, Field(description="realtime drops frames that cannot be restored in time; complete lets the source wait.")
    ] = "realtime"
    waiting_frames: Annotated[
        int, Field(ge=1, description="Maximum number of frames between the source and the engine.")
    ] = 4
    max_wait_seconds: Annotated[
        float, Field(gt=0, description="Age at which a waiting frame gives way to a newer one.")
    ] = 0.12
    overlap: Annotated[
        bool | None,
        Field(description="Detect and crop in one thread while another restores and blends; none: with four cores."),
    ] = None
    worker_timeout_seconds: Annotated[
        float, Field(gt=0, description="Time that a worker may take for a batch before the frame goes on unrestored.")
    ] = 1.0
    drain_seconds: Annotated[float, Field(ge=0, description="Time for each output to finish at the end.")] = 10.0

    def check_together(self) -> None:
        """Check that a live stream says how far it may lag."""
        if self.restore.style.frames:
            self.refuse("restore.style.frames", "live streams do not average style codes; use 0")
        if self.restore.lag is None:
            self.refuse("restore.lag", "a live stream must say how many frames it may hold back; use 0 to 8")
