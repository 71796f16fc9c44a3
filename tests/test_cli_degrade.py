"""`vidrestore degrade`: exit codes, one-line reasons, and the record of what was drawn."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from vidrestore.degradation.medium.profiles import PROFILE_NAMES
from vidrestore.media.reader import probe

pytestmark = pytest.mark.integration

MakeVideo = Callable[..., Path]
Run = Callable[..., tuple[int, str, str]]


def test_a_video_is_degraded_and_the_damage_is_recorded(
    run: Run, make_portrait_video: MakeVideo, tmp_path: Path
) -> None:
    destination, report = tmp_path / "out.mp4", tmp_path / "report.json"
    code, out, err = run(
        "degrade", make_portrait_video(), destination, "--medium", "vhs", "--seed", 3, "--report", report,
        "--set", "profile.medium.scale=[2, 2]", "--set", "profile.dropouts.streaks=[4, 4]",
    )  # fmt: skip
    assert (code, err) == (0, "")
    assert "12 frames, vhs with seed 3: 2.00 times smaller" in out
    drawn = json.loads(report.read_text())
    assert (drawn["frames"], drawn["seed"]) == (12, 3)
    assert (drawn["profile"]["medium"]["scale"], drawn["profile"]["dropouts"]["streaks"]) == (2, 4)
    assert sorted(tmp_path.iterdir()) == [destination, report]


def test_lossless_stores_the_damage_itself(run: Run, make_portrait_video: MakeVideo, tmp_path: Path) -> None:
    destination = tmp_path / "out.mkv"
    code, out, _ = run("degrade", make_portrait_video(frames=3), destination, "--lossless", "--quiet")
    assert (code, out) == (0, "")
    assert probe(destination).codec == "ffv1"


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (["--medium", "betamax"], "betamax"),
        (["--crf", "99"], "crf is 99"),
        (["--codec", "libx263"], "did you mean 'libx26"),
        (["--set", "profile.medium.sclae=[2, 2]"], "did you mean 'scale'"),
        (["--set", "profile.medium.scale=[4, 2]"], "medium.scale"),
        (["--set", "profile.dropouts.dust=[-1, 2]"], "dropouts.dust"),
        (["--report", "nowhere/report.json"], "cannot be written"),
    ],
)
def test_an_impossible_wish_is_refused_in_one_line(
    run: Run, make_portrait_video: MakeVideo, tmp_path: Path, arguments: list[str], reason: str
) -> None:
    code, out, err = run("degrade", make_portrait_video(), tmp_path / "out.mp4", *arguments)
    assert (code, out) == (1, "")
    assert reason in err
    assert err.count("\n") == 1
    assert list(tmp_path.iterdir()) == []


def test_an_unknown_preset_names_the_known_ones(run: Run, make_portrait_video: MakeVideo, tmp_path: Path) -> None:
    _, _, err = run("degrade", make_portrait_video(), tmp_path / "out.mp4", "--medium", "betamax")
    assert all(name in err for name in PROFILE_NAMES)


def test_an_output_that_cannot_be_is_refused(run: Run, make_portrait_video: MakeVideo, tmp_path: Path) -> None:
    source, there = make_portrait_video(), tmp_path / "there.mp4"
    there.write_bytes(b"precious")
    for destination, reason in {
        source: "is the source itself",
        there: "--overwrite",
        tmp_path / "a.doc": ".mp4",
    }.items():
        code, _, err = run("degrade", source, destination)
        assert code == 1
        assert reason in err
    assert there.read_bytes() == b"precious"
    assert run("degrade", source, there, "--overwrite", "--medium", "lowbitrate")[0] == 0
