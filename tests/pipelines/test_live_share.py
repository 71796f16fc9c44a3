"""What sharing a face worker costs live streams is measured, in small."""

import json
from pathlib import Path
from typing import Any

import pytest

from benchmarks.live_share import ShareConfig, measure_share, share_table

pytestmark = [pytest.mark.ray, pytest.mark.slow, pytest.mark.nightly]


def test_two_streams_are_compared_with_two_videos(tmp_path: Path, make_portrait_video: Any) -> None:
    out = tmp_path / "out"
    out.mkdir()
    config = ShareConfig(make_portrait_video(frames=25), streams=2, frames=40, seconds=8, warm_up_seconds=1)
    result = measure_share(config, out)
    assert 0.2 < result.share < 5
    assert result.live == pytest.approx(sum(result.each))
    assert max(result.each) < 2 * min(result.each), "neither starves the other"
    assert 1 <= result.mean_batch <= 2
    assert json.loads((out / "live_share.json").read_text())["live"] == result.live
    assert share_table(result).count("\n") == 5
    assert [path.name for path in out.iterdir()] == ["live_share.json"]
