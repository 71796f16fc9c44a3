"""Logs: silent by default, complete on demand, and harmless whatever is in them."""

import logging
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from vidrestore.errors import OutputError
from vidrestore.logs import LOG_FILE_VARIABLE, join_log, log_to, open_log, show_log

HOSTILE = "\x1b]0;title\x07 two\n12:00:00 forged \u202e rtsp://me:hunter22@camera/live"
Run = Callable[..., tuple[int, str, str]]


@pytest.fixture(autouse=True)
def plain_logging(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    root = logging.getLogger("vidrestore")
    handlers, level = root.handlers[:], root.level
    root.handlers[:] = []  # those that commands of other tests left in this process
    monkeypatch.delenv(LOG_FILE_VARIABLE, raising=False)
    yield
    for handler in root.handlers:
        if handler not in handlers:
            handler.close()
    root.handlers[:] = handlers
    root.setLevel(level)
    os.environ.pop(LOG_FILE_VARIABLE, None)


def test_details_are_shown_on_demand(capsys: pytest.CaptureFixture[str]) -> None:
    log = logging.getLogger("vidrestore.media.reader")
    log.info("unseen")
    show_log(1)
    log.info("opened %s", HOSTILE)
    log.debug("details")
    (line,) = capsys.readouterr().err.splitlines()
    assert "INFO" in line
    assert "vidrestore.media.reader: opened" in line
    assert line.isprintable()
    assert "hunter22" not in line


def test_a_job_has_a_log_of_its_own(tmp_path: Path) -> None:
    log = logging.getLogger("vidrestore.jobs")
    with log_to(tmp_path):
        log.debug("one %s", HOSTILE)
        try:
            raise ValueError(HOSTILE)  # noqa: TRY301
        except ValueError:
            log.exception("two")
    log.error("three")
    text = (tmp_path / "log.txt").read_text(encoding="utf-8")
    assert "DEBUG" in text
    assert "two" in text
    assert "three" not in text
    assert "\x1b" not in text
    assert "hunter22" not in text
    with log_to(tmp_path):
        log.info("again")
    assert "one" in (tmp_path / "log.txt").read_text(encoding="utf-8"), "a job that goes on keeps its log"


def test_warnings_stay_on_stderr_beside_a_log_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    open_log(tmp_path / "log.txt")
    logging.getLogger("vidrestore.models").warning("out of memory")
    logging.getLogger("vidrestore.models").info("loaded")
    assert capsys.readouterr().err.splitlines() == ["out of memory"]
    assert len((tmp_path / "log.txt").read_text(encoding="utf-8").splitlines()) == 2


def test_a_planted_link_is_not_written_to(tmp_path: Path) -> None:
    target = tmp_path / "precious"
    target.touch()
    (tmp_path / "log.txt").symlink_to(target)
    with pytest.raises(OutputError, match="is a link"), log_to(tmp_path):
        pass
    assert target.read_bytes() == b""
    with pytest.raises(OutputError, match="cannot be written"):
        open_log(tmp_path / "none" / "log.txt")


def test_children_write_to_the_same_log(tmp_path: Path) -> None:
    open_log(tmp_path / "log.txt")
    code = "import logging, vidrestore.runtime\nlogging.getLogger('vidrestore.runtime').debug('from a worker')"
    subprocess.run([sys.executable, "-c", code], check=True)
    join_log()
    logging.getLogger("vidrestore.runtime").debug("from the driver")
    lines = (tmp_path / "log.txt").read_text(encoding="utf-8").splitlines()
    assert [line.rpartition(": ")[2] for line in lines] == ["from a worker", "from the driver"]


def test_every_command_takes_a_log_file(run: Run, tmp_path: Path) -> None:
    code, _, err = run("probe", tmp_path / "none.mp4", "--log-file", tmp_path / "log.txt", "-vv")
    assert code == 1
    assert "does not exist" in err
    assert (tmp_path / "log.txt").is_file()
