"""Cores that a measurement runs on."""

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path


def cores() -> list[int]:
    """List the cores that this process may use; threads of one physical core, and cores of one socket, are adjacent."""
    return sorted(os.sched_getaffinity(0), key=lambda core: (*_place(core), core))


@contextmanager
def pinned_to(chosen: Sequence[int]) -> Iterator[None]:
    """Restrict this thread, and all that it starts, to these cores."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, chosen)
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


def _place(core: int) -> tuple[int, int]:
    """Return socket and physical core; the same ones for all where the system does not report them."""
    folder = Path(f"/sys/devices/system/cpu/cpu{core}/topology")
    try:
        return int((folder / "physical_package_id").read_text()), int((folder / "core_id").read_text())
    except OSError:
        return 0, 0
