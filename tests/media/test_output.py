import errno
import os
from pathlib import Path

import av
import pytest

from vidrestore.errors import OutputError
from vidrestore.media.output import atomic_output, check_destination, scratch_dir, translate_write_errors

needs_permissions = pytest.mark.skipif(os.geteuid() == 0, reason="the superuser may write anywhere")


@pytest.fixture
def source(tmp_path: Path) -> Path:
    path = tmp_path / "film.mp4"
    path.write_bytes(b"film")
    return path


def test_a_new_file_in_a_folder_is_fine(source: Path) -> None:
    check_destination(source, source.with_name("result.MKV"), overwrite=False)


def test_an_existing_file_needs_permission(source: Path) -> None:
    result = source.with_name("result.mp4")
    result.write_bytes(b"old")
    with pytest.raises(OutputError, match="--overwrite"):
        check_destination(source, result, overwrite=False)
    check_destination(source, result, overwrite=True)


@pytest.mark.parametrize("how", ["same", "symlink", "hardlink"])
def test_the_source_is_never_overwritten(source: Path, how: str) -> None:
    result = source if how == "same" else source.with_name("other.mp4")
    if how == "symlink":
        result.symlink_to(source)
    if how == "hardlink":
        result.hardlink_to(source)
    with pytest.raises(OutputError, match="is the source itself"):
        check_destination(source, result, overwrite=True)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("folder", "is a folder"),
        ("missing/result.mp4", "does not exist"),
        ("film.mp4/result.mp4", "is a file, not a folder"),
        ("result.xyz", "names no known container; use one of .mp4"),
        ("result", "no extension"),
        ("dangling.mp4", "link to nothing"),
    ],
)
def test_an_impossible_destination_is_refused(source: Path, name: str, message: str) -> None:
    (source.parent / "folder").mkdir()
    (source.parent / "dangling.mp4").symlink_to("nowhere.mp4")
    with pytest.raises(OutputError, match=message):
        check_destination(source, source.parent / name, overwrite=True)


def test_what_is_not_a_file_is_refused(source: Path) -> None:
    pipe = source.with_name("pipe.mp4")
    os.mkfifo(pipe)
    with pytest.raises(OutputError, match="device or a pipe"):
        check_destination(source, pipe, overwrite=True)


def test_a_folder_without_write_permission_is_refused(source: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "access", lambda _, mode: not mode & os.W_OK)
    with pytest.raises(OutputError, match="may not be written"):
        check_destination(source, source.with_name("result.mp4"), overwrite=True)


@needs_permissions
def test_a_write_protected_file_is_refused(source: Path) -> None:
    result = source.with_name("result.mp4")
    result.touch(mode=0o444)
    with pytest.raises(OutputError, match="write-protected"):
        check_destination(source, result, overwrite=True)


def test_a_result_appears_only_when_it_is_complete(source: Path) -> None:
    result = source.with_name("result.mp4")
    with atomic_output(result) as part:
        part.write_bytes(b"new")
        assert part.parent == result.parent
        assert part.name.startswith(".result.")
        assert part.suffix == ".mp4"
        assert not result.exists()
    assert result.read_bytes() == b"new"
    assert sorted(path.name for path in source.parent.iterdir()) == ["film.mp4", "result.mp4"]
    umask = os.umask(0)
    os.umask(umask)
    assert result.stat().st_mode & 0o777 == 0o666 & ~umask


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt])
def test_a_failure_leaves_the_old_result_and_nothing_else(source: Path, error: type[BaseException]) -> None:
    result = source.with_name("result.mp4")
    result.write_bytes(b"old")

    def fail() -> None:
        with atomic_output(result) as part:
            part.write_bytes(b"half")
            raise error

    with pytest.raises(error):
        fail()
    assert result.read_bytes() == b"old"
    assert sorted(path.name for path in source.parent.iterdir()) == ["film.mp4", "result.mp4"]


@pytest.mark.parametrize("error", [None, ValueError, KeyboardInterrupt])
def test_a_workspace_is_always_cleared(source: Path, error: type[BaseException] | None) -> None:
    def work() -> None:
        with scratch_dir(source.with_name("result.mp4")) as folder:
            assert folder.parent == source.parent
            (folder / "part.mp4").write_bytes(b"part")
            if error:
                raise error

    if error:
        with pytest.raises(error):
            work()
    else:
        work()
    assert [path.name for path in source.parent.iterdir()] == ["film.mp4"]


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (OSError(errno.ENOSPC, "No space left on device"), "the disk is full"),
        (av.error.OSError(errno.ENOSPC, "No space left on device"), "the disk is full"),
        (OSError(errno.EROFS, "Read-only file system"), "read-only disk"),
        (OSError(errno.EDQUOT, "Disk quota exceeded"), "quota"),
        (av.error.InvalidDataError(1, "Invalid data"), "Invalid data"),
    ],
)
def test_failures_of_the_disk_become_one_line(error: Exception, message: str) -> None:
    with pytest.raises(OutputError, match=message) as caught, translate_write_errors(Path("result.mp4")):
        raise error
    assert "\n" not in str(caught.value)
