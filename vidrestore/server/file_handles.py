"""Limits on the files and sockets of this process, and the share that the page must leave to the streams."""

import resource

_ENOUGH = 65536
_LARGEST_RESERVE = 256


def raise_file_limit() -> None:
    """Raise the soft limit on open files to the hard one; the usual 1024 dates from before `poll`."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = _ENOUGH if hard == resource.RLIM_INFINITY else min(_ENOUGH, hard)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


def highest_page_handle() -> int:
    """Return the highest file descriptor that a connection to the page may have.

    The kernel hands out the lowest number that is free: at this number, all below are in use, and what is left up to
    the limit is the reserve of sources and outputs.
    """
    return _file_limit() - min(_LARGEST_RESERVE, _file_limit() // 4)


def page_share(wanted: int) -> int:
    """Return how many of the wanted connections the page may hold: an eighth of the limit on open files at most."""
    return max(1, min(wanted, _file_limit() // 8))


def _file_limit() -> int:
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return _ENOUGH if soft == resource.RLIM_INFINITY else soft
