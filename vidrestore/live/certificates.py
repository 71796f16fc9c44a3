"""TLS certificates: the trusted authorities, and the reason why a server's certificate is not trusted."""

import os
import socket
import ssl
from contextlib import suppress
from functools import cache
from pathlib import Path

import certifi

_SYSTEM = ("/etc/ssl/certs/ca-certificates.crt", "/etc/pki/tls/certs/ca-bundle.crt", "/etc/ssl/ca-bundle.pem")
"""Files in which Debian, Fedora and openSUSE keep the system's authorities."""
_PROBE_SECONDS = 3.0
TLS_SCHEMES = frozenset({"https", "rtsps", "rtmps"})


def trusted_file(chosen: str = "") -> str:
    """Return the file of trusted authorities, PEM: the chosen one, SSL_CERT_FILE's, the system's, or that of `certifi`.

    FFmpeg always gets it: the TLS library in its binary looks where another system than this may keep them.
    """
    return chosen or os.environ.get("SSL_CERT_FILE") or _machine_file()


def tls_options(*, verify: bool, ca_file: str = "") -> dict[str, str]:
    """Return FFmpeg's options for TLS, which check the certificate and the name of the server, or do not."""
    return {"tls_verify": "1", "ca_file": trusted_file(ca_file)} if verify else {"tls_verify": "0"}


def certificate_problem(host: str, port: int, ca_file: str = "") -> str | None:
    """Return why a server's certificate is not trusted, and whose it is; None if it is trusted, or nobody answers.

    FFmpeg only reports "Input/output error". The server is asked again here for the reason; nothing is sent.
    """
    try:
        context = ssl.create_default_context(cafile=trusted_file(ca_file))
    except OSError as error:
        return f"the certificates in {trusted_file(ca_file)} cannot be read: {error.strerror or error}"
    try:
        with (
            socket.create_connection((host, port), timeout=_PROBE_SECONDS) as line,
            context.wrap_socket(line, server_hostname=host),
        ):
            return None
    except ssl.SSLCertVerificationError as error:
        return f"{error.verify_message.rstrip('.')}{_whose(host, port)}"
    except (OSError, ValueError):
        return None


def distrust(host: str, why: str) -> str:
    """Say what is wrong with the certificate of a host and what to do, up to the name of the option."""
    return f"the certificate of {host} is not trusted: {why}; give its authority, a PEM file, as"


@cache
def _machine_file() -> str:
    default = ssl.get_default_verify_paths().cafile
    return next((file for file in (default, *_SYSTEM) if file and Path(file).is_file()), certifi.where())


def _whose(host: str, port: int) -> str:
    """Say for whom a certificate that is not trusted was issued, and by whom."""
    with suppress(OSError, ValueError):
        pem = ssl.get_server_certificate((host, port), timeout=_PROBE_SECONDS)
        context = ssl.create_default_context(cadata=pem)  # trusts this one alone, so that Python reads it
        context.check_hostname = False
        context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
        with (
            socket.create_connection((host, port), timeout=_PROBE_SECONDS) as line,
            context.wrap_socket(line) as session,
        ):
            found = session.getpeercert() or {}
        names = [str(pair[1]) for pair in found.get("subjectAltName", ())] or [_common_name(found.get("subject", ()))]
        return f" (it is for {', '.join(names[:4])}, made by {_common_name(found.get('issuer', ()))})"
    return ""


def _common_name(name: object) -> str:
    pairs = [pair for part in name for pair in part] if isinstance(name, tuple) else []
    return next((str(value) for key, value in pairs if key == "commonName"), "nobody who is named")
