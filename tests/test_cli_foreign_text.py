"""Names, tags and arguments that would act on the terminal, forge a line, or make the telling of an error raise."""

import errno
import io
import json
import logging
import os
import pty
import re
import subprocess
import sys
import threading
import unicodedata
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import av
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rich.progress import Progress

from vidrestore import exception_hooks
from vidrestore.cli import progress, terminal
from vidrestore.cli.terminal import StandardStream
from vidrestore.errors import OutputError

pytestmark = pytest.mark.integration

MakeVideo = Callable[..., Path]
Run = Callable[..., tuple[int, str, str]]
COMMAND = (sys.executable, "-c", "from vidrestore.cli import main; main()")
HOSTILE_NAMES = (
    "title\x1b]0;PWNED\x07\x1b[2J",
    "two\nvidrestore: lines\r",
    "a[link=http:evil]b[/link][bold]",
    "no\\[",
    ":smile: [1080p]",
    "\u202egpj.\u2066x\u200f\u061c",
    "c1\x9b31m\x85\x7f\u2028",
    "not-utf8-\udcff\udc9b",
)
FORBIDDEN = {"Cc", "Cf", "Cs", "Zl", "Zp"}


def harmless(printed: str) -> bool:
    """Whether lines that were printed without a terminal hold only what is drawn."""
    return not {unicodedata.category(one) for one in printed if one != "\n"} & FORBIDDEN


def escaped(name: str) -> str:
    """The name as it should be shown, by another way than the product's."""
    return "".join(one if one.isprintable() else repr(one)[1:-1] for one in name)


@contextmanager
def standard_streams(encoding: str) -> Iterator[tuple[io.BytesIO, io.BytesIO]]:
    """Stdout and stderr of a terminal with this encoding, that takes nothing else."""
    out, err = io.BytesIO(), io.BytesIO()
    before = sys.stdout, sys.stderr
    sys.stdout, sys.stderr = (io.TextIOWrapper(one, encoding, errors="strict") for one in (out, err))
    try:
        yield out, err
    finally:
        for stream in (sys.stdout, sys.stderr):
            stream.detach()  # or it would close what the test wants to read
        sys.stdout, sys.stderr = before


@settings(derandomize=True, deadline=None, max_examples=60)
@given(st.text(st.characters()) | st.sampled_from(HOSTILE_NAMES), st.sampled_from(["utf-8", "ascii", "latin-1"]))
def test_whatever_is_printed_is_harmless_and_nothing_raises(text: str, encoding: str) -> None:
    with standard_streams(encoding) as (out, err):
        terminal.say(text)
        terminal.warn(text)
        terminal.remark(text)
        terminal.say_json({text: [text]})
        terminal.show_table(text, [text, text], [[text, text]])
        with pytest.raises(SystemExit) as ended:
            terminal.fail(text)
    assert ended.value.code == 1
    printed, told = out.getvalue().decode(encoding), err.getvalue().decode(encoding)
    assert harmless(printed)
    assert harmless(told)
    assert told.count("\n") == 3
    assert len(told.splitlines()) == 3


@settings(derandomize=True, deadline=None, max_examples=30)
@given(st.text(st.characters(), max_size=30) | st.sampled_from(HOSTILE_NAMES))
def test_a_bar_shows_words_and_reads_no_markup(text: str) -> None:
    with standard_streams("utf-8"):
        bar = Progress(*progress.bar_columns(), console=terminal.err)
        bar.add_task(text, told=text)
        (task,) = bar.tasks
        words = [column.render(task) for column in bar.columns if isinstance(column, progress.Words)]
    assert all(not one.spans for one in words)
    assert all(harmless(one.plain) for one in words)


@pytest.mark.parametrize("name", HOSTILE_NAMES)
def test_a_name_is_told_in_one_line_from_which_it_can_be_read(run: Run, name: str) -> None:
    code, out, err = run("probe", f"{name}.mp4")
    assert (code, out) == (1, "")
    assert err == f"vidrestore: {escaped(str(Path.cwd() / name))}.mp4 does not exist; check the name\n"


def test_a_message_of_a_megabyte_is_cut(run: Run) -> None:
    code, _, err = run("probe", 100_000 * "long/" + "x.mp4")
    assert code == 1
    assert len(err) < 5000
    assert err.count("\n") == 1


@pytest.mark.parametrize("name", HOSTILE_NAMES)
@pytest.mark.parametrize("arguments", [["restore", "a", "b"], [], ["restore", "a", "b", "--crf"], ["restore", "--set"]])
def test_wrong_usage_is_told_without_what_the_words_would_do(run: Run, name: str, arguments: list[str]) -> None:
    code, _, err = run(*arguments, name)
    assert code == 2
    assert harmless(err)
    assert not re.search(r"^vidrestore:", err, re.MULTILINE)


def with_tags(source: Path, destination: Path) -> Path:
    """The film in Matroska, with tags that MP4 cannot hold, whose keys and values do harm."""
    with av.open(str(source)) as video, av.open(str(destination), "w", format="matroska") as output:
        streams = {one.index: output.add_stream_from_template(one) for one in video.streams}
        for number, name in enumerate(HOSTILE_NAMES[:-1]):
            output.metadata[f"KEY{number} {name} [/nothing]"] = name
        output.metadata["MORE\\[/NOTHING]"] = "x"
        output.metadata["title"] = HOSTILE_NAMES[0]
        for packet in video.demux():
            if packet.dts is not None:
                packet.stream = streams[packet.stream.index]
                output.mux(packet)
    return destination


def test_hostile_tags_are_harmless_to_the_result_and_the_terminal(
    make_portrait_video: MakeVideo, tmp_path: Path
) -> None:
    source = with_tags(make_portrait_video(frames=4), tmp_path / f"a[link=http:evil]{HOSTILE_NAMES[0]}.mkv")
    report = tmp_path / "report.json"
    arguments = (
        "restore",
        source,
        tmp_path / "out.mp4",
        "--runtime",
        "local",
        "--report",
        report,
        "--min-face",
        "5000",
    )
    code, printed = in_a_terminal(*arguments)
    assert code == 0, printed
    left_out = json.loads(report.read_text())["streams"]["left_out"]
    assert any("\x1b]0;PWNED" in line or "\x1b]0;pwned" in line for line in left_out), left_out
    assert r"MORE\[/NOTHING]" in printed
    own = re.sub(r"\x1b\[[0-9;?]*[mKAhl]", "", printed)  # rich's colours and moves of the bar
    assert harmless(own.replace("\r", ""))
    assert r"\x1b]0;PWNED\x07\x1b[2J" in own


def in_a_terminal(*arguments: object) -> tuple[int, str]:
    """Exit code, and what a terminal would get."""
    terminal_end, command_end = pty.openpty()
    environment = {name: value for name, value in os.environ.items() if name != "VIDRESTORE_DEBUG"} | {"TERM": "xterm"}
    with subprocess.Popen(
        [*COMMAND, *map(str, arguments)], stdin=command_end, stdout=command_end, stderr=command_end, env=environment
    ) as process:
        os.close(command_end)
        printed = b""
        while True:
            try:
                more = os.read(terminal_end, 65536)
            except OSError:  # how a terminal ends
                break
            if not more:
                break
            printed += more
    os.close(terminal_end)
    return process.returncode, printed.decode()


@pytest.mark.parametrize("names", [HOSTILE_NAMES])
def test_a_batch_and_its_listing_name_videos_harmlessly(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, names: tuple[str, ...]
) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    videos = tmp_path / "films"
    videos.mkdir()
    for name in names:
        if "\\" not in name:
            (videos / f"{name.replace('/', '')}.mp4").write_text("no film\n" * 100)
    code, out, err = run("batch", videos, "--out", tmp_path / "out", "--runtime", "local", "--model", "embedded")
    assert code == 1
    assert harmless(out)
    assert harmless(err)
    code, out, err = run("jobs", "show", tmp_path / "out")
    assert harmless(out + err)


class Broken(io.StringIO):
    """A stream to which nothing can be written."""

    def __init__(self, number: int) -> None:
        super().__init__()
        self._number = number

    def write(self, _: str) -> int:
        raise OSError(self._number, os.strerror(self._number))


@pytest.mark.parametrize("stream", [Broken(errno.EPIPE), Broken(errno.EIO), Broken(errno.ENOSPC), None])
def test_a_stderr_that_is_gone_changes_no_exit_code(stream: Broken | None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stderr", stream)
    terminal.warn("nobody reads this")
    with pytest.raises(SystemExit) as ended:
        terminal.fail("nor this")
    assert ended.value.code == 1


def test_a_reader_that_has_gone_is_no_failure_and_a_full_disk_is_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdout", Broken(errno.EPIPE))
    StandardStream("stdout").write("x")
    monkeypatch.setattr(sys, "stdout", Broken(errno.ENOSPC))
    with pytest.raises(OutputError, match="No space left"):
        StandardStream("stdout").write("x")


class UnspeakableError(Exception):
    """An error whose text cannot be made."""

    def __str__(self) -> str:
        raise ValueError("no text")


@pytest.mark.parametrize("error", [UnspeakableError(), RuntimeError("a[/b]\x1b]0;x\x07\nvidrestore: forged\ud800")])
def test_an_internal_error_is_told_whatever_its_text(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    def broken(_: object) -> None:
        raise error

    monkeypatch.setattr(terminal, "_run_command", broken)
    monkeypatch.setattr(terminal, "install_exception_hooks", lambda: None)
    monkeypatch.setattr(terminal.signal, "signal", lambda *_: None)
    with pytest.raises(SystemExit) as ended:
        terminal.run_to_exit(lambda: None)
    assert ended.value.code == 1
    told = capsys.readouterr().err
    assert told.count("\n") == 1
    assert harmless(told)
    monkeypatch.setenv("VIDRESTORE_DEBUG", "1")
    with pytest.raises(SystemExit):
        terminal.run_to_exit(lambda: None)
    told = capsys.readouterr().err
    assert "Traceback" in told
    assert harmless(told)


def test_what_python_itself_prints_is_harmless(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for module, hook in ((sys, "excepthook"), (sys, "unraisablehook"), (threading, "excepthook")):
        monkeypatch.setattr(module, hook, getattr(module, hook))
    monkeypatch.setattr(warnings, "formatwarning", warnings.formatwarning)
    exception_hooks.install_exception_hooks()

    class Undead:
        def __del__(self) -> None:
            raise RuntimeError(HOSTILE_NAMES[0])

    def die() -> None:
        raise RuntimeError(HOSTILE_NAMES[0])

    thread = threading.Thread(target=die, name=HOSTILE_NAMES[0])
    thread.start()
    thread.join()
    undead = Undead()
    del undead
    sys.excepthook(RuntimeError, RuntimeError(HOSTILE_NAMES[0]), None)
    sys.stderr.write(warnings.formatwarning(HOSTILE_NAMES[1], UserWarning, "file.py", 1))
    assert logging.lastResort is not None
    record = logging.LogRecord("library", logging.WARNING, "file.py", 1, "%s", (HOSTILE_NAMES[1],), None)
    sys.stderr.write(logging.lastResort.format(record) + "\n")
    told = capsys.readouterr().err
    assert told.count("PWNED") == 4
    assert told.count(r"two\nvidrestore: lines\r") == 2
    assert harmless(told)


def test_a_library_with_handlers_of_its_own_prints_harmless_lines() -> None:
    written = io.StringIO()
    handler = logging.StreamHandler(written)
    logger = logging.getLogger("a library")
    logger.addHandler(handler)
    exception_hooks.log_plainly("a library")
    logger.error("task failed: %s", HOSTILE_NAMES[1])
    assert r"task failed: two\nvidrestore: lines\r" in written.getvalue()
    assert written.getvalue().count("\n") == 1


def test_ffmpeg_prints_nothing_of_its_own() -> None:
    assert av.logging.get_level() is None, "its lines hold names and tags as they are; PyAV swallows them by default"
