import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from benchmarks import memory
from benchmarks.memory import tree_bytes, watch_restoration
from vidrestore.errors import RestorationError

pytestmark = pytest.mark.integration

HOLD = "import sys; block = bytearray(b'x') * 100_000_000; print('held', flush=True); sys.stdin.read()"


def test_the_memory_of_a_child_is_counted_and_that_of_a_dead_one_is_not() -> None:
    before = tree_bytes(os.getpid())
    child = subprocess.Popen([sys.executable, "-c", HOLD], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    with child:
        assert child.stdout
        child.stdout.readline()
        assert tree_bytes(os.getpid()) - before > 90_000_000
    assert tree_bytes(child.pid) == 0


@pytest.mark.nightly
def test_a_restoration_is_watched_until_it_ends(make_portrait_film: Callable[..., Path], tmp_path: Path) -> None:
    film = make_portrait_film(frames=3)
    use = watch_restoration(film, tmp_path / "restored.mp4", runtime="local", minutes=0.002)
    assert (use.runtime, use.frames) == ("local", 3)
    assert use.samples >= 2
    assert use.peak_bytes >= use.median_bytes > 50_000_000


def test_a_failed_restoration_is_an_error_with_its_own_words(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory, "_COMMAND", (sys.executable, "-c", "raise SystemExit('the disk is full')"))
    with pytest.raises(RestorationError, match="the disk is full"):
        watch_restoration(tmp_path / "film.mp4", tmp_path / "restored.mp4", runtime="local", minutes=1)
