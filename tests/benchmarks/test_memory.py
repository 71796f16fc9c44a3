from collections.abc import Callable
from pathlib import Path

import pytest

from benchmarks.memory import watch_restoration

pytestmark = [pytest.mark.integration, pytest.mark.nightly]


def test_a_restoration_is_watched_until_it_ends(make_portrait_video: Callable[..., Path], tmp_path: Path) -> None:
    video = make_portrait_video(frames=3)
    use = watch_restoration(video, tmp_path / "restored.mp4", runtime="local", minutes=0.002)
    assert (use.runtime, use.frames) == ("local", 3)
    assert use.samples >= 2
    assert use.peak_bytes >= use.median_bytes > 50_000_000
