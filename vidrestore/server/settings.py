"""The file that defines the streams: `streams.toml`."""

import os
import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

from vidrestore.config import update
from vidrestore.errors import ConfigError
from vidrestore.live.addresses import absolute
from vidrestore.live.config import StreamConfig
from vidrestore.redaction import redact, remember
from vidrestore.runtime.config import RayConfig
from vidrestore.runtime.streams import StreamSpec
from vidrestore.server.web_config import WebConfig

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}")
_VARIABLE = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_]*)\}")
_HOST = re.compile(r"[^:/]+://(?:[^/]*@)?(?P<host>[^/?#]*)")


@dataclass(frozen=True, slots=True)
class ServiceConfig:
    """The streams, where they run, and how they are monitored."""

    streams: tuple[StreamSpec, ...] = ()
    runtime: Literal["ray", "local"] = "local"
    ray: RayConfig = field(default_factory=RayConfig)
    web: WebConfig = field(default_factory=WebConfig)

    def __post_init__(self) -> None:
        names = [spec.name for spec in self.streams]
        if double := sorted({name for name in names if names.count(name) > 1}):
            raise ConfigError(f"two streams are called {double[0]!r}; names must differ")
        models = {spec.config.restore.restorer for spec in self.streams}
        detectors = {spec.config.restore.detector for spec in self.streams}
        if len(models) > 1 or len(detectors) > 1:
            raise ConfigError(
                "streams want different restorers or detectors, but all share one set of face workers; put `restorer` "
                "and `detector` under [defaults.restore]"
            )


def read_settings(path: Path) -> ServiceConfig:
    """Read a file of streams.

    `[streams.NAME]` has `source`, `to` (one destination or a list) and options of `StreamConfig`; `[defaults]` has
    options for all; `runtime`, `[ray]` and `[web]` are the service's. `${NAME}` in a source or destination is taken
    from the environment, so that passwords need not be in the file.

    Raises:
        ConfigError: the file is missing, is not TOML, or has contents that cannot be meant.
    """
    try:
        values = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigError(f"cannot read the streams in {path}: {error.strerror}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path} is not valid TOML: {error}") from error
    defaults = update(StreamConfig(), _table(values.pop("defaults", {}), "defaults"), where="defaults")
    streams = _table(values.pop("streams", {}), "streams")
    if not streams:
        raise ConfigError(f"{path} names no stream; add a table [streams.NAME] with source and to")
    specs = tuple(_spec(name, _table(table, f"streams.{name}"), defaults) for name, table in streams.items())
    return update(replace(ServiceConfig(), streams=specs), values)


def _table(value: object, where: str) -> dict[str, Any]:
    if not isinstance(value, Mapping):
        raise ConfigError(f"{where} is {type(value).__name__}; wanted a table, [{where}]")
    return dict(value)


def _spec(name: str, table: dict[str, Any], defaults: StreamConfig) -> StreamSpec:
    if not _NAME.fullmatch(name):
        raise ConfigError(f"a stream is called {name!r}; use letters, digits, '.', '-' and '_', at most 64")
    source, to = table.pop("source", None), table.pop("to", None)
    targets = [to] if isinstance(to, str) else to
    sound = isinstance(targets, list) and targets and all(isinstance(target, str) for target in targets)
    if not isinstance(source, str) or not sound:
        raise ConfigError(f'streams.{name} needs source = "..." and to = "..." (or a list of them)')
    assert isinstance(targets, list), "as was just checked"  # noqa: S101
    config = update(defaults, table, where=f"streams.{name}")
    where = f"streams.{name}"
    spec = StreamSpec(name, address(source, where), tuple(address(target, where) for target in targets), config)
    try:
        spec.check()
    except ConfigError as error:
        raise ConfigError(f"streams.{name}: {error.message}") from error
    return spec


def address(text: str, where: str) -> str:
    """Return an address with `${NAME}` from the environment, a secret from then on; a file by its absolute name.

    Raises:
        ConfigError: there is no such variable; it begins with `where`.
    """
    values: list[str] = []

    def value(match: re.Match[str]) -> str:
        found = os.environ.get(match[1])
        if found is None:
            raise ConfigError(f"{where}: {redact(text)} wants the environment variable {match[1]}, which is not set")
        values.append(found)
        return found

    filled = _VARIABLE.sub(value, text)
    host = _HOST.match(filled)
    remember(*(one for one in values if "://" not in one and (host is None or one not in host["host"])))
    return absolute(filled)
