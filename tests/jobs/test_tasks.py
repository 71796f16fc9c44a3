"""Which films a batch takes, and where their results go."""

import json
from pathlib import Path

import pytest

from vidrestore.config import update
from vidrestore.engine import RestoreConfig
from vidrestore.errors import ConfigError, InputError
from vidrestore.jobs.tasks import find_tasks

CONFIG = RestoreConfig()


def found(*sources: object, out: Path, **options: object) -> dict[str, str]:
    """Destination -> source."""
    tasks = find_tasks([str(source) for source in sources], str(out), CONFIG, **options)
    return {film.destination: film.source for film in tasks.films}


@pytest.fixture
def archive(tmp_path: Path) -> Path:
    folder = tmp_path / "archive"
    for name in ("a.mp4", "1970/b.mkv", "1970/summer/c.avi", "notes.txt", ".hidden/d.mp4", "1980/.e.mp4"):
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"x" * len(name))
    return folder


def test_a_folder_is_mirrored(archive: Path, tmp_path: Path) -> None:
    tasks = find_tasks([str(archive)], str(tmp_path / "out"), CONFIG)
    assert [film.destination for film in tasks.films] == ["1970/b.mkv", "1970/summer/c.mkv", "a.mp4"]
    assert [film.bytes for film in tasks.films] == [10, 17, 5]
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


def test_a_manifest_gives_each_film_its_options(archive: Path, tmp_path: Path) -> None:
    lines = [
        {"source": "a.mp4", "destination": "x/a.mkv", "options": {"compositor": {"strength": 0.5}}},
        {"source": str(archive / "1970/b.mkv"), "options": {"encode.crf": 20, "selection.faces": 1}},
    ]
    manifest = archive / "films.jsonl"
    manifest.write_text("\n".join(map(json.dumps, lines)) + "\n")
    first, second = find_tasks([], str(tmp_path), CONFIG, manifest=manifest).films
    assert (first.destination, first.config.compositor.strength) == ("x/a.mkv", 0.5)
    assert (second.destination, second.config.encode.crf, second.config.selection.faces) == ("b.mkv", 20, 1)


def test_a_manifest_may_be_a_table(archive: Path, tmp_path: Path) -> None:
    manifest = archive / "films.csv"
    manifest.write_text("source,destination,encode.crf\na.mp4,,19\n1970/b.mkv,c.mp4,\n")
    first, second = find_tasks([], str(tmp_path), CONFIG, manifest=manifest).films
    assert (first.destination, first.config.encode.crf) == ("a.mp4", 19)
    assert (second.destination, second.config) == ("c.mp4", CONFIG)


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ('{"source": "a.mp4", "destination": "../b.mp4"}', "leaves the output folder"),
        ('{"source": "a.mp4", "destination": "/etc/b.mp4"}', "leaves the output folder"),
        ('{"source": "a.mp4", "destination": "s3://bucket/b.mp4"}', "leaves the output folder"),
        ('{"source": "a.mp4", "destination": ".vidrestore/b.mp4"}', "leaves the output folder"),
        ('{"source": "a.mp4", "options": {"compositor.strenght": 1}}', "line 1.*did you mean 'strength'"),
        ('{"source": "a.mp4", "options": {"restorer.model": "gfpgan-v1.4"}}', "all films of a job share"),
        ('{"source": "a.mp4", "options": 3}', "not a table"),
        ('{"destination": "b.mp4"}', "names no source"),
        ('{"source": "none.mp4"}', "cannot be read"),
        ("source,destination", "is not JSON"),
        ("[1]", "is not a table"),
    ],
)
def test_a_bad_line_is_named(archive: Path, tmp_path: Path, line: str, says: str) -> None:
    manifest = archive / "films.jsonl"
    manifest.write_text(line + "\n")
    with pytest.raises((ConfigError, InputError), match=says):
        find_tasks([], str(tmp_path), CONFIG, manifest=manifest)


@pytest.mark.parametrize(
    ("source", "says"),
    [
        ("none.mp4", "does not exist"),
        ("empty", "holds no film"),
        ("*.webm", "matches no film"),
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


def test_a_film_is_not_replaced_by_its_result(archive: Path) -> None:
    with pytest.raises(ConfigError, match="both source and output"):
        found(archive, out=archive)
    with pytest.raises(ConfigError, match="is a source itself"):
        found(archive / "a.mp4", out=archive)
    (archive / "link").symlink_to(archive)
    with pytest.raises(ConfigError, match="is a source itself"):
        found(archive / "a.mp4", out=archive / "link")


def test_nothing_to_do_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no film to restore"):
        found(out=tmp_path)


def test_lossless_results_are_matroska(archive: Path, tmp_path: Path) -> None:
    config = update(CONFIG, {"encode": {"lossless": True}})
    film = find_tasks([str(archive / "a.mp4")], str(tmp_path), config).films[0]
    assert film.destination == "a.mkv"
