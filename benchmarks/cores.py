"""Which cores a measurement runs on."""

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path


def cores() -> list[int]:
    """Those that this process may use; threads of one physical core stand together, so do cores of one socket."""
    return sorted(os.sched_getaffinity(0), key=lambda core: (*_place(core), core))


@contextmanager
def pinned_to(chosen: Sequence[int]) -> Iterator[None]:
    """This thread, and all that it starts, on these cores only."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, chosen)
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


def _place(core: int) -> tuple[int, int]:
    """Socket and physical core; of the same one where the system does not tell."""
    folder = Path(f"/sys/devices/system/cpu/cpu{core}/topology")
    try:
        return int((folder / "physical_package_id").read_text()), int((folder / "core_id").read_text())
    except OSError:
        return 0, 0
