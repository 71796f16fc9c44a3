"""Streams as a program: run locally or on Ray, controlled by signals, monitored over HTTP."""

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext
from types import FrameType

from vidrestore.errors import ConfigError, Interrupted, VidrestoreError
from vidrestore.redaction import redact
from vidrestore.runtime.ray.streams import RayStreamRunner
from vidrestore.runtime.streams import LocalStreamRunner, StreamRunner
from vidrestore.server.logs import LOG, show_secret
from vidrestore.server.service import Service
from vidrestore.server.settings import ServiceConfig
from vidrestore.server.web_config import TOKEN_VARIABLE, WebConfig, random_token
from vidrestore.server.web_limits import raise_file_limit

Watch = Callable[[Service], AbstractContextManager[object]]


def serve(
    config: ServiceConfig, *, reread: Callable[[], ServiceConfig] | None = None, watch: Watch | None = None
) -> Service:
    """Run streams until they end or the process is asked to stop.

    SIGTERM and SIGINT end all streams and complete every output; a second one interrupts at once. SIGHUP reads the
    configuration again, where `reread` says how, and applies its streams; the rest needs a new start.

    Args:
        config: what to run.
        reread: returns the configuration, read again.
        watch: a context to hold while the service runs, such as a display.

    Returns:
        The service that ran; `statuses` and `problems` say how it went.

    Raises:
        ConfigError: a package for the web page is missing, or it would be open to more than it should.
        VidrestoreError: no stream could be begun.
    """
    if not config.streams:
        raise ConfigError("there is no stream to run; give SRC and DST, or --config STREAMS.toml")
    config.web.check()
    raise_file_limit()
    with ExitStack() as stack:
        place = stack.enter_context(_place(config))
        service = Service(place, config.streams)
        stack.enter_context(_signals(service, reread))
        stack.enter_context(_web(config.web, service))
        stack.enter_context(watch(service) if watch else nullcontext())
        service.run()
    return service


def _place(config: ServiceConfig) -> "AbstractContextManager[StreamRunner]":
    restore = config.streams[0].config.restore  # restorer and detector are the same in all
    if config.runtime == "local":
        return LocalStreamRunner(restore, _log_event)
    return RayStreamRunner(restore, config.ray, _log_event)


def _log_event(stream: str, message: str) -> None:
    LOG.info("%s", message, extra={"stream": stream})


@contextmanager
def _signals(service: Service, reread: Callable[[], ServiceConfig] | None) -> Iterator[None]:
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    stopped = False

    def stop(number: int, _: FrameType | None) -> None:
        nonlocal stopped
        if stopped:
            raise Interrupted(f"stopped by {signal.Signals(number).name} while completing the outputs")
        stopped = True
        LOG.info("%s: completing the outputs", signal.Signals(number).name)
        service.stop()

    def reload(_: int, __: FrameType | None) -> None:
        if reread is None:
            LOG.warning("SIGHUP: there is no file of streams to read again")
            return
        try:
            service.reload(reread().streams)
        except VidrestoreError as error:
            LOG.error("not reloaded, all goes on as it was: %s", redact(error.message))
        except Exception as error:  # noqa: BLE001  raised in here it would end every stream
            text = redact(f"{type(error).__name__}: {error}")
            LOG.error("not reloaded, all goes on as it was: %s", text)

    handlers = {signal.SIGINT: stop, signal.SIGTERM: stop, signal.SIGHUP: reload}
    before = {number: signal.signal(number, handler) for number, handler in handlers.items()}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextmanager
def _web(config: WebConfig, service: Service) -> Iterator[None]:
    endpoint = config.endpoint()
    if endpoint is None:
        yield
        return
    try:
        from vidrestore.server.web import WebServer, make_app  # noqa: PLC0415  an extra
    except ImportError as error:
        raise ConfigError(f"the web page needs {error.name}: pip install 'vidrestore[live]'") from error
    own = config.own_token()
    token = None if config.token == "none" else own or random_token()  # noqa: S105  a choice, no token
    app = make_app(service, token=token, names=config.names())
    with WebServer(app, *endpoint, connections=config.connections) as server:
        host = f"[{endpoint[0]}]" if ":" in endpoint[0] else endpoint[0]
        root = f"http://{host}:{server.port}/"
        LOG.info("%s shows the streams", root)
        if token is not None and own is None and not show_secret(f"open {root}?token={token}"):
            LOG.warning(
                "a random token guards %s and is not written here, where others may read it: set one in the "
                "environment variable %s; /health needs none",
                root,
                TOKEN_VARIABLE,
            )
        yield
