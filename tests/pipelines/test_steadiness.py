"""The measurement of steadiness: every way restores the same damaged film, and is compared with the truth."""

from pathlib import Path

import cv2
import pytest

from benchmarks import steadiness
from benchmarks.steadiness import ALL, DAMAGED, LIVE, REFERENCE, WAYS, Steadiness, measure_steadiness, table
from pipelines import steadiness as pipeline
from vidrestore.config import update
from vidrestore.demo import make_archival_video
from vidrestore.restoration.config import RestoreConfig

pytestmark = pytest.mark.integration

CHOSEN = (REFERENCE, "+ tracked, smoothed alignment", ALL)


@pytest.fixture(scope="module")
def truth(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("truth")
    make_archival_video(folder / "damaged.mp4", folder / "truth.mkv")
    return folder / "truth.mkv"


def test_the_ways_add_one_part_after_the_other() -> None:
    names = [way.name for way in WAYS]
    assert names[0] == CHOSEN[0]
    assert WAYS[0].fresh_noise
    assert not WAYS[1].fresh_noise
    configs = {way.name: update(RestoreConfig(), way.settings) for way in WAYS if way.settings is not None}
    assert configs[ALL] == RestoreConfig()
    plain, averaged = configs["+ tracked, smoothed alignment"], configs["+ film averaged along its motion"]
    coded, blended = configs["+ steady style codes"], configs["+ blend along the motion"]
    assert (plain.denoiser.frames, plain.stabilizer.blend, plain.stabilizer.colour_lock) == (0, False, 0)
    assert (averaged.denoiser, averaged.stabilizer) == (RestoreConfig().denoiser, plain.stabilizer)
    assert [config.style.frames > 0 for config in (plain, averaged, coded, blended)] == [False, False, True, False]
    assert (blended.stabilizer.blend, blended.stabilizer.colour_lock) == (True, 0)
    assert configs[LIVE].lag == 0


@pytest.mark.slow
@pytest.mark.nightly
def test_a_video_is_damaged_restored_in_every_way_and_compared(
    truth: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(
        pipeline,
        "measure_steadiness",
        lambda videos, presets, folder, on_step: measure_steadiness(
            videos, presets, folder, ways=[way for way in WAYS if way.name in CHOSEN], on_step=on_step
        ),
    )
    page = tmp_path / "steadiness.md"
    page.write_text("before\n<!-- steadiness -->\nold\n<!-- /steadiness -->\nafter\n", encoding="utf-8")
    pipeline.main(tmp_path / "out", [truth], preset=["lowbitrate"], frames=8, page=page)
    found = Steadiness.read(tmp_path / "out" / "steadiness.json")
    (scene,) = found.scenes
    assert (scene.frames, scene.preset) == (8, "lowbitrate")
    assert list(scene.rows) == ["truth", DAMAGED, *CHOSEN]
    assert scene.rows["truth"].psnr_faces == pytest.approx(100)
    flow, ours = scene.rows[CHOSEN[0]], scene.rows[CHOSEN[2]]
    assert flow.warp_error is not None
    assert ours.warp_error is not None
    assert ours.warp_error < flow.warp_error
    text = (tmp_path / "out" / "steadiness.md").read_text(encoding="utf-8")
    assert text.startswith(table(found))
    assert page.read_text(encoding="utf-8") == (f"before\n<!-- steadiness -->\n{text}<!-- /steadiness -->\nafter\n")
    assert CHOSEN[1] in capsys.readouterr().out
    worst = cv2.imread(str(tmp_path / "out" / f"{truth.stem}-lowbitrate" / "worst.png"))
    assert worst.shape == (28 + 8 * 256, 4 * 256 + 3 * 2, 3), "truth, damaged, common and ours, of all eight frames"


def test_what_was_not_measured_anywhere_shows_as_a_dash() -> None:
    assert steadiness._cell([None, None], 2) == "-"
    assert steadiness._cell([1.0, None, 2.0], 2) == "1.50"
