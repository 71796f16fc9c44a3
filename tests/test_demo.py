"""The demonstration: films, picture and reports from nothing."""

import importlib.util
import json
from collections.abc import Callable
from pathlib import Path

import cv2
import pytest

from vidrestore import demo
from vidrestore.config import update
from vidrestore.errors import ConfigError
from vidrestore.jobs.config import JobConfig

pytestmark = pytest.mark.integration

JOB = update(JobConfig(), {"runtime": "local"})


@pytest.mark.parametrize("frames", [10, pytest.param(100, marks=[pytest.mark.nightly, pytest.mark.slow])])
def test_it_leaves_videos_a_picture_and_reports(
    make_portrait_video: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, frames: int
) -> None:
    if frames < 100:
        monkeypatch.setattr(demo, "_carphone", make_portrait_video)  # a tenth of the classic clip's frames
    made = demo.run_demo(tmp_path / "demo", update(JOB, {"restore": {"selection": {"max_faces": 1}}}), frames=frames)
    assert made.archival.report.faces_restored >= frames - 1
    assert made.carphone.report.faces_restored == made.carphone.report.frames_written == (12 if frames < 100 else 120)
    assert json.loads(made.archival.report_path.read_text())["complete"] is True
    picture = cv2.imread(str(made.picture))
    assert picture is not None
    assert picture.shape == (960, 960, 3)
    before, after = made.likeness_before, made.likeness_after
    assert before.psnr > 20
    assert after.psnr > before.psnr - 1, "restored is not further from the truth"
    assert after.feature_distance < 0.95 * before.feature_distance


def test_a_missing_package_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda _: None)
    with pytest.raises(ConfigError, match="install it with"):
        demo.run_demo(tmp_path, JOB)
