"""Films that are made to harm, through the command: refused in one line before any work; nothing else is touched."""

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

pytestmark = pytest.mark.integration

MakeVideo = Callable[..., Path]
Run = Callable[..., tuple[int, str, str]]
PLAYLIST = "#EXTM3U\n#EXT-X-TARGETDURATION:5\n#EXT-X-MEDIA-SEQUENCE:0\n#EXTINF:1,\nfile://{}\n#EXT-X-ENDLIST\n"
CONCAT = "ffconcat version 1.0\nfile {}\n"


@pytest.fixture
def archive(tmp_path: Path, make_portrait_video: MakeVideo) -> Path:
    """A folder with a film that leads, through a playlist, to one outside of it."""
    folder = tmp_path / "arch"
    folder.mkdir()
    private = tmp_path / "private.mp4"
    shutil.copy(make_portrait_video(frames=6), private)
    (folder / "list.m3u8").write_text(PLAYLIST.format(private))
    (folder / "holiday.mp4").write_text(CONCAT.format("list.m3u8"))
    (folder / "self.m3u8").write_text("#EXTM3U\n#EXT-X-STREAM-INF:BANDWIDTH=1\nself.m3u8\n")
    (folder / "bomb.mp4").write_text(CONCAT.format("self.m3u8"))
    (folder / "me.mp4").write_text(CONCAT.format("me.mp4"))
    return folder


@pytest.mark.parametrize("name", ["holiday.mp4", "bomb.mp4", "me.mp4", "list.m3u8"])
def test_playlist_is_neither_probed_nor_restored(name: str, run: Run, archive: Path, tmp_path: Path) -> None:
    for arguments in (["probe"], ["restore", "--runtime", "local"]):
        destination = [tmp_path / "out.mp4"] if arguments[0] == "restore" else []
        code, out, err = run(arguments[0], archive / name, *destination, *arguments[1:])
        assert (code, out) == (1, "")
        assert "is a playlist of other files" in err
        assert "name the files themselves" in err
        assert err.count("\n") == 1
    assert not (tmp_path / "out.mp4").exists()


def test_batch_restores_what_is_a_video_and_names_the_others(
    run: Run, archive: Path, tmp_path: Path, make_portrait_video: MakeVideo
) -> None:
    shutil.copy(make_portrait_video(frames=6), archive / "good.mp4")
    code, out, err = run("batch", archive, "--out", tmp_path / "out", "--runtime", "local")
    assert code == 1
    assert sorted(path.name for path in (tmp_path / "out").glob("*.mp4")) == ["good.mp4"]
    for name in ("holiday.mp4", "bomb.mp4", "me.mp4"):
        assert f"{name} is a playlist of other files" in out + err


def test_size_of_pictures_is_an_option(run: Run, make_portrait_video: MakeVideo, tmp_path: Path) -> None:
    video = make_portrait_video(frames=6)
    options = ["--runtime", "local", "--set", "restore.max_pixels=1000"]
    code, out, err = run("restore", video, tmp_path / "out.mp4", *options)
    assert (code, out) == (1, "")
    assert "at most 1,000 pixels" in err
    assert list(tmp_path.iterdir()) == []
