"""Which films a batch takes, and where their results go."""

import csv
import glob
import json
import os
from pathlib import Path

import pytest

from vidrestore.config import update
from vidrestore.errors import ConfigError, InputError
from vidrestore.former_options import FormerOptionWarning
from vidrestore.jobs.inputs import Inputs, discover_inputs
from vidrestore.restoration.config import VideoRestoreConfig

CONFIG = VideoRestoreConfig()


def found(*sources: object, out: Path, **options: object) -> dict[str, str]:
    """Destination -> source."""
    tasks = discover_inputs([str(source) for source in sources], str(out), CONFIG, **options)
    return {video.destination: video.source for video in tasks.videos}


@pytest.fixture
def archive(tmp_path: Path) -> Path:
    folder = tmp_path / "archive"
    for name in ("a.mp4", "1970/b.mkv", "1970/summer/c.avi", "notes.txt", ".hidden/d.mp4", "1980/.e.mp4"):
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"x" * len(name))
    return folder


def test_a_folder_is_mirrored(archive: Path, tmp_path: Path) -> None:
    tasks = discover_inputs([str(archive)], str(tmp_path / "out"), CONFIG)
    assert [video.destination for video in tasks.videos] == ["1970/b.mkv", "1970/summer/c.mkv", "a.mp4"]
    assert [video.bytes for video in tasks.videos] == [10, 17, 5]
    assert tasks.ignored == (str(archive / "notes.txt"),)


def test_patterns_reach_into_folders(archive: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    assert set(found(archive / "**" / "*.avi", out=out)) == {"1970/summer/c.mkv"}
    assert set(found(archive / "1970" / "*", out=out)) == {"b.mkv"}
    assert set(found(f"file://{archive}/a.mp4", out=out)) == {"a.mp4"}


def test_what_is_in_the_output_folder_is_no_source(archive: Path) -> None:
    out = archive / "restored"
    (out / ".vidrestore" / "parts").mkdir(parents=True)
    (out / "a.mp4").write_bytes(b"x")
    (out / ".vidrestore" / "parts" / "p.mp4").write_bytes(b"x")
    assert set(found(archive, out=out)) == {"1970/b.mkv", "1970/summer/c.mkv", "a.mp4"}


def test_two_results_never_meet(archive: Path, tmp_path: Path) -> None:
    (archive / "a.mov").write_bytes(b"x")
    (archive / "a.avi").write_bytes(b"x")
    (archive / "a.mkv").write_bytes(b"x")
    assert set(found(archive / "a.*", out=tmp_path)) == {"a.mp4", "a.mov", "a.avi.mkv", "a.mkv"}
    with pytest.raises(ConfigError, match="would both become"):
        found(archive / "a.mp4", archive / "a.mp4", out=tmp_path)
    assert set(found(archive / "a.*", out=tmp_path, extension="mkv")) == {
        "a.mp4.mkv",
        "a.mov.mkv",
        "a.avi.mkv",
        "a.mkv",
    }


def test_a_manifest_gives_each_video_its_options(archive: Path, tmp_path: Path) -> None:
    lines = [
        {"source": "a.mp4", "destination": "x/a.mkv", "options": {"restore": {"compositor": {"strength": 0.5}}}},
        {
            "source": str(archive / "1970/b.mkv"),
            "options": {"restore.encode.crf": 20, "restore.selection.max_faces": 1},
        },
    ]
    manifest = archive / "films.jsonl"
    manifest.write_text("\n".join(map(json.dumps, lines)) + "\n")
    first, second = discover_inputs([], str(tmp_path), CONFIG, manifest=manifest).videos
    assert (first.destination, first.config.compositor.strength) == ("x/a.mkv", 0.5)
    assert (second.destination, second.config.encode.crf, second.config.selection.max_faces) == ("b.mkv", 20, 1)


def test_a_manifest_may_be_a_table(archive: Path, tmp_path: Path) -> None:
    manifest = archive / "films.csv"
    manifest.write_text("source,destination,restore.encode.crf\na.mp4,,19\n1970/b.mkv,c.mp4,\n")
    first, second = discover_inputs([], str(tmp_path), CONFIG, manifest=manifest).videos
    assert (first.destination, first.config.encode.crf) == ("a.mp4", 19)
    assert (second.destination, second.config) == ("c.mp4", CONFIG)


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ('{"source": "a.mp4", "destination": "../b.mp4"}', "leaves the output folder"),
        ('{"source": "a.mp4", "destination": "/etc/b.mp4"}', "leaves the output folder"),
        ('{"source": "a.mp4", "destination": "s3://bucket/b.mp4"}', "leaves the output folder"),
        ('{"source": "a.mp4", "destination": ".vidrestore/b.mp4"}', "leaves the output folder"),
        ('{"source": "a.mp4", "options": {"restore.compositor.strenght": 1}}', "line 1.*did you mean 'strength'"),
        ('{"source": "a.mp4", "options": {"restore.restorer.model": "gfpgan-v1.4"}}', "all videos of a job share"),
        ('{"source": "a.mp4", "options": 3}', "not a table"),
        ('{"destination": "b.mp4"}', "names no source"),
        ('{"source": "a\\u0000.mp4"}', "line 1.*no file's name"),
        ('{"source": "a.mp4", "destination": ["b.mp4"]}', "line 1.*not a name"),
        ('{"source": "a.mp4", "destination": "b\\u0000.mp4"}', "line 1.*no file's name"),
        ('{"source": "a.mp4", "destination": "\\ud800.mp4"}', "line 1.*no file's name"),
        ('{"source": "a.mp4", "options": {"restore.encode.crf": ' + "[" * 5000 + "}", "is not JSON"),
        (
            '{"source": "a.mp4", "options": {"restore.encode.crf": "' + "[" * 5000 + '"}}',
            "line 1.*encode.crf is .*; use a number",
        ),
        ('{"source": "a.mp4", "options": {"restore.lag": 3}}', "line 1.*not for videos"),
        ("source,destination", "is not JSON"),
        ("[1]", "is not a table"),
    ],
)
def test_a_bad_line_is_named(archive: Path, tmp_path: Path, line: str, says: str) -> None:
    manifest = archive / "films.jsonl"
    manifest.write_text(line + "\n")
    with pytest.raises((ConfigError, InputError), match=says):
        discover_inputs([], str(tmp_path), CONFIG, manifest=manifest)


@pytest.mark.parametrize(
    ("source", "says"),
    [
        ("none.mp4", "does not exist"),
        ("empty", "holds no video"),
        ("*.webm", "matches no video"),
        ("s3://user:secret@bucket/a.mp4", "holds credentials"),
        ("https://host/a.mp4?token=secret", "holds credentials"),
    ],
)
def test_what_is_not_there_is_said(tmp_path: Path, source: str, says: str) -> None:
    (tmp_path / "empty").mkdir()
    named = source if "://" in source else str(tmp_path / source)
    with pytest.raises((ConfigError, InputError), match=says) as raised:
        found(named, out=tmp_path / "out")
    assert "secret" not in str(raised.value)


def test_a_video_is_not_replaced_by_its_result(archive: Path) -> None:
    with pytest.raises(ConfigError, match="both source and output"):
        found(archive, out=archive)
    with pytest.raises(ConfigError, match="is a source itself"):
        found(archive / "a.mp4", out=archive)
    (archive / "link").symlink_to(archive)
    with pytest.raises(ConfigError, match="is a source itself"):
        found(archive / "a.mp4", out=archive / "link")


def test_nothing_to_do_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no video to restore"):
        found(out=tmp_path)


def test_lossless_results_are_matroska(archive: Path, tmp_path: Path) -> None:
    config = update(CONFIG, {"encode": {"lossless": True}})
    video = discover_inputs([str(archive / "a.mp4")], str(tmp_path), config).videos[0]
    assert video.destination == "a.mkv"


def tasks_of(*sources: object, out: Path, manifest: Path | None = None) -> Inputs:
    return discover_inputs([str(source) for source in sources], str(out), CONFIG, manifest=manifest)


@pytest.mark.timeout(60)
@pytest.mark.parametrize("pattern", ["", "**", "**/*", "**/*.mp4", "**/**/*.mp4", "*/**/*.mp4", "*/*/*.mp4", "?*/**"])
def test_a_walk_follows_no_link_out_and_ends(tmp_path: Path, pattern: str) -> None:
    archive, elsewhere = tmp_path / "archive", tmp_path / "elsewhere"
    (elsewhere / "in").mkdir(parents=True)
    (elsewhere / "in" / "private.mp4").write_bytes(b"x")
    (archive / "loop" / "deep").mkdir(parents=True)
    (archive / "loop" / "deep" / "a.mp4").write_bytes(b"x")
    for number in range(3):
        (archive / "loop" / f"l{number}").symlink_to(archive / "loop")
    (archive / "dirlink").symlink_to(elsewhere)
    (archive / "loop" / "film.mp4").symlink_to(elsewhere / "in" / "private.mp4")
    (archive / "loop" / "deep" / "same.mp4").symlink_to("a.mp4")
    os.mkfifo(archive / "loop" / "deep" / "pipe.mp4")
    tasks = tasks_of(archive / pattern if pattern else archive, out=tmp_path / "out")
    assert [Path(video.source).relative_to(archive) for video in tasks.videos] == [Path("loop/deep/a.mp4")]
    told = "\n".join(tasks.left_out)
    assert "same.mp4 is the same file as" in told
    assert "pipe.mp4 is a pipe" in told
    if pattern != "*/*/*.mp4":
        assert "film.mp4 is a link that leads out" in told


def test_patterns_match_as_in_a_shell(tmp_path: Path) -> None:
    names = ("a.mp4", "b/c.mp4", "b/d/e.mp4", ".h/i.mp4", "b/.j.mp4", "x[1].mp4", "b/d/f/g.mp4")
    for name in names:
        path = tmp_path / "s" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(name.encode())
    for pattern in (
        "*",
        "**",
        "**/*",
        "*/*",
        "b/*",
        "b/**",
        "**/d/*",
        "**/d/**",
        "b/*/*.mp4",
        ".h/*",
        ".*/*",
        "x[[]1].mp4",
    ):
        wanted = glob.glob(str(tmp_path / "s" / pattern), recursive=True)  # noqa: PTH207
        found = tasks_of(tmp_path / "s" / pattern, out=tmp_path / "out").videos
        assert {video.source for video in found} == {path for path in wanted if Path(path).is_file()}, pattern


def test_a_bad_name_costs_one_video_at_most(tmp_path: Path) -> None:
    archive = tmp_path / "archive"
    archive.mkdir()
    names = [
        "good.mp4",
        "x\\[b].mp4",
        "a::b.mp4",
        "new\nline.mp4",
        "f\udce4rg.mp4",
        "a\x1b[2J.mp4",
        f"{'x' * 251}.mp4",
        "c:d.mp4",
    ]
    for name in names:
        (archive / name).write_bytes(os.fsencode(name))
    videos = tasks_of(archive, out=tmp_path / "out").videos
    assert sorted(video.source.rpartition("/")[2] for video in videos) == sorted(names)
    assert all(video.error is None for video in videos)
    places = {video.source.rpartition("/")[2]: video.destination for video in videos}
    assert places["f\udce4rg.mp4"] == "f%E4rg.mp4"
    assert all(places[name] == name for name in names if "\udce4" not in name)
    for name in names:
        assert tasks_of(archive / name, out=tmp_path / "out").videos[0].source == str(archive / name)


def test_a_name_that_grows_too_long_is_cut(tmp_path: Path) -> None:
    for stem in ("x" * 240, "x" * 239 + "y", "ü" * 125):
        for suffix in (".mp4", ".avi", ".mkv"):
            path = tmp_path / "archive" / f"{stem}{suffix}"
            path.parent.mkdir(exist_ok=True)
            path.write_bytes(path.name.encode())
    videos = discover_inputs([str(tmp_path / "archive")], str(tmp_path), CONFIG, extension=".longer-than-before").videos
    assert len({video.destination for video in videos}) == 9
    assert all(len(os.fsencode(video.destination)) <= 255 for video in videos)


def test_what_others_put_beside_a_video_does_not_stop_it(tmp_path: Path) -> None:
    for name in ("a.avi", "a.mkv", "a.avi.mkv"):
        path = tmp_path / "archive" / name
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(name.encode())
    videos = tasks_of(tmp_path / "archive", out=tmp_path / "out").videos
    assert [video.error is None for video in videos].count(True) == 2
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "a.mkv").symlink_to(tmp_path / "archive" / "a.mkv")
    assert [video.error is None for video in tasks_of(tmp_path / "archive", out=tmp_path / "out").videos].count(
        True
    ) >= 1


@pytest.mark.parametrize(
    "source",
    ["none.mp4", ".", "pipe.mp4", "reference://film.mp4::refs.json", "local:///etc/x.mp4", "s3://u:hunter2@b/x"],
)
def test_a_source_that_cannot_be_read_costs_its_row(archive: Path, tmp_path: Path, source: str) -> None:
    os.mkfifo(archive / "pipe.mp4")
    manifest = archive / "films.jsonl"
    lines = [{"source": "a.mp4"}, {"source": source, "destination": "b.mp4"}]
    manifest.write_text("\n".join(map(json.dumps, lines)))
    good, bad = tasks_of(out=tmp_path, manifest=manifest).videos
    assert good.error is None
    assert bad.error is not None
    assert "hunter2" not in bad.source + bad.error


@pytest.mark.parametrize(
    "option",
    [
        "x264-params=stats=victim.txt:pass=1",
        "x264-params=bframes=2:stats=victim.txt",
        "x264-params=bframes=2\\:stats=victim.txt",
        "x264-params=bframes='2:stats=victim.txt'",
        "x264-params=dump_yuv=victim",
        "x264-params=dump-yuv=victim",
        "x264opts=stats=victim",
        "x265-params=csv=victim",
        "x265-params=analysis-save=victim",
        "x265-params=Analysis_Load=victim",
        "x265-params=film-grain=victim",
        "x265-params=lambda-file=victim",
        "svtav1-params=stats=victim",
        "svtav1-params=fgs-table=victim",
        "passlogfile=victim",
        "stats=victim",
        "flags=+pass1",
        "log-file=victim",
        "vstats_file=victim",
        "preset=/etc/passwd",
        "qp=1 stats=x",
    ],
)
def test_encoder_options_of_a_manifest_reach_no_file(archive: Path, tmp_path: Path, option: str) -> None:
    manifest = archive / "films.jsonl"
    manifest.write_text(json.dumps({"source": "a.mp4", "options": {"restore.encode.options": [option]}}))
    with pytest.raises(ConfigError, match=r"line 1.*may not be set in a manifest"):
        tasks_of(out=tmp_path, manifest=manifest)
    table = archive / "films.csv"
    with table.open("w", newline="") as file:
        csv.writer(file).writerows([["source", "restore.encode.options"], ["a.mp4", json.dumps([option])]])
    with pytest.raises(ConfigError, match=r"line 2.*may not be set in a manifest"):
        tasks_of(out=tmp_path, manifest=table)


def test_encoder_options_of_the_picture_stay_allowed(archive: Path, tmp_path: Path) -> None:
    options = ["tune=film", "g=50", "x264-params=keyint=250:no-cabac=1:aq-mode=3:deblock=-1,-1", "profile:v=high"]
    options += ["x265-params=master-display=G(1,2)B(3,4)R(5,6)WP(7,8)L(9,1)", "svtav1-params=film-grain=8"]
    manifest = archive / "films.jsonl"
    manifest.write_text(json.dumps({"source": "a.mp4", "options": {"restore": {"encode": {"options": options}}}}))
    assert tasks_of(out=tmp_path, manifest=manifest).videos[0].config.encode.options == tuple(options)


def test_why_a_folder_of_links_holds_no_video_is_told(archive: Path, tmp_path: Path) -> None:
    farm = tmp_path / "farm"
    farm.mkdir()
    for number in range(5):
        (farm / f"{number}.mp4").symlink_to(archive / "a.mp4")
    with pytest.raises(InputError, match=r"leads out of the folder; .*and 2 more; name videos that are linked one by"):
        found(farm, out=tmp_path / "out")
    assert found(farm / "3.mp4", out=tmp_path / "out") == {"3.mp4": str(farm / "3.mp4")}
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match="empty holds no video; check the name"):
        found(tmp_path / "empty", out=tmp_path / "out")


@pytest.mark.timeout(20)
@pytest.mark.parametrize("kind", ["pipe", "device", "large", "folder"])
def test_a_manifest_is_a_file_of_bounded_size(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str) -> None:
    manifest = tmp_path / "m.csv"
    says = {"pipe": "a pipe or a device", "device": "a pipe or a device", "large": "more than 50 bytes"}
    if kind == "pipe":
        os.mkfifo(manifest)
    elif kind == "device":
        manifest = Path("/dev/zero")
    elif kind == "folder":
        manifest.mkdir()
    else:
        monkeypatch.setattr("vidrestore.jobs.manifest._MOST_MANIFEST_BYTES", 50)
        manifest.write_text("source\n" + "x" * 50)
    with pytest.raises(ConfigError, match=says.get(kind, "cannot be read")):
        discover_inputs([], str(tmp_path), CONFIG, manifest=manifest)


def test_a_manifest_may_be_a_link_and_of_any_system(archive: Path, tmp_path: Path) -> None:
    (archive / "films.csv").write_bytes(b"\xef\xbb\xbfsource,destination\r\na.mp4,\r\n")
    (archive / "link.csv").symlink_to(archive / "films.csv")
    assert found(out=tmp_path, manifest=archive / "link.csv") == {"a.mp4": str(archive / "a.mp4")}


@pytest.mark.parametrize("name", [".VIDRESTORE", ".Vidrestore"])
def test_the_state_folder_is_known_in_any_case(tmp_path: Path, name: str) -> None:
    """Disks of other systems take the one for the other."""
    for path in (tmp_path / "a.mp4", tmp_path / name / "q.mp4"):
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(b"x")
    manifest = tmp_path / "m.jsonl"
    manifest.write_text(json.dumps({"source": "a.mp4", "destination": f"{name}/q.mp4"}) + "\n")
    with pytest.raises(ConfigError, match="leaves the output folder"):
        discover_inputs([], str(tmp_path / "out"), CONFIG, manifest=manifest)
    with pytest.raises(InputError, match="matches no video"):
        found(tmp_path / ".*" / "*", out=tmp_path / "out")


@pytest.mark.parametrize(
    ("options", "former"),
    [({"encode.crf": 20}, "encode.crf"), ({"encode": {"crf": 20}}, "encode")],
)
def test_paths_as_manifests_had_them_are_understood_with_a_warning(
    archive: Path, tmp_path: Path, options: dict[str, object], former: str
) -> None:
    manifest = archive / "list.jsonl"
    manifest.write_text(json.dumps({"source": "a.mp4", "options": options}))
    with pytest.warns(FormerOptionWarning, match=f"option {former} of a manifest is called restore.{former} now"):
        found = tasks_of(out=tmp_path, manifest=manifest).videos
    assert found[0].config.encode.crf == 20
