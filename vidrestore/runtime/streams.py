"""Runners of live streams, each with its own source, engine and outputs, all on common face workers."""

import threading
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from types import TracebackType
from typing import Protocol, Self

from vidrestore.errors import RestorationError, VidrestoreError
from vidrestore.inference.live_inference import LocalInference, live_models
from vidrestore.live.addresses import parse_source, parse_target
from vidrestore.live.config import StreamConfig
from vidrestore.live.fallback import GuardCounts
from vidrestore.live.status import StreamStatus
from vidrestore.live.stream import LiveStream, warnings
from vidrestore.redaction import redact
from vidrestore.restoration.config import RestoreConfig

OnEvent = Callable[[str, str], None]
"""Called with the name of a stream and one line about it, without secrets."""


@dataclass(frozen=True, slots=True)
class StreamSpec:
    """One stream to run."""

    name: str
    source: str = field(repr=False)
    targets: tuple[str, ...] = field(repr=False)
    config: StreamConfig = field(default_factory=StreamConfig)

    def check(self) -> None:
        """Refuse invalid addresses.

        Raises:
            ConfigError: an address is invalid.
        """
        parse_source(self.source)
        for target in self.targets:
            parse_target(target)

    def warnings(self) -> tuple[str, ...]:
        """Return warnings about settings that are less safe than the defaults."""
        return warnings(parse_source(self.source), [parse_target(target) for target in self.targets], self.config)

    def with_absolute_paths(self) -> Self:
        """Return the same stream with absolute paths, for a process in another folder.

        Raises:
            ConfigError: an address is invalid.
        """
        targets = tuple(parse_target(target).url for target in self.targets)
        return replace(self, source=parse_source(self.source).url, targets=targets)


class RunningStream(Protocol):
    """A stream under way."""

    @property
    def problem(self) -> VidrestoreError | None:
        """Error that ended the stream, if any."""
        ...

    def running(self) -> bool:
        """Return whether the stream is still running."""
        ...

    def status(self) -> StreamStatus | None:
        """Return the status; None where the stream does not answer at present."""
        ...

    def preview(self) -> bytes | None:
        """Return the latest frame before and after, as JPEG."""
        ...

    def stop(self) -> None:
        """Ask it to end."""
        ...

    def join(self, timeout: float) -> bool:
        """Wait until it has ended; whether it has."""
        ...

    def kill(self) -> None:
        """Free what is left of the stream, which has ended or did not end in time."""
        ...


class StreamRunner(Protocol):
    """A place that runs streams."""

    def start(self, spec: StreamSpec) -> RunningStream:
        """Begin a stream."""
        ...

    def batches(self) -> dict[str, tuple[int, int]]:
        """Return calls of each network of the face workers so far, and items in them."""
        ...


class LocalStream:
    """A stream in threads of this process."""

    def __init__(self, spec: StreamSpec, faces: LocalInference, on_event: OnEvent) -> None:
        counts = GuardCounts()
        self.problem: VidrestoreError | None = None
        self._stream = LiveStream(
            spec.name,
            parse_source(spec.source),
            [parse_target(target) for target in spec.targets],
            spec.config,
            live_models(faces.submit, faces.description, spec.config, counts),
            workers=counts,
            on_event=lambda message: on_event(spec.name, message),
        )
        self._thread = threading.Thread(target=self._run, name=spec.name, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        try:
            self._stream.run()
        except VidrestoreError as error:
            self.problem = error
        except Exception as error:  # noqa: BLE001  a thread must not die in silence
            reason = redact(f"{type(error).__name__}: {error}")
            self.problem = RestorationError(f"the stream failed: {reason}; please report this")

    def running(self) -> bool:
        """Return whether the stream is still running."""
        return self._thread.is_alive()

    def status(self) -> StreamStatus:
        """Return the status."""
        return self._stream.status()

    def preview(self) -> bytes | None:
        """Return the latest frame before and after, as JPEG."""
        return self._stream.preview()

    def stop(self) -> None:
        """Ask it to end."""
        self._stream.stop()

    def join(self, timeout: float) -> bool:
        """Wait until it has ended; whether it has."""
        self._thread.join(timeout)
        return not self._thread.is_alive()

    def kill(self) -> None:
        """Do nothing: threads cannot be killed."""


class LocalStreamRunner:
    """Runs streams in this process; use as a context manager.

    Args:
        config: options of the face worker that all streams share.
        on_event: called with every change of every stream.
    """

    def __init__(self, config: RestoreConfig, on_event: OnEvent) -> None:
        self._faces = LocalInference(config)
        self._on_event = on_event

    def __enter__(self) -> Self:
        self._faces.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._faces.__exit__(kind, error, trace)

    def start(self, spec: StreamSpec) -> LocalStream:
        """Begin a stream."""
        self._on_event(spec.name, f"faces are restored by {self._faces.description.model}")
        return LocalStream(spec, self._faces, self._on_event)

    def batches(self) -> dict[str, tuple[int, int]]:
        """Return calls of each network of the face worker so far, and items in them."""
        return self._faces.batches()
