"""A private Ray on this host.

Its sockets and logs lie in a private folder, its ports are on the loopback interface, every connection must show a
random token that only its processes have in their environment, and its workers import nothing from the user's current
folder.
"""

import contextlib
import logging
import os
import secrets
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import ray
from ray import _raylet
from ray._private import ray_constants

from vidrestore.errors import WorkerError

QUIETLY: dict[str, Any] = {"log_to_driver": False, "logging_level": logging.ERROR}
"""Options of `ray.init` for a command whose output is for people."""

_ray: Any = ray
_core: Any = _raylet
_constants: Any = ray_constants
_LONGEST_SOCKET = 107
"""Largest length in bytes of a Unix socket's path on Linux."""
_BELOW = len("/vidrestore-12345678/ray/session_2026-01-01_00-00-00_000000_4194304/sockets/plasma_store")
_FILES = (
    "AWS_CA_BUNDLE",
    "AWS_CONFIG_FILE",
    "AWS_SHARED_CREDENTIALS_FILE",
    "CURL_CA_BUNDLE",
    "GOOGLE_APPLICATION_CREDENTIALS",
    "REQUESTS_CA_BUNDLE",
    "SSL_CERT_DIR",
    "SSL_CERT_FILE",
    "TMPDIR",
    "VIDRESTORE_CACHE",
)
"""Variables that name files: workers, which run in another folder, need absolute paths."""
_REMOVALS = 5
"""Attempts to remove the folder: Ray's processes still write to it for a moment after they are said to have ended."""


@contextmanager
def own_ray(**options: Any) -> Iterator[None]:  # noqa: ANN401  of ray.init
    """Run Ray on this host for as long as the context lasts; the process must not be connected to any.

    The current folder of the whole process changes while Ray starts, for Ray hands it to the workers as the first place
    to import from.

    Args:
        options: options of `ray.init`.

    Raises:
        WorkerError: No folder for temporary files has a path short enough for sockets.
    """
    with contextlib.ExitStack() as stack:
        folder = stack.enter_context(_private_folder())
        stack.enter_context(_environment(_absolute(os.environ) | {"RAY_USAGE_STATS_ENABLED": "0"}))
        stack.enter_context(_token_of_its_own())
        stack.callback(_ray.shutdown)
        # Ray opens its own folder to everybody; the one above stays ours.
        empty, sessions = folder / "empty", folder / "ray"
        empty.mkdir()
        with contextlib.chdir(empty), _loopback_only():
            # "local": with no address Ray would join any cluster that it finds on this host.
            _ray.init(address="local", include_dashboard=False, _temp_dir=str(sessions), **QUIETLY, **options)
        yield


@contextmanager
def _private_folder() -> Iterator[Path]:
    wanted = os.environ.get("RAY_TMPDIR") or tempfile.gettempdir()
    for place in (os.path.abspath(wanted), "/tmp"):  # noqa: PTH100, S108  links stay; mkdtemp makes it private
        if len(os.fsencode(place)) + _BELOW > _LONGEST_SOCKET:
            continue
        folder = Path(tempfile.mkdtemp(prefix="vidrestore-", dir=place))
        try:
            yield folder
        finally:
            for _ in range(_REMOVALS):
                shutil.rmtree(folder, ignore_errors=True)
                if not folder.exists():
                    break
        return
    raise WorkerError(
        f"Ray cannot keep its sockets below {wanted}: the path is too long; set RAY_TMPDIR to a folder with a path of "
        f"at most {_LONGEST_SOCKET - _BELOW} bytes"
    )


def _absolute(environment: Mapping[str, str]) -> dict[str, str]:
    return {name: os.path.abspath(environment[name]) for name in _FILES if environment.get(name)}  # noqa: PTH100  links stay


@contextmanager
def _environment(values: Mapping[str, str]) -> Iterator[None]:
    before = {name: os.environ.get(name) for name in values}
    os.environ.update(values)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


@contextmanager
def _token_of_its_own() -> Iterator[None]:
    """Set a token for Ray, which reads mode and token once per process: its copy is dropped before and after."""
    token = {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": secrets.token_hex(32)}
    try:
        with _environment(token):
            _read_token_again()
            yield
    finally:
        _read_token_again()


def _read_token_again() -> None:
    _core.Config.initialize(
        ""
    )  # first the mode: a thread of Ray's that still sends must not miss a token that it needs
    _core.AuthenticationTokenLoader.instance().reset_cache()


@contextmanager
def _loopback_only() -> Iterator[None]:
    """Listen on 127.0.0.1 alone, as Ray does by itself on macOS and Windows, where this constant is off."""
    before = _constants.ENABLE_RAY_CLUSTER
    _constants.ENABLE_RAY_CLUSTER = False
    try:
        yield
    finally:
        _constants.ENABLE_RAY_CLUSTER = before
