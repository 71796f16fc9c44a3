"""Files that appear whole or not at all."""

import os
from pathlib import Path

import pytest

from vidrestore.errors import OutputError
from vidrestore.files import atomic_path, replace_bytes, replace_text


def test_a_file_is_replaced_and_nothing_is_left_beside_it(tmp_path: Path) -> None:
    path = tmp_path / "file"
    replace_bytes(path, b"old")
    replace_text(path, "größer\n")
    assert path.read_bytes() == "größer\n".encode()
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("error", [OSError, ValueError, KeyboardInterrupt])
def test_a_write_that_fails_leaves_the_file_as_it_was(tmp_path: Path, error: type[BaseException]) -> None:
    path = tmp_path / "file"
    replace_bytes(path, b"old")

    def write_half() -> None:
        with atomic_path(path) as part:
            part.write_bytes(b"half")
            raise error

    with pytest.raises(error):
        write_half()
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


def test_no_name_can_be_foreseen_and_no_link_is_written_through(tmp_path: Path) -> None:
    victim = tmp_path / "victim"
    victim.write_text("precious")
    path = tmp_path / "shared" / "report.json"
    path.parent.mkdir()
    for number in range(max(0, os.getpid() - 3), os.getpid() + 3):
        (path.parent / f".report.json.{number}.part").symlink_to(victim)
    path.symlink_to(victim)
    replace_bytes(path, b"new")
    assert not path.is_symlink()
    with atomic_path(path) as part, atomic_path(path) as other:
        assert part.name != other.name
        assert part.stat().st_mode & 0o777 == 0o666 & ~current_umask()
        part.write_bytes(b"newer")
        other.write_bytes(b"other")
    assert path.read_bytes() == b"newer"
    assert victim.read_text() == "precious"
    replace_bytes(path.with_name("ü" * 127), b"a name as long as a name may be")


def current_umask() -> int:
    umask = os.umask(0)
    os.umask(umask)
    return umask


def test_a_folder_that_is_missing_or_a_file_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    for folder in ("none", "file"):
        with pytest.raises(OutputError, match=rf"{folder}/report could not be written: .*; check the folder"):
            replace_text(tmp_path / folder / "report", "text")
