"""Errors of sources, in one line each, by whether another attempt can help."""

import errno

import av

from vidrestore.errors import InputError
from vidrestore.live.addresses import Source, endpoint
from vidrestore.live.certificates import TLS_SCHEMES, certificate_problem, distrust
from vidrestore.redaction import redact

_NO_VERIFY = "to show the password to whoever answers there"


class SourceLost(InputError):  # noqa: N818  a state of the source, not a bug
    """A source that failed in a way that may pass: no network, a server that restarts."""


class SourceRefused(InputError):  # noqa: N818  as above
    """A source that will not be there next time either: wrong password, wrong path, nothing that can be decoded."""


_PERMANENT: tuple[tuple[tuple[type[Exception], ...], str], ...] = (
    (
        (av.error.HTTPUnauthorizedError, av.error.HTTPForbiddenError),
        "{source} refuses the user or the password; write them as {scheme}://USER:PASSWORD@HOST",
    ),
    ((av.error.HTTPNotFoundError,), "{source} is not there (404): the server is, but it has no such path"),
    ((av.error.HTTPBadRequestError, av.error.HTTPOtherClientError), "{source} refuses the request: {reason}"),
    ((av.error.ProtocolNotFoundError,), "{source} uses a protocol that this build of FFmpeg does not speak"),
)
_MAY_PASS: tuple[tuple[tuple[int, ...], str], ...] = (
    ((errno.ETIMEDOUT,), "{source} is silent: nothing came in time"),
    ((errno.ECONNREFUSED,), "{source}: the host refuses connections on this port; is the server running?"),
)


def untrusted(source: object, host: str, why: str) -> SourceRefused:
    """Return the error that the certificate of a source is not trusted, and what to do."""
    return SourceRefused(f"{source}: {distrust(host, why)} source.ca_file, or set source.verify = false {_NO_VERIFY}")


def problem(source: Source, error: Exception, *, ca_file: str | None = None) -> InputError:
    """Return the error for a failure to open or read a source.

    Args:
        source: the source that failed.
        error: as FFmpeg raised it.
        ca_file: the trusted authorities where certificates are checked, "" for those of the system; else None.
    """
    if isinstance(error, InputError):
        return error
    is_tls = source.url.partition("://")[0].lower() in TLS_SCHEMES
    if is_tls and ca_file is not None and getattr(error, "errno", None) == errno.EIO:
        host, port = endpoint(source.url) or ("", 0)
        if why := certificate_problem(host, port, ca_file):
            return untrusted(source, host, why)
    ours = not isinstance(error, av.FFmpegError | OSError | ValueError)
    reason = redact(getattr(error, "strerror", None) or (f"{type(error).__name__}: {error}" if ours else str(error)))
    values = {"source": source, "reason": reason, "scheme": source.url.partition("://")[0]}
    for kinds, words in _PERMANENT:
        if isinstance(error, kinds):
            return SourceRefused(words.format(**values))
    number = errno.ETIMEDOUT if isinstance(error, av.error.ExitError) else getattr(error, "errno", None)
    if isinstance(error, av.error.InvalidDataError):
        return SourceLost(f"{source} sends nothing that FFmpeg can read; is it a video stream?")
    words = next((words for numbers, words in _MAY_PASS if number in numbers), "{source}: {reason}")
    return SourceLost(words.format(**values))
