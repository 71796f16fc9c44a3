"""Memory that is freed and asked for again does not go to the system and back."""

import subprocess
import sys

import pytest

pytestmark = pytest.mark.integration

_FAULTS = """
import resource
import sys
import numpy as np
from vidrestore.inference.allocator import keep_freed_memory

kept = sys.argv[1] == "keep" and keep_freed_memory()
def frame():
    arrays = [np.ones(4 << 20, np.uint8) for _ in range(4)]
for _ in range(5):
    frame()
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(50):
    frame()
print(kept, resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


def faults(word: str, **environment: str) -> tuple[bool, int]:
    """Whether the C library agreed, and page faults of 50 frames of four times four megabytes."""
    told = subprocess.run(
        [sys.executable, "-c", _FAULTS, word], env=environment, capture_output=True, text=True, check=True
    )
    kept, count = told.stdout.split()
    return kept == "True", int(count)


def test_frames_come_from_the_memory_of_the_last() -> None:
    kept, count = faults("keep")
    if not kept:
        pytest.skip("this C library has no mallopt")
    before = faults("leave")[1]
    assert count < before / 10, f"{count} page faults, and {before} without asking"


def test_who_sets_the_allocator_from_outside_is_obeyed() -> None:
    assert not faults("keep", MALLOC_TRIM_THRESHOLD_="131072")[0]
